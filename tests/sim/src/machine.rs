//! The box: the real core, the real log on its fault disk, the real store on a fault backend, and
//! the program that connects them until something stops it.

use std::collections::{BTreeMap, VecDeque};

use chat::{ApiCall, ApiError, ApiReply, Change, Chat, Config, Entry, Input, Output, Ticket};
use log::{
    DiskError, FaultDisk, Item, Log, LogError, LogReader, OpenFrom, OpenOutcome, Options, Position,
    ReadFrom,
};
use store::{Store, StoreError};
use wire::ids::{BoxId, DeviceToken, Epoch, Offset, RoomId, Seq, TimeMs, UserId};

use crate::backend::FaultBackend;
use crate::mutants::Faults;
use crate::plan::Plan;
use crate::random::Random;
use crate::record::{to_entry, to_message, to_record};
use crate::violation::{Checked, broken, ensure};
use crate::world::{Event, World};

/// redb's cache: small, so that reads go through the backend.
const CACHE_BYTES: usize = 1024 * 1024;

/// The box's clock starts here.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// The first incarnation; a restore begins another.
const fn first_epoch() -> Epoch {
    Epoch([1; 16])
}

/// Disks and the program between them.
pub(crate) struct Machine {
    pub(crate) disk: FaultDisk,
    pub(crate) backend: FaultBackend,
    /// Counts programs.
    pub(crate) generation: u64,
    running: Option<Running>,
    config: Config,
    options: Options,
    /// An fdatasync failed: the page cache may lie.
    distrust_cache: bool,
    /// The store's file holds a checkpoint: from now on it must never be lost.
    store_begun: bool,
    next_ticket: u64,
    expected: BTreeMap<Ticket, ApiCall>,
    pub(crate) replies: BTreeMap<Ticket, Result<ApiReply, ApiError>>,
    /// Devices that wait for their number.
    pub(crate) signing_in: BTreeMap<Ticket, (UserId, DeviceToken)>,
}

/// One program.
struct Running {
    chat: Chat,
    log: Log<FaultDisk>,
    reader: LogReader<FaultDisk>,
    store: Store,
    positions: BTreeMap<Offset, Position>,
    queue: VecDeque<Entry>,
    committing: bool,
    checkpoint: Option<(Offset, Vec<Change>)>,
}

impl Machine {
    pub(crate) fn new(random: &mut Random, plan: &Plan, faults: Faults) -> Self {
        let mut config = Config { version: "simulated".to_owned(), ..Config::default() };
        config.shares.checkpoint_records = plan.checkpoint_records;
        config.shares.hot_bytes_max = plan.hot_bytes_max;
        config.shares.pending_bytes_max = plan.pending_bytes_max;
        config.shares.log_reserve_bytes = 4 * 1024;
        let mut options = Options::new(random.next());
        options.segment_bytes = plan.segment_bytes;
        options.reserve_segments = 0;
        faults.put_into(&mut config, &mut options);
        Self {
            disk: FaultDisk::new(random.next()),
            backend: FaultBackend::new(random.next()),
            generation: 0,
            running: None,
            config,
            options,
            distrust_cache: false,
            store_begun: false,
            next_ticket: 0,
            expected: BTreeMap::new(),
            replies: BTreeMap::new(),
            signing_in: BTreeMap::new(),
        }
    }

    pub(crate) const fn up(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) fn chat(&self) -> Option<&Chat> {
        self.running.as_ref().map(|running| &running.chat)
    }

    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.running.as_mut()?.chat.poll_output()
    }

    pub(crate) fn append(&mut self, entry: Entry) {
        if let Some(running) = &mut self.running {
            running.queue.push_back(entry);
        }
    }

    pub(crate) fn hold_checkpoint(&mut self, applied: Offset, changes: Vec<Change>) {
        if let Some(running) = &mut self.running {
            running.checkpoint = Some((applied, changes));
        }
    }

    /// True once when something waits and no commit is under way.
    pub(crate) fn wants_commit(&mut self) -> bool {
        let Some(running) = &mut self.running else { return false };
        let wants = !running.committing && !running.queue.is_empty();
        running.committing |= wants;
        wants
    }

    /// Nothing is on its way to the card.
    pub(crate) fn idle(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.queue.is_empty())
    }

    /// The program is gone.
    fn stop(&mut self) {
        self.generation += 1;
        self.running = None;
        self.expected.clear();
        self.signing_in.clear();
    }

    /// Empty disks, for a restore.
    pub(crate) fn new_card(&mut self, random: &mut Random) {
        self.stop();
        self.disk = FaultDisk::new(random.next());
        self.backend = FaultBackend::new(random.next());
        self.options.new_log_id = random.next();
        self.distrust_cache = false;
        self.store_begun = false;
    }

    /// None when the program was stopped meanwhile, or has to stop because a sync failed.
    fn open_log(
        &self,
        applied: Offset,
        from_cache: bool,
    ) -> Checked<Option<log::Opened<FaultDisk>>> {
        let trusts = from_cache && !self.distrust_cache;
        let read_from = if trusts { ReadFrom::Cache } else { ReadFrom::Device };
        let from = OpenFrom { applied_offset: applied.0, read_from };
        match Log::open(self.disk.clone(), self.options.clone(), from) {
            Ok(OpenOutcome::Ready(opened)) => Ok(Some(opened)),
            Ok(OpenOutcome::Rescue(rescue)) => {
                broken("log recovers", format!("rescue wanted: {:?}", rescue.report()))
            }
            Err(LogError::Disk(DiskError::Stopped) | LogError::SyncFailed(_)) => Ok(None),
            Err(error) => broken("log recovers", error.to_string()),
        }
    }

    /// Writes a log of these entries: what a restore does.
    pub(crate) fn write_log(&self, entries: &[Entry]) -> Checked {
        let Some(opened) = self.open_log(Offset(0), false)? else { return Ok(()) };
        let mut log = opened.log;
        entries
            .iter()
            .try_for_each(|entry| {
                while log.shelf().wants_work() {
                    log.shelf().prepare_spare(&self.disk, &mut || {})?;
                }
                let mut batch = log.new_batch();
                batch.push(&[to_record(entry)])?;
                log.append(&batch).map(drop)
            })
            .or_else(|error: LogError| broken("restore", error.to_string()))
    }

    /// Every record of the log, decoded.
    pub(crate) fn read_log(&self) -> Checked<Vec<Entry>> {
        let Some(running) = &self.running else { return Ok(Vec::new()) };
        read_from(&running.reader, 1, &mut |_, _| {})
    }
}

/// Everything from an offset on; nothing may be damaged.
fn read_from(
    reader: &LogReader<FaultDisk>,
    first: u64,
    place: &mut dyn FnMut(Offset, Position),
) -> Checked<Vec<Entry>> {
    let mut entries = Vec::new();
    for item in reader.iter_from(first) {
        match item {
            Ok(Item::Record(stored)) => {
                place(Offset(stored.offset), stored.position);
                entries.push(to_entry(&stored)?);
            }
            Ok(Item::Damaged(range)) => return broken("nothing damaged", format!("{range:?}")),
            Err(error) => return broken("log readable", error.to_string()),
        }
    }
    Ok(entries)
}

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
