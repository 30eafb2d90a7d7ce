//! Random histories of appends, kills, power cuts and failed syncs, each decided by one seed:
//! what was acknowledged or served is never lost, the rest is whole or absent, order is kept.

use crate::common::{LOG_ID, record};
use linnet_log::disk::Disk;
use linnet_log::{
    FaultDisk, Item, Log, LogError, OpenFrom, OpenOutcome, Opened, Options, ReadFrom, Record,
};

const SEGMENT: u64 = 4096;

#[test]
fn acknowledged_records_survive_every_crash() {
    for seed in 0..400 {
        if let Err(violation) = run(seed, &small_options()) {
            panic!("seed {seed}: {violation}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in 0..5 {
        assert_eq!(run(seed, &small_options()), run(seed, &small_options()));
    }
}

#[cfg(feature = "mutants")]
#[test]
fn every_deliberate_fault_is_noticed() {
    use linnet_log::Mutant;
    for mutant in [Mutant::SkipRecoverySync, Mutant::KeepTornRecord] {
        let faulty = Options { mutant: Some(mutant), ..small_options() };
        let caught = (0..200).find(|&seed| run(seed, &faulty).is_err());
        assert!(caught.is_some(), "{mutant:?} was not noticed");
    }
}

fn small_options() -> Options {
    Options { segment_bytes: SEGMENT, ..Options::new(LOG_ID) }
}

/// What a correct log must hold.
struct Model {
    random: u64,
    /// Acknowledged or served once: must never be lost.
    kept: Vec<Record>,
    /// Handed to an append that did not return `Ok`: whole or absent.
    unsure: Vec<Record>,
}

impl Model {
    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn new_records(&mut self) -> Vec<Record> {
        let next = self.kept.len() as u64 + 1;
        (next..next + 1 + self.random(4)).map(|n| record(n, self.random(900) as usize)).collect()
    }

    /// Compares the log with the model; what it serves is kept from now on.
    fn check(&mut self, opened: &Opened<FaultDisk>) -> Result<(), String> {
        let mut found = Vec::new();
        for item in opened.reader().iter_from(1) {
            match item.map_err(|error| error.to_string())? {
                Item::Record(stored) => found.push(stored.record),
                Item::Damaged(range) => return Err(format!("damaged: {range:?}")),
            }
        }
        let mut with_unsure = self.kept.clone();
        with_unsure.append(&mut self.unsure);
        if found != self.kept && found != with_unsure {
            return Err(format!("{} records, {} kept", found.len(), self.kept.len()));
        }
        self.kept = found;
        Ok(())
    }
}

fn run(seed: u64, options: &Options) -> Result<usize, String> {
    let mut model = Model { random: seed * 2 + 1, kept: Vec::new(), unsure: Vec::new() };
    let mut disk = FaultDisk::new(seed);
    for _ in 0..20 {
        if model.random(4) == 0 {
            disk.stop_after(1 + model.random(12));
        }
        if let Some(opened) = reopen(&disk, options, &mut model)? {
            model.check(&opened)?;
            live(&disk, opened.log, &mut model);
        }
        disk = if model.random(2) == 0 { disk.kill() } else { disk.power_cut() };
    }
    Ok(model.kept.len())
}

/// `None` when the process died while it recovered.
fn reopen(
    disk: &FaultDisk,
    options: &Options,
    model: &mut Model,
) -> Result<Option<Opened<FaultDisk>>, String> {
    let applied_offset = model.random(model.kept.len() as u64 + 1);
    let from = OpenFrom { applied_offset, read_from: ReadFrom::Device };
    match Log::open(disk.clone(), options.clone(), from) {
        Ok(OpenOutcome::Ready(opened)) => Ok(Some(opened)),
        Ok(OpenOutcome::Rescue(rescue)) => Err(format!("rescue: {:?}", rescue.report())),
        Err(LogError::Disk(_) | LogError::SyncFailed(_)) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Appends until something stops the process.
fn live(disk: &FaultDisk, mut log: Log<FaultDisk>, model: &mut Model) {
    let steps = 1 + model.random(12);
    if model.random(2) == 0 {
        disk.stop_after(1 + model.random(20));
    }
    for _ in 0..steps {
        if model.random(10) == 0 {
            disk.fail_next_sync();
        }
        if model.random(3) == 0 {
            // A failed preparation may leave nothing that harms; the next start cleans up.
            let _ = log.shelf().prepare_spare(disk, &mut || {});
        }
        let records = model.new_records();
        let mut batch = log.new_batch();
        assert!(batch.push(&records).unwrap());
        match log.append(&batch) {
            Ok(_) => model.kept.extend(records),
            Err(LogError::NoSpare) => {}
            Err(_) => {
                model.unsure = records;
                return;
            }
        }
        if model.random(8) == 0 {
            disk.evict_cache();
        }
    }
}

#[test]
fn a_crash_at_every_operation_of_a_segment_switch_is_survived() {
    for stop in 1..12 {
        for seed in 0..40 {
            let disk = FaultDisk::new(seed);
            let opened = reopen_fresh(&disk);
            let mut log = opened.log;
            log.shelf().prepare_spare(&disk, &mut || {}).unwrap();
            crate::common::fill(&disk, &mut log, 7, 100);
            disk.stop_after(stop);
            let acked = (8..=11)
                .take_while(|&n| crate::common::append(&mut log, &[record(n, 100)]).is_ok())
                .count() as u64;
            let disk = if seed % 2 == 0 { disk.kill() } else { disk.power_cut() };
            let last = reopen_fresh(&disk).report.last_offset;
            assert!(last == 7 + acked || last == 8 + acked, "stop {stop} seed {seed}");
            assert!(disk.list().unwrap().iter().filter(|n| n.starts_with("seg-")).count() <= 2);
        }
    }
}

fn reopen_fresh(disk: &FaultDisk) -> Opened<FaultDisk> {
    Log::open(disk.clone(), small_options(), OpenFrom::default()).unwrap().ready().unwrap()
}
