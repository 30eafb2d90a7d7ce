//! Start-up: opens the index and the log, replays what the index does not hold, and says what was
//! found, dropped or moved aside. Nothing is served before this is done.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use chat::{Change, Chat, Config, State};
use log::{
    Item, Log, LogReader, OpenFrom, OpenOutcome, Options, RealDisk, ReplayGuard, SlowSpeed, Verdict,
};
use store::{Opened, Store, StoreError};
use wire::RecordBody;
use wire::ids::Offset;

use crate::data::DataFolder;
use crate::health::Status;
use crate::positions::Positions;
use crate::rescue::Case;
use store::records::to_entry;

/// Records above which replay goes through the index in steps, so that it needs no more memory
/// than live work does.
const REPLAY_STEP: u64 = 8 * 1024;

/// A box that may start.
pub(crate) struct Recovered {
    pub(crate) log: Log<RealDisk>,
    pub(crate) disk: RealDisk,
    pub(crate) store: Store,
    pub(crate) chat: Chat,
    pub(crate) positions: Positions,
    /// Records are missing since the newest incarnation began: begin another one before anybody
    /// connects, because places and numbers that clients know may be given out again.
    pub(crate) lost: bool,
}

/// What recovery decided.
pub(crate) enum Outcome {
    Ready(Box<Recovered>),
    /// The owner must decide.
    Rescue(Box<Case>),
}

/// Which syncs of a slow disk are the long ones: the same in every run.
const SLOW_SEED: u64 = 1;

/// How to recover.
pub(crate) struct Wish {
    pub(crate) config: Config,
    pub(crate) cache_bytes: usize,
    /// Forget the index.
    pub(crate) rebuild: bool,
    /// Wait for the card like a poor one does.
    pub(crate) slow_disk: bool,
    /// Give up what can't be read in the tail segment.
    pub(crate) salvage: bool,
}

/// Opens and replays everything.
pub(crate) fn recover(
    data: &DataFolder,
    wish: Wish,
    status: &Arc<Status>,
) -> anyhow::Result<Outcome> {
    let (mut store, known) = open_store(data, &wish, status)?;
    let mut disk = RealDisk::open(&data.log()).context("can't open the log's folder")?;
    if wish.slow_disk {
        disk = disk.slowed(SlowSpeed::default(), SLOW_SEED, std::thread::sleep);
    }
    // Also when the index is to be forgotten: what it held was on the card, so a log that ends
    // before it is damaged, not torn.
    let from = OpenFrom { applied_offset: known.0, ..OpenFrom::default() };
    let options = Options::new(random_u64()?);
    let outcome = Log::open(disk.clone(), options, from).context("can't open the log")?;
    let opened = match outcome {
        OpenOutcome::Ready(opened) => opened,
        OpenOutcome::Rescue(rescue) if wish.salvage => {
            let opened = rescue.salvage().context("salvage failed")?;
            tracing::warn!("salvage: a new segment begins behind the damage");
            opened
        }
        OpenOutcome::Rescue(rescue) => {
            let case = rescue_case(data, &store, damage_text(&rescue), rescue.reader());
            return Ok(Outcome::Rescue(Box::new(Case { salvageable: true, ..case })));
        }
    };
    report(&opened.report, status);
    let log = opened.log;
    let last = log.reader().last_offset();
    if known.0 > last {
        let error = StoreError::AheadOfLog { applied: known, head: Offset(last) };
        let case = rescue_case(data, &store, error.to_string(), log.reader().clone());
        return Ok(Outcome::Rescue(Box::new(case)));
    }
    if wish.rebuild || wish.salvage {
        store = forget(data, store, &wish, status)?;
    }
    let replay = Replay {
        reader: log.reader().clone(),
        guard: ReplayGuard::open(disk.clone()).context("can't open the replay guard")?,
        positions: Positions::default(),
        status: status.clone(),
        holes: 0,
        lost: false,
    };
    let Replayed { store, chat, positions, lost } = replay.run(data, store, last, wish)?;
    Ok(Outcome::Ready(Box::new(Recovered { log, disk, store, chat, positions, lost })))
}

/// The index and the newest record that it knows.
fn open_store(data: &DataFolder, wish: &Wish, status: &Status) -> anyhow::Result<(Store, Offset)> {
    let path = data.index();
    let opened = match Store::open(&path, wish.cache_bytes) {
        Err(error) if wish.rebuild => {
            Store::rebuild(&path, wish.cache_bytes, &format!("it can't be opened: {error}"))
        }
        opened => opened,
    };
    let (store, opened) = opened.context("can't open the index")?;
    say_opened(&opened, status);
    let known = store.applied().context("can't read the index")?;
    Ok((store, known))
}

/// Begins an empty index. Only after the log was opened or salvaged: until then the old one knows
/// what was acked, and a power cut must not take that knowledge away.
fn forget(data: &DataFolder, store: Store, wish: &Wish, status: &Status) -> anyhow::Result<Store> {
    drop(store);
    let fresh = Store::rebuild(&data.index(), wish.cache_bytes, "it is rebuilt as asked");
    let (store, opened) = fresh.context("can't make a new index")?;
    say_opened(&opened, status);
    Ok(store)
}

fn say_opened(opened: &Opened, status: &Status) {
    if let Opened::Replaced { reason, aside } = opened {
        let aside = aside.display();
        tracing::warn!("the index is rebuilt from the log: {reason}; the old file is {aside}");
        status.note(format!("The index was rebuilt from the log: {reason}. Nothing is lost."));
    }
}

fn report(report: &log::RecoveryReport, status: &Status) {
    let log::RecoveryReport { created, segments, segments_read, last_offset, .. } = report;
    tracing::info!(created, segments, segments_read, last_offset, "the log is open");
    if !report.read_device {
        tracing::warn!("the file system refuses direct reads: recovery trusts the page cache");
    }
    if let Some(dropped) = &report.dropped {
        let records = dropped.records.map_or("unknown".into(), |count| count.to_string());
        let text = format!(
            "A torn batch at the end of the log was dropped (segment {}, byte {}, records from \
             {}, number {records}). After a power cut that is what was being written, and nobody \
             had got an ack for it; a worn card can damage the last batch in the same way.",
            dropped.segment, dropped.byte, dropped.first_offset
        );
        tracing::warn!("{text}");
        status.note(text);
    }
    for range in &report.findings.damage {
        let text = format!(
            "Records {} to {} in segment {} are damaged and served around; restore them from a \
             backup.",
            range.first, range.last, range.segment
        );
        tracing::warn!("{text}");
        status.note(text);
    }
}

fn damage_text(rescue: &log::Rescue<RealDisk>) -> String {
    let lost: u64 = rescue.damage().iter().map(log::DamagedRange::records).sum();
    format!(
        "The newest part of the log is damaged: {lost} records that were acknowledged can't be \
         read. Restore a backup, or run linnetd --salvage to go on without them."
    )
}

/// What can still be read, for sign-in and a last backup. Nothing is written.
fn rescue_case(
    data: &DataFolder,
    store: &Store,
    reason: String,
    reader: LogReader<RealDisk>,
) -> Case {
    let (mut state, applied) = store.load().unwrap_or_default();
    let items = reader.iter_from(applied.0 + 1).map_while(Result::ok);
    for item in items {
        if let Item::Record(stored) = item
            && let Ok(entry) = to_entry(&stored)
        {
            chat::apply(&mut state, &entry);
        }
    }
    Case { reason, state, log: Some((data.log(), reader)), salvageable: false }
}

/// Brings a core to the end of the log.
struct Replay {
    reader: LogReader<RealDisk>,
    guard: ReplayGuard<RealDisk>,
    positions: Positions,
    status: Arc<Status>,
    /// Records that were not there, not readable or not to be interpreted.
    holes: u64,
    /// There are holes since the newest incarnation began.
    lost: bool,
}

/// What a replay leads to.
struct Replayed {
    store: Store,
    chat: Chat,
    positions: Positions,
    lost: bool,
}

impl Replay {
    fn run(
        mut self,
        data: &DataFolder,
        mut store: Store,
        last: u64,
        wish: Wish,
    ) -> anyhow::Result<Replayed> {
        let (mut state, mut applied) = match store.load() {
            Ok(loaded) => loaded,
            Err(StoreError::Corrupt(reason)) => {
                let path: PathBuf = data.index();
                drop(store);
                let (fresh, opened) = Store::rebuild(&path, wish.cache_bytes, &reason)?;
                say_opened(&opened, &self.status);
                store = fresh;
                (State::new(), Offset(0))
            }
            Err(error) => return Err(error).context("can't load the index"),
        };
        while last - applied.0 > REPLAY_STEP {
            applied = self.step(&mut state, applied, &mut store)?;
            self.positions.forget(state.head());
        }
        let mut chat = Chat::new(state, wish.config.clone());
        // Damage may be the last thing that the steps met.
        chat.replay_damaged(applied);
        let count = self.finish(&mut chat, applied)?;
        tracing::info!(records = count, "replayed what the index does not hold");
        if self.holes > 0 {
            chat = self.around_holes(chat, &mut store, last, wish.config);
        }
        self.guard.finish()?;
        let (positions, lost) = (self.positions, self.lost || chat.needs_new_epoch());
        Ok(Replayed { store, chat, positions, lost })
    }

    /// The core serves recent messages from memory down to the first hole, and what is below from
    /// the index: so with a hole all of it goes into the index at once.
    fn around_holes(&mut self, chat: Chat, store: &mut Store, last: u64, config: Config) -> Chat {
        match self.all_steps(store, last) {
            Ok(state) => {
                let mut chat = Chat::new(state, config);
                chat.replay_damaged(Offset(last));
                chat
            }
            Err(error) => {
                tracing::warn!("messages below a hole are missing for now: {error:#}");
                chat
            }
        }
    }

    fn all_steps(&mut self, store: &mut Store, last: u64) -> anyhow::Result<State> {
        let (mut state, mut applied) = store.load()?;
        while applied.0 < last {
            applied = self.step(&mut state, applied, store)?;
        }
        self.positions.forget(state.head());
        Ok(state)
    }

    /// Applies a step of records to the state and writes it into the index. Says how far it came.
    fn step(
        &mut self,
        state: &mut State,
        applied: Offset,
        store: &mut Store,
    ) -> anyhow::Result<Offset> {
        let mut touched = std::collections::BTreeSet::new();
        let mut end = applied;
        let until = applied.0 + REPLAY_STEP;
        for item in self.reader.iter_from(applied.0 + 1) {
            match self.readable(item)? {
                Item::Record(stored) => {
                    end = Offset(stored.offset);
                    self.positions.note(stored.offset, [stored.position]);
                    if let Some(entry) = self.entry(&stored)? {
                        touched.extend(chat::apply(state, &entry));
                    }
                }
                Item::Damaged(range) => end = Offset(self.damaged(range)),
            }
            self.status.advance();
            if end.0 >= until {
                break;
            }
        }
        self.guard.rest()?;
        let applied = state.head();
        let changes: Vec<Change> = std::iter::once(Change::Meta(state.meta().clone()))
            .chain(touched.into_iter().filter_map(|touched| state.change(touched)))
            .collect();
        let places = self.positions.up_to(applied);
        store.checkpoint(applied, &changes, |offset| places.get(offset))?;
        Ok(end)
    }

    /// Replays the rest into the core, which keeps it in memory until its next checkpoint.
    fn finish(&mut self, chat: &mut Chat, applied: Offset) -> anyhow::Result<u64> {
        let mut count = 0;
        for item in self.reader.iter_from(applied.0 + 1) {
            match self.readable(item)? {
                Item::Record(stored) => {
                    self.positions.note(stored.offset, [stored.position]);
                    match self.entry(&stored)? {
                        Some(entry) => chat.replay(&entry),
                        None => chat.replay_damaged(Offset(stored.offset)),
                    }
                }
                Item::Damaged(range) => chat.replay_damaged(Offset(self.damaged(range))),
            }
            self.status.advance();
            count += 1;
        }
        self.guard.rest()?;
        Ok(count)
    }

    /// A failed read is not the fault of the record before it: the guard must not count it.
    fn readable(&mut self, item: Result<Item, log::LogError>) -> anyhow::Result<Item> {
        if item.is_err() {
            self.guard.rest()?;
        }
        Ok(item?)
    }

    /// The record, unless it is quarantined or unreadable for this release.
    fn entry(&mut self, stored: &log::Stored) -> anyhow::Result<Option<chat::Entry>> {
        if self.guard.enter(stored.offset)? == Verdict::Quarantined {
            self.trouble(format!("Record {} crashed replay and is skipped.", stored.offset));
            return Ok(None);
        }
        match to_entry(stored) {
            Ok(entry) => {
                self.lost &= !matches!(entry.body, RecordBody::EpochBegun(_));
                Ok(Some(entry))
            }
            Err(reason) => {
                self.trouble(format!("{reason}; it is skipped."));
                Ok(None)
            }
        }
    }

    fn damaged(&mut self, range: log::DamagedRange) -> u64 {
        let text = format!("Records {} to {} are damaged and skipped.", range.first, range.last);
        self.trouble(text);
        range.last
    }

    fn trouble(&mut self, text: String) {
        self.holes += 1;
        self.lost = true;
        tracing::warn!("{text}");
        self.status.note(text);
    }
}

/// From the system's random source.
pub(crate) fn random_u64() -> anyhow::Result<u64> {
    getrandom::u64().map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use chat::Entry;
    use log::SegmentName;
    use wire::ids::{BoxId, Counter, DeviceId, Epoch, TimeMs, UserId};
    use wire::record::EpochBegun;

    use super::*;

    fn wish(rebuild: bool, salvage: bool) -> Wish {
        let (config, cache_bytes) = (Config::default(), 1 << 20);
        Wish { config, cache_bytes, rebuild, slow_disk: false, salvage }
    }

    fn recovered(data: &DataFolder, wish: Wish) -> Outcome {
        recover(data, wish, &Arc::default()).unwrap()
    }

    fn entry(offset: u64) -> Entry {
        Entry {
            offset: Offset(offset),
            time: TimeMs(1),
            actor: UserId(0),
            device: DeviceId(0),
            counter: Counter(0),
            body: EpochBegun { box_id: BoxId([1; 16]), epoch: Epoch([offset as u8; 16]) }.into(),
        }
    }

    /// Three batches of one record, all in the index, the last one damaged in its body.
    fn damaged_end(data: &DataFolder) -> PathBuf {
        let Outcome::Ready(mut ready) = recovered(data, wish(false, false)) else {
            panic!("a new folder is ready")
        };
        let (mut state, mut last) = (State::new(), None);
        for offset in 1..=3 {
            let mut batch = ready.log.new_batch();
            assert!(batch.push(&[store::records::to_record(&entry(offset))]).unwrap());
            last = Some(ready.log.append(&batch).unwrap());
            chat::apply(&mut state, &entry(offset));
        }
        let changes = [Change::Meta(state.meta().clone())];
        ready.store.checkpoint(Offset(3), &changes, |_| None).unwrap();
        let last = last.unwrap();
        let name: SegmentName = ready.log.reader().segment_names()[0];
        let path = data.log().join(name.file());
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        let body = u64::from(last.byte as u32) + 96 + 64;
        file.write_all_at(&[0xaa; 8], body).unwrap();
        file.sync_all().unwrap();
        path
    }

    #[test]
    fn an_end_that_the_index_knows_is_never_taken_for_torn_also_when_the_index_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).unwrap();
        damaged_end(&data);
        for rebuild in [false, true, true] {
            let outcome = recovered(&data, wish(rebuild, false));
            assert!(matches!(outcome, Outcome::Rescue(case) if case.salvageable), "{rebuild}");
        }
    }

    #[test]
    fn a_power_cut_right_after_the_log_was_salvaged_still_begins_another_incarnation() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).unwrap();
        // Only the log knows of the middle one of three batches.
        let Outcome::Ready(mut ready) = recovered(&data, wish(false, false)) else { panic!() };
        let account = |offset| {
            let (user, name) = (UserId(offset as u32), format!("ann{offset}"));
            let (role, password_hash) = (wire::server::Role::Member, "x".to_owned());
            let body = wire::record::UserAdded { user, name, role, password_hash };
            Entry { body: body.into(), ..entry(offset) }
        };
        let bytes: Vec<_> = [entry(1), account(2), account(3)]
            .iter()
            .map(|entry| {
                let mut batch = ready.log.new_batch();
                assert!(batch.push(&[store::records::to_record(entry)]).unwrap());
                ready.log.append(&batch).unwrap().byte
            })
            .collect();
        let path = data.log().join(ready.log.reader().segment_names()[0].file());
        drop(ready);
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&[0xaa; 8], u64::from(bytes[1] as u32) + 96 + 64).unwrap();
        let disk = RealDisk::open(&data.log()).unwrap();
        let opened = Log::open(disk, Options::new(1), OpenFrom::default()).unwrap();
        let OpenOutcome::Rescue(rescue) = opened else { panic!("damage below an ack") };
        drop(rescue.salvage().unwrap());
        let Outcome::Ready(ready) = recovered(&data, wish(false, false)) else { panic!() };
        assert!(ready.lost && ready.log.next_offset() == 4);
    }

    #[test]
    fn salvage_overwrites_nothing_and_gives_no_offset_twice() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).unwrap();
        let segment = damaged_end(&data);
        let before = std::fs::read(&segment).unwrap();
        let Outcome::Ready(ready) = recovered(&data, wish(false, true)) else { panic!("salvaged") };
        assert!(std::fs::read(&segment).unwrap() == before);
        assert_eq!(ready.log.next_offset(), 4);
        assert!(ready.lost);
    }
}
