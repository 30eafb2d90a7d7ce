//! The box: the real core, the real log on its fault disk, the real store on a fault backend, and
//! the program that connects them until something stops it.

mod program;

use std::collections::{BTreeMap, VecDeque};

use chat::{ApiCall, ApiError, ApiReply, Change, Chat, Config, Entry, Output, Ticket};
use log::{
    DiskError, FaultDisk, Item, Log, LogError, LogReader, OpenFrom, OpenOutcome, Options, Position,
    ReadFrom,
};
use store::Store;
use wire::ids::{DeviceToken, Epoch, Offset, UserId};

use crate::backend::FaultBackend;
use crate::mutants::Faults;
use crate::plan::Plan;
use crate::random::Random;
use crate::record::{to_entry, to_record};
use crate::violation::{Checked, broken};

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
        config.shares.crowd_members = plan.crowd_members;
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
