//! The one-off jobs: a new data folder from a backup, and going on without what a damaged log lost.
//! Both begin a new incarnation, so that clients drop their copies and keep their outboxes.

use std::fs::{self, File};
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use chat::{Config, Entry};
use files::import::{self, Import};
use log::{Batch, Item, Log, OpenFrom, OpenOutcome, Options, RealDisk};
use wire::ids::{BoxId, Counter, DeviceId, Epoch, Offset, UserId};
use wire::record::EpochBegun;

use crate::budget::Budget;
use crate::claim::random;
use crate::core::now;
use crate::data::{DataFolder, make_folder};
use crate::health::Status;
use crate::recover::{self, Outcome, Wish, random_u64};
use store::records::to_record;

/// Fills a fresh data folder from a backup.
pub(crate) fn run(root: &Path, backup: &Path) -> anyhow::Result<()> {
    let summary = import::verify(open(backup)?)
        .with_context(|| format!("{} can't be restored", backup.display()))?;
    let data = DataFolder::open(root)?;
    if !data.is_fresh()? {
        bail!("{} is not empty: restore into a new folder", root.display());
    }
    let beside = fresh_folder(root)?;
    let disk = RealDisk::open(&beside).context("can't open the log's folder")?;
    let outcome = Log::open(disk.clone(), Options::new(random_u64()?), OpenFrom::default());
    let OpenOutcome::Ready(opened) = outcome.context("can't make a log")? else {
        bail!("the new log is damaged already: use another card");
    };
    let mut writer = Writer { batch: opened.log.new_batch(), log: opened.log, disk };
    let mut import = Import::begin(open(backup)?)?;
    while let Some(item) = import.next_item()? {
        if let Item::Record(stored) = item {
            writer.put(stored.record)?;
        }
    }
    writer.begin_epoch(summary.header.box_id)?;
    drop(writer);
    put_in_place(root, &beside, &data.log())?;
    let (records, damaged) = (summary.records, summary.damaged);
    tracing::info!(records, damaged, "the backup is restored; clients sign in as before");
    Ok(())
}

/// The log is filled beside its place: a restore that was cut short must not look like a box that
/// lost half of its messages.
fn fresh_folder(root: &Path) -> anyhow::Result<PathBuf> {
    let beside = root.join("log.restoring");
    match fs::remove_dir_all(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("can't remove {}", beside.display()));
        }
        _ => make_folder(&beside)?,
    }
    Ok(beside)
}

/// The empty folder gives way in one step.
fn put_in_place(root: &Path, beside: &Path, log: &Path) -> anyhow::Result<()> {
    let placed = fs::rename(beside, log).and_then(|()| File::open(root)?.sync_all());
    placed.with_context(|| format!("can't move the restored log to {}", log.display()))
}

/// Goes on without what the tail segment lost.
pub(crate) fn salvage(root: &Path) -> anyhow::Result<()> {
    let data = DataFolder::open(root)?;
    let wish = Wish {
        config: Config::default(),
        cache_bytes: usize::try_from(Budget::of_this_machine().index_cache)
            .expect("a share of 32 MiB at most"),
        rebuild: true,
        slow_disk: false,
        salvage: true,
    };
    let status = Arc::new(Status::default());
    let recovered = match recover::recover(&data, wish, &status)? {
        Outcome::Ready(recovered) => *recovered,
        Outcome::Rescue(case) => bail!("{}", case.reason),
    };
    let box_id = recovered.chat.state().meta().box_id;
    let mut writer =
        Writer { batch: recovered.log.new_batch(), log: recovered.log, disk: recovered.disk };
    writer.begin_epoch(box_id)?;
    tracing::info!("salvaged; start linnetd as usual");
    Ok(())
}

fn open(path: &Path) -> anyhow::Result<BufReader<File>> {
    let file = File::open(path).with_context(|| format!("can't open {}", path.display()))?;
    Ok(BufReader::with_capacity(files::limits::CHUNK_BYTES, file))
}

/// Appends records in whole batches and prepares segments by itself.
struct Writer {
    log: Log<RealDisk>,
    disk: RealDisk,
    batch: Batch,
}

impl Writer {
    fn put(&mut self, record: log::Record) -> anyhow::Result<()> {
        let record = [record];
        if !self.batch.push(&record)? {
            self.flush()?;
            self.batch.push(&record)?;
        }
        Ok(())
    }

    /// The last record of a restore or salvage: a new incarnation of the same box.
    fn begin_epoch(&mut self, box_id: BoxId) -> anyhow::Result<()> {
        let body = EpochBegun { box_id, epoch: Epoch(random()?) };
        self.put(to_record(&Entry {
            offset: Offset(self.log.next_offset()),
            time: now(),
            actor: UserId(0),
            device: DeviceId(0),
            counter: Counter(0),
            body: body.into(),
        }))?;
        self.flush()
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        if !self.log.has_room_for(&self.batch) {
            let shelf = self.log.shelf().clone();
            shelf.prepare_spare(&self.disk, &mut || {}).context("no room for the log")?;
        }
        self.log.append(&self.batch).context("can't write the log")?;
        self.batch.clear();
        Ok(())
    }
}
