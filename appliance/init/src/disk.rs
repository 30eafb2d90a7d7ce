//! Finding the boot disk and its partitions, by the device that the root file system came from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::boot_ms;
use crate::limits::DISK_WAIT_MS;
use crate::partitions::SECTOR_BYTES;
use crate::smallfile::read_text;

/// BOOT-B; the slot area lies between it and the extended partition.
const LAST_BOOT_PARTITION: u32 = 3;
const EXTENDED_PARTITION: u32 = 4;

/// The card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BootDisk {
    /// Its folder in sysfs.
    sys: PathBuf,
    /// Number of the partition that holds the running root file system.
    pub(crate) root_partition: u32,
}

/// One partition as the kernel sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Its device file.
    pub(crate) device: PathBuf,
    /// Where it begins on the disk, in sectors of 512 bytes.
    pub(crate) start: u64,
    /// Its length, likewise.
    pub(crate) sectors: u64,
}

impl BootDisk {
    /// Finds the disk of the mounted root; `root` from the command line helps where that fails.
    pub(crate) fn find(root: Option<&str>) -> io::Result<Self> {
        let mounted = read_text("/proc/self/mountinfo").as_deref().and_then(root_device);
        let link = match (&mounted, root) {
            (Some(number), _) => PathBuf::from(format!("/sys/dev/block/{number}")),
            (None, Some(name)) => {
                Path::new("/sys/class/block").join(name.trim_start_matches("/dev/"))
            }
            (None, None) => return Err(io::Error::other("the root file system is on no disk")),
        };
        Self::from_sys(&fs::canonicalize(link)?)
    }

    fn from_sys(partition: &Path) -> io::Result<Self> {
        let number = read_text(partition.join("partition")).and_then(|text| text.parse().ok());
        let root_partition =
            number.ok_or_else(|| io::Error::other("the root file system is on no partition"))?;
        let sys =
            partition.parent().ok_or_else(|| io::Error::other("the partition has no disk"))?;
        Ok(Self { sys: sys.to_owned(), root_partition })
    }

    /// Device file of the whole disk.
    pub(crate) fn device(&self) -> PathBuf {
        Path::new("/dev").join(self.sys.file_name().unwrap_or_default())
    }

    /// Length of the whole disk in sectors of 512 bytes.
    pub(crate) fn sectors(&self) -> Option<u64> {
        read_text(self.sys.join("size"))?.parse().ok()
    }

    /// A partition by its number, whatever the driver calls it (vda7, mmcblk0p7).
    pub(crate) fn partition(&self, number: u32) -> Option<Partition> {
        let wanted = number.to_string();
        let folders = fs::read_dir(&self.sys).ok()?.flatten().map(|entry| entry.path());
        let mut found =
            folders.filter(|path| read_text(path.join("partition")) == Some(wanted.clone()));
        let folder = found.next()?;
        let number = |name: &str| read_text(folder.join(name))?.parse().ok();
        let (start, sectors) = (number("start")?, number("size")?);
        let device = Path::new("/dev").join(folder.file_name()?);
        Some(Partition { device, start, sectors })
    }

    /// Whether `bytes` from `offset` on lie between the last boot partition and the extended one,
    /// where nothing of any file system is.
    pub(crate) fn is_gap(&self, offset: u64, bytes: u64) -> bool {
        let (Some(before), Some(after)) =
            (self.partition(LAST_BOOT_PARTITION), self.partition(EXTENDED_PARTITION))
        else {
            return false;
        };
        let at = |sector: u64| sector.saturating_mul(SECTOR_BYTES as u64);
        offset >= at(before.start.saturating_add(before.sectors))
            && offset.checked_add(bytes).is_some_and(|end| end <= at(after.start))
    }

    /// Waits for a partition's device file to appear.
    pub(crate) fn wait_for(&self, number: u32, mut idle: impl FnMut()) -> Option<Partition> {
        loop {
            let found = self.partition(number).filter(|partition| partition.device.exists());
            if found.is_some() || boot_ms() > DISK_WAIT_MS {
                return found;
            }
            idle();
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The device number of `/` (`major:minor`), unless it is on no block device.
fn root_device(mountinfo: &str) -> Option<String> {
    // proc_pid_mountinfo(5): id, parent, major:minor, root, mount point, … The last one counts.
    let root = mountinfo.lines().rfind(|line| line.split(' ').nth(4) == Some("/"))?;
    let number = root.split(' ').nth(2)?;
    (!number.starts_with("0:")).then(|| number.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_of_the_last_root_mount_is_taken() {
        let text = "1 1 0:2 / / rw - rootfs rootfs rw\n\
                    22 1 254:5 / / ro,relatime - squashfs /dev/root ro\n\
                    23 22 0:21 / /proc rw - proc proc rw\n";
        assert_eq!(root_device(text).as_deref(), Some("254:5"));
        assert_eq!(root_device("1 1 0:2 / / rw - rootfs rootfs rw\n"), None);
        assert_eq!(root_device(""), None);
    }

    #[test]
    fn partitions_are_found_by_number_whatever_they_are_called() {
        let sys = tempfile::tempdir().unwrap();
        let disk = sys.path().join("mmcblk0");
        let parts = [("3", 100, 50), ("4", 250, 2), ("5", 400, 10), ("7", 500, 2048)];
        for (number, start, size) in parts {
            let name = format!("mmcblk0p{number}");
            fs::create_dir_all(disk.join(&name)).unwrap();
            let put = |file: &str, text: String| fs::write(disk.join(&name).join(file), text);
            put("partition", format!("{number}\n")).unwrap();
            put("start", format!("{start}\n")).unwrap();
            put("size", format!("{size}\n")).unwrap();
        }
        fs::write(disk.join("size"), "8192\n").unwrap();
        let found = BootDisk::from_sys(&disk.join("mmcblk0p5")).unwrap();
        assert_eq!(found.root_partition, 5);
        assert_eq!(found.device(), Path::new("/dev/mmcblk0"));
        assert_eq!(found.sectors(), Some(8192));
        let expected = Partition { device: "/dev/mmcblk0p7".into(), start: 500, sectors: 2048 };
        assert_eq!(found.partition(7), Some(expected));
        assert_eq!(found.partition(6), None);
        let gap = |first: u64, count: u64| found.is_gap(first * 512, count * 512);
        assert!(gap(150, 100) && gap(200, 10));
        assert!(!gap(149, 10) && !gap(200, 51) && !gap(0, 8) && !gap(u64::MAX / 512, 8));
    }
}
