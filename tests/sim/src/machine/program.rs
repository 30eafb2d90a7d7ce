//! The program on the box: start and recovery, group commit, checkpoints, reads, sudden ends.

use std::collections::{BTreeMap, VecDeque};

use chat::{ApiCall, ApiError, ApiReply, Chat, Entry, Input, Ticket};
use log::{DiskError, LogError};
use store::{Store, StoreError};
use wire::ids::{BoxId, Offset, RoomId, Seq, TimeMs};

use super::{CACHE_BYTES, EPOCH_MS, Running, first_epoch, read_from};
use crate::backend::FaultBackend;
use crate::record::{to_entry, to_message, to_record};
use crate::violation::{Checked, broken, ensure};
use crate::world::{Event, World};

impl World {
    /// The program starts: recovers, replays, and is checked against what was promised.
    pub(crate) fn start(&mut self) -> Checked {
        if self.machine.up() {
            return Ok(());
        }
        let from_cache = self.random.chance(300);
        let Some((mut running, snapshot_at)) = self.recover(from_cache)? else {
            self.machine.distrust_cache = true;
            self.crash(false);
            return Ok(());
        };
        let positions = &mut running.positions;
        let tail = read_from(&running.reader, snapshot_at.0 + 1, &mut |offset, position| {
            positions.insert(offset, position);
        })?;
        tail.iter().for_each(|entry| running.chat.replay(entry));
        self.note(|| format!("program starts at {snapshot_at} and replays {}", tail.len()));
        self.machine.running = Some(running);
        self.check_recovery()?;
        self.machine.distrust_cache = false;
        let generation = self.machine.generation;
        self.after(1, Event::Tick { generation });
        self.tell_room()?;
        if self.truth.head() == Offset(0) {
            let box_id = BoxId([1; 16]);
            self.call(ApiCall::BeginEpoch { box_id, epoch: first_epoch() })?;
        } else if self.random.chance(500) {
            let nonce = self.random.next();
            self.call(ApiCall::HealthProbe { nonce })?;
        }
        Ok(())
    }

    /// None when the program was stopped once more while it started.
    fn recover(&mut self, from_cache: bool) -> Checked<Option<(Running, Offset)>> {
        let machine = &self.machine;
        let opened_store = Store::open_backend(machine.backend.clone(), CACHE_BYTES)
            .and_then(|store| store.load().map(|(state, applied)| (store, state, applied)));
        let (store, state, applied) = match opened_store {
            Ok(opened) => opened,
            Err(_) if machine.backend.stopped() => return Ok(None),
            Err(StoreError::Full) => return Ok(None),
            Err(reason @ (StoreError::Corrupt(_) | StoreError::Io { .. }))
                if !machine.store_begun =>
            {
                // Power went while the file was being made: the shell makes it again.
                self.note(|| format!("the store begins anew: {reason}"));
                self.tally.meet("store begun anew");
                let seed = self.random.next();
                self.machine.backend = FaultBackend::new(seed);
                return Ok(None);
            }
            Err(error) => return broken("store recovers", error.to_string()),
        };
        let Some(opened) = machine.open_log(applied, from_cache)? else { return Ok(None) };
        let last = opened.reader().last_offset();
        ensure(applied.0 <= last, "checkpoint within log", || {
            format!("the store holds records up to {applied}, the log ends at {last}")
        })?;
        let reader = opened.reader().clone();
        let running = Running {
            chat: Chat::new(state, machine.config.clone()),
            log: opened.log,
            reader,
            store,
            positions: BTreeMap::new(),
            queue: VecDeque::new(),
            committing: false,
            checkpoint: None,
        };
        Ok(Some((running, applied)))
    }

    /// Stops the program, perhaps with the power, and plans the next start.
    pub(crate) fn crash(&mut self, power: bool) {
        let head = self.truth.head();
        self.note(|| format!("{} at {head}", if power { "power cut" } else { "kill" }));
        self.machine.stop();
        if power {
            self.tally.cuts += 1;
            self.machine.disk = self.machine.disk.power_cut();
            self.machine.backend = self.machine.backend.power_cut();
        } else {
            self.tally.kills += 1;
            self.machine.disk = self.machine.disk.kill();
            self.machine.backend = self.machine.backend.kill();
        }
        self.cut_links();
        let delay = self.random.between(10, 1_000);
        self.after(delay, Event::Start);
        if self.active && self.random.chance(300) {
            // Trouble rarely comes alone: once more during or right after recovery.
            let soon = delay + self.random.below(300);
            self.after(soon, Event::Fault { again: false });
        }
    }

    pub(crate) fn input(&mut self, input: Input) -> Checked {
        let now = TimeMs(EPOCH_MS + self.now);
        if let Some(running) = &mut self.machine.running {
            running.chat.handle(now, input);
        }
        self.carry_out()
    }

    pub(crate) fn call(&mut self, call: ApiCall) -> Checked<Ticket> {
        self.machine.next_ticket += 1;
        let ticket = Ticket(self.machine.next_ticket);
        self.machine.expected.insert(ticket, call.clone());
        self.input(Input::Api { ticket, call })?;
        Ok(ticket)
    }

    pub(crate) fn api_done(
        &mut self,
        ticket: Ticket,
        reply: &Result<ApiReply, ApiError>,
    ) -> Checked {
        let call = self.machine.expected.remove(&ticket);
        if let Some(ApiCall::HealthProbe { nonce: asked }) = call {
            let full = matches!(reply, Err(ApiError::CardFull));
            let back = matches!(reply, Ok(ApiReply::Healthy { nonce, .. }) if *nonce == asked);
            return ensure(full || back, "health probe", || format!("{reply:?}"));
        }
        if let Some((user, token)) = self.machine.signing_in.remove(&ticket) {
            if let Ok(ApiReply::DeviceAdded(device)) = reply {
                self.begin(user, *device, token);
            }
            return Ok(());
        }
        self.machine.replies.insert(ticket, reply.clone());
        Ok(())
    }

    pub(crate) fn tick(&mut self) -> Checked {
        let generation = self.machine.generation;
        self.after(100, Event::Tick { generation });
        self.prepare_spares();
        if !self.machine.up() {
            return Ok(());
        }
        self.tell_room()?;
        self.input(Input::Tick)
    }

    fn tell_room(&mut self) -> Checked {
        self.prepare_spares();
        let Some(running) = &self.machine.running else { return Ok(()) };
        let bytes = running.log.room_bytes();
        self.input(Input::LogRoom { bytes })
    }

    fn prepare_spares(&mut self) {
        let Some(running) = &self.machine.running else { return };
        let shelf = running.log.shelf();
        while shelf.wants_work() {
            match shelf.prepare_spare(&self.machine.disk, &mut || {}) {
                Ok(()) => {}
                Err(LogError::Full | LogError::Disk(DiskError::NoSpace)) => {
                    self.tally.full += 1;
                    return;
                }
                Err(error) => return self.disk_failed(&error),
            }
        }
    }

    /// The disk stopped the program, or failed so that the program stops itself.
    fn disk_failed(&mut self, error: &LogError) {
        self.note(|| format!("the log says: {error}"));
        let stopped = matches!(
            error,
            LogError::Disk(DiskError::Stopped) | LogError::SyncFailed(DiskError::Stopped)
        );
        if !stopped {
            self.tally.failed_syncs += 1;
            self.machine.distrust_cache = true;
        }
        let power = self.random.chance(self.plan.power_cuts);
        self.crash(power);
    }

    /// One group commit: everything that waits, in one batch.
    pub(crate) fn commit(&mut self) -> Checked {
        let Some(running) = &mut self.machine.running else { return Ok(()) };
        let mut batch = running.log.new_batch();
        let mut count = 0;
        for entry in &running.queue {
            match batch.push(&[to_record(entry)]) {
                Ok(true) => count += 1,
                Ok(false) => break,
                Err(error) => return broken("records fit", error.to_string()),
            }
        }
        let appended = running.log.append(&batch);
        running.committing = false;
        match appended {
            Ok(appended) => {
                let entries: Vec<Entry> = running.queue.drain(..count).collect();
                for (index, entry) in entries.iter().enumerate() {
                    running.positions.insert(entry.offset, appended.position(index));
                }
                self.committed(entries)
            }
            Err(LogError::Full | LogError::NoSpare) => {
                running.committing = true;
                let generation = self.machine.generation;
                self.after(200, Event::Commit { generation });
                Ok(())
            }
            Err(error) => {
                self.disk_failed(&error);
                Ok(())
            }
        }
    }

    fn committed(&mut self, entries: Vec<Entry>) -> Checked {
        let Some(up_to) = entries.last().map(|entry| entry.offset) else { return Ok(()) };
        for entry in entries {
            self.tally.commands += u64::from(entry.counter.0 > 0);
            self.tally.messages += u64::from(to_message(&entry).is_some());
            self.truth.add(entry)?;
        }
        self.note(|| format!("durable up to {up_to}"));
        self.tell_room()?;
        self.input(Input::Durable { up_to })
    }

    pub(crate) fn checkpoint(&mut self) -> Checked {
        let Some(running) = &mut self.machine.running else { return Ok(()) };
        let Some((applied, changes)) = running.checkpoint.take() else { return Ok(()) };
        let positions = &running.positions;
        let written =
            running.store.checkpoint(applied, &changes, |offset| positions.get(&offset).copied());
        match written {
            Ok(()) => {
                running.positions = running.positions.split_off(&applied.next());
                self.machine.store_begun = true;
                self.tally.checkpoints += 1;
                self.note(|| format!("checkpoint at {applied} of {} changes", changes.len()));
                self.input(Input::CheckpointDone { applied })
            }
            Err(error @ StoreError::NoPosition(_)) => {
                broken("checkpoint within log", error.to_string())
            }
            Err(_) if self.machine.backend.stopped() => {
                let power = self.random.chance(self.plan.power_cuts);
                self.crash(power);
                Ok(())
            }
            Err(StoreError::Full) => self.reopen_store(applied),
            Err(error) => broken("store writes", error.to_string()),
        }
    }

    /// After an error redb refuses everything until its file is opened again.
    fn reopen_store(&mut self, applied: Offset) -> Checked {
        self.note(|| format!("the checkpoint at {applied} fails"));
        self.tally.meet("failed checkpoint");
        let failed = |error: StoreError| broken("store recovers", error.to_string());
        let spare = Store::open_backend(FaultBackend::new(0), CACHE_BYTES).or_else(failed)?;
        let Some(running) = &mut self.machine.running else { return Ok(()) };
        drop(std::mem::replace(&mut running.store, spare));
        match Store::open_backend(self.machine.backend.clone(), CACHE_BYTES) {
            Ok(store) => running.store = store,
            Err(error) if self.machine.backend.stopped() || matches!(error, StoreError::Full) => {
                self.crash(false);
                return Ok(());
            }
            Err(error) => return broken("store recovers", error.to_string()),
        }
        self.input(Input::CheckpointFailed { applied })
    }

    /// Reads messages as the shell does: the store's index, then the log.
    pub(crate) fn read(&mut self, ticket: Ticket, room: RoomId, first: Seq, last: Seq) -> Checked {
        let Some(running) = &self.machine.running else { return Ok(()) };
        let found = match running.store.index().range(room, first, last) {
            Ok(found) => found,
            Err(_) if self.machine.backend.stopped() => return Ok(()),
            Err(error) => return broken("store readable", error.to_string()),
        };
        ensure(found.len() as u64 == last.0 + 1 - first.0, "index complete", || {
            format!("room {room}: {} entries for {first} to {last}", found.len())
        })?;
        let mut messages = Vec::new();
        for entry in found {
            let stored = match running.reader.read(entry.position) {
                Ok(stored) => stored,
                Err(LogError::Disk(DiskError::Stopped)) => return Ok(()),
                Err(error) => return broken("log readable", error.to_string()),
            };
            let message = to_message(&to_entry(&stored)?);
            ensure(message.is_some(), "index sound", || format!("{entry:?} is no message"))?;
            messages.extend(message);
        }
        self.input(Input::ReadDone { ticket, messages, damaged: 0 })
    }
}
