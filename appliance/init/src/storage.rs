//! The storage probe: reads the slot area past the page cache, over and over, on a thread of its
//! own. A card that hangs hangs this thread, and the missing answers end the watchdog's feeding.

use std::path::PathBuf;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use crate::events::Event;
use crate::limits::STORAGE_PROBE_MS;
use crate::rawdisk::RawDisk;

/// Starts probing `disk` at `offset` bytes.
pub(crate) fn watch(disk: PathBuf, offset: u64, events: SyncSender<Event>) {
    std::thread::spawn(move || {
        let mut open: Option<RawDisk> = None;
        loop {
            if open.is_none() {
                open = RawDisk::open(&disk).ok();
            }
            if answers(open.as_ref(), offset) && events.send(Event::StorageAnswered).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(STORAGE_PROBE_MS));
        }
    });
}

fn answers(disk: Option<&RawDisk>, offset: u64) -> bool {
    let mut bytes = [0; 512];
    disk.is_some_and(|disk| disk.read(offset, &mut bytes).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_disk_that_returns_bytes_answers() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        let disk = RawDisk::from(file);
        assert!(answers(Some(&disk), 512));
        assert!(!answers(Some(&disk), 4096));
        assert!(!answers(None, 0));
    }
}
