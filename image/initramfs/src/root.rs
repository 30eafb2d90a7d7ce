//! Finds the root partition: the disk whose MBR carries the wanted id, and its wanted partition.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cmdline::Root;

/// A card reader on a busy emulated machine answers within seconds; past this it is not coming.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// The kernel's own `rootwait` looks again after 5 ms.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// The disk id lies before the partition table of an MBR.
const DISK_ID_OFFSET: usize = 440;

/// Looks again, as the kernel's `rootwait` does, until the partition is there.
pub(crate) fn wait_for(root: &Root) -> Result<PathBuf, String> {
    let start = Instant::now();
    while start.elapsed() < WAIT_MAX {
        if let Some(device) = find(root) {
            return Ok(device);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Err(format!("no disk with id {:08x} and partition {}", root.disk_id, root.partition))
}

fn find(root: &Root) -> Option<PathBuf> {
    let disks = fs::read_dir("/sys/block").ok()?;
    disks.flatten().find_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let device = Path::new("/dev").join(&name);
        (disk_id(&device)? == root.disk_id).then(|| partition(&name, root.partition))?
    })
}

fn disk_id(device: &Path) -> Option<u32> {
    let mut sector = [0; 512];
    fs::File::open(device).ok()?.read_exact(&mut sector).ok()?;
    let bytes = sector[DISK_ID_OFFSET..].first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes))
}

/// The partition's own folder in sysfs names its device, whatever the disk's naming scheme.
fn partition(disk: &str, number: u32) -> Option<PathBuf> {
    let parts = fs::read_dir(Path::new("/sys/block").join(disk)).ok()?;
    parts.flatten().find_map(|entry| {
        let text = fs::read_to_string(entry.path().join("partition")).ok()?;
        (text.trim().parse() == Ok(number)).then(|| Path::new("/dev").join(entry.file_name()))
    })
}
