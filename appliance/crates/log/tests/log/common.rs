//! Helpers shared by the log's tests.

use linnet_log::{
    Appended, Disk, Item, Log, LogError, LogReader, OpenFrom, OpenOutcome, Opened, Options, Record,
};

pub(crate) const LOG_ID: u64 = 0x1122_3344_5566_7788;

pub(crate) fn options(segment_bytes: u64) -> Options {
    Options { segment_bytes, ..Options::new(LOG_ID) }
}

pub(crate) fn record(number: u64, payload_bytes: usize) -> Record {
    let fill = u8::try_from(number % 251).unwrap();
    Record {
        kind: 7,
        time_ms: 1_700_000_000_000 + number,
        actor: 3,
        device: 4,
        counter: number,
        payload: vec![fill; payload_bytes],
    }
}

pub(crate) fn outcome<D: Disk>(disk: &D, segment_bytes: u64, applied: u64) -> OpenOutcome<D> {
    let from = OpenFrom { applied_offset: applied, ..OpenFrom::default() };
    Log::open(disk.clone(), options(segment_bytes), from).unwrap()
}

pub(crate) fn open<D: Disk>(disk: &D, segment_bytes: u64) -> Opened<D> {
    match outcome(disk, segment_bytes, 0) {
        OpenOutcome::Ready(opened) => opened,
        OpenOutcome::Rescue(rescue) => panic!("rescue: {:?}", rescue.report()),
    }
}

pub(crate) fn append<D: Disk>(log: &mut Log<D>, records: &[Record]) -> Result<Appended, LogError> {
    let mut batch = log.new_batch();
    assert!(batch.push(records)?);
    log.append(&batch)
}

/// Appends single records numbered by their offsets, preparing spares as the index thread would.
pub(crate) fn fill<D: Disk>(disk: &D, log: &mut Log<D>, count: u64, payload_bytes: usize) {
    for _ in 0..count {
        if log.shelf().spares_ready() == 0 {
            log.shelf().prepare_spare(disk, &mut || {}).unwrap();
        }
        let number = log.next_offset();
        append(log, &[record(number, payload_bytes)]).unwrap();
    }
}

/// Everything from offset 1: the counters of readable records, and damaged ranges.
pub(crate) fn contents<D: Disk>(reader: &LogReader<D>) -> (Vec<u64>, Vec<(u64, u64)>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for item in reader.iter_from(1) {
        match item.unwrap() {
            Item::Record(stored) => {
                assert_eq!(stored.offset, stored.record.counter, "records keep their offsets");
                assert_eq!(stored.record, record(stored.offset, stored.record.payload.len()));
                good.push(stored.offset);
            }
            Item::Damaged(range) => bad.push((range.first, range.last)),
        }
    }
    (good, bad)
}
