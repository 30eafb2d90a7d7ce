//! The bytes on disk are frozen: a segment written by version 1 stays readable for ever, and this
//! build still writes the same bytes. `LINNET_BLESS=1` writes the file anew, for a new version
//! only.

use crate::common::{append, open};
use linnet_log::{Disk, FaultDisk, Item, Record};

const SEGMENT: u64 = 4096;
const NAME: &str = "seg-00000001-0000000000000001-1122334455667788";

fn golden_path() -> std::path::PathBuf {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    root.join("tests/data/log").join(NAME)
}

fn golden_records() -> Vec<Vec<Record>> {
    let message = Record {
        kind: 0x0102,
        time_ms: 1_767_225_600_000,
        actor: 7,
        device: 9,
        counter: 11,
        payload: b"hello, linnet".to_vec(),
    };
    let empty = Record { kind: 3, time_ms: 1_767_225_600_001, ..Record::default() };
    let long = Record { kind: 4, payload: (0..=255).cycle().take(700).collect(), ..message };
    vec![vec![message.clone()], vec![empty, long], vec![message]]
}

fn write_golden() -> Vec<u8> {
    let disk = FaultDisk::new(1);
    let mut log = open(&disk, SEGMENT).log;
    for records in golden_records() {
        append(&mut log, &records).unwrap();
    }
    disk.device_bytes(NAME).unwrap()
}

#[test]
fn this_build_writes_the_golden_bytes() {
    let written = write_golden();
    if std::env::var_os("LINNET_BLESS").is_some() {
        std::fs::write(golden_path(), &written).unwrap();
    }
    assert_eq!(written, std::fs::read(golden_path()).unwrap());
}

#[test]
fn the_golden_segment_is_read() {
    let disk = FaultDisk::new(1);
    let file = disk.create(NAME).unwrap();
    disk.pwrite(&file, 0, &std::fs::read(golden_path()).unwrap()).unwrap();
    let opened = open(&disk, SEGMENT);
    let found: Vec<Record> = opened
        .reader()
        .iter_from(1)
        .map(|item| match item.unwrap() {
            Item::Record(stored) => stored.record,
            Item::Damaged(range) => panic!("{range:?}"),
        })
        .collect();
    assert_eq!(found, golden_records().concat());
    assert_eq!(opened.report.findings.batches, 3);
}
