//! What the machine says about itself and this process, from /proc and /sys, for owners who measure
//! their box. What a kernel or board does not tell is none. Only reads; the root is passed in so
//! that tests bring their own.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};
use web::{Card, Figures};

/// Bytes of a sector in /sys, whatever the device's own are.
const SECTOR_BYTES: u64 = 512;

/// Longest text taken from a file of /proc or /sys: such names are a line.
const TEXT_BYTES_MAX: usize = 128;

/// Where to look.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    root: PathBuf,
    /// Folder in /sys of the device under DATA.
    device: Option<PathBuf>,
}

impl Machine {
    /// This machine, with the device that holds this folder.
    pub(crate) fn of(data: &Path) -> Self {
        let number = fs::metadata(data).ok().map(|it| it.dev());
        let device = number.map(|number| format!("{}:{}", major(number), minor(number)));
        Self::below(Path::new("/"), device.as_deref())
    }

    /// `device` is `major:minor`.
    fn below(root: &Path, device: Option<&str>) -> Self {
        let device = device.map(|number| root.join("sys/dev/block").join(number));
        Self { root: root.to_owned(), device: device.filter(|folder| folder.exists()) }
    }

    /// Looks now. Takes milliseconds: walking the memory map is the kernel's work.
    pub(crate) fn figures(&self, sessions: usize) -> Figures {
        Figures {
            sessions,
            pss_bytes: self.labelled("proc/self/smaps_rollup", "Pss:").map(kibibytes),
            write_bytes: self.labelled("proc/self/io", "write_bytes:"),
            device_write_bytes: self.device.as_deref().and_then(written),
            temperature_millidegrees: self.number("sys/class/thermal/thermal_zone0/temp"),
            board: self.text("proc/device-tree/model"),
            kernel: self.text("proc/sys/kernel/osrelease"),
            card: self.device.as_deref().map(card),
            uptime_seconds: self.text("proc/uptime").and_then(|text| whole(&text)),
            cores: self.cores(),
            memory_bytes: self.labelled("proc/meminfo", "MemTotal:").map(kibibytes),
        }
    }

    fn text(&self, path: &str) -> Option<String> {
        text(&self.root.join(path))
    }

    fn number<T: std::str::FromStr>(&self, path: &str) -> Option<T> {
        self.text(path)?.parse().ok()
    }

    /// The first number behind a label at the start of a line.
    fn labelled(&self, path: &str, label: &str) -> Option<u64> {
        let text = fs::read_to_string(self.root.join(path)).ok()?;
        let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
        rest.split_whitespace().next()?.parse().ok()
    }

    fn cores(&self) -> Option<usize> {
        let text = fs::read_to_string(self.root.join("proc/cpuinfo")).ok()?;
        Some(text.lines().filter(|line| line.starts_with("processor")).count())
    }
}

const fn kibibytes(number: u64) -> u64 {
    number * 1_024
}

/// Bytes written to a device since it was found: the seventh number of its `stat`.
fn written(device: &Path) -> Option<u64> {
    let stat = fs::read_to_string(device.join("stat")).ok()?;
    let sectors: u64 = stat.split_whitespace().nth(6)?.parse().ok()?;
    Some(sectors * SECTOR_BYTES)
}

/// What carries a partition, or the device itself. Cards say their name, disks their model.
fn card(device: &Path) -> Card {
    let whole = match device.join("partition").exists() {
        true => device.join(".."),
        false => device.to_owned(),
    };
    let sectors: Option<u64> = text(&whole.join("size")).and_then(|text| text.parse().ok());
    let about = |name: &str| text(&whole.join("device").join(name));
    Card {
        name: about("name").or_else(|| about("model")),
        kind: about("type"),
        date: about("date"),
        bytes: sectors.map(|sectors| sectors * SECTOR_BYTES),
    }
}

/// One line without its end; device trees end theirs with a zero byte.
fn text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty() && text.len() <= TEXT_BYTES_MAX).then(|| text.to_owned())
}

/// The whole part of `12.34 …`.
fn whole(text: &str) -> Option<u64> {
    text.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Pi with its card, as far as anybody looks.
    fn pi() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("proc/self/smaps_rollup", "00-ff ---p 00:00 0 [rollup]\nRss: 9 kB\nPss:     1200 kB\n");
        put("proc/self/io", "wchar: 7\nwrite_bytes: 4096\ncancelled_write_bytes: 1\n");
        put("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0");
        put("proc/sys/kernel/osrelease", "6.18.1\n");
        put("proc/uptime", "3601.50 9000.00\n");
        put("proc/cpuinfo", "processor : 0\nmodel : x\n\nprocessor : 1\n");
        put("proc/meminfo", "MemTotal:        2000 kB\nMemFree: 1 kB\n");
        put("sys/class/thermal/thermal_zone0/temp", "48312\n");
        put("sys/devices/mmcblk0/size", "2000\n");
        put("sys/devices/mmcblk0/device/name", "SC64G\n");
        put("sys/devices/mmcblk0/device/type", "SD\n");
        put("sys/devices/mmcblk0/device/date", "03/2024\n");
        put("sys/devices/mmcblk0/mmcblk0p3/partition", "3\n");
        put("sys/devices/mmcblk0/mmcblk0p3/stat", "1 2 3 4 5 6 8 9 0 0 0\n");
        fs::create_dir_all(root.path().join("sys/dev/block")).unwrap();
        let target = "../../devices/mmcblk0/mmcblk0p3";
        let link = root.path().join("sys/dev/block/179:3");
        std::os::unix::fs::symlink(target, link).unwrap();
        root
    }

    #[test]
    fn a_board_tells_everything() {
        let root = pi();
        let figures = Machine::below(root.path(), Some("179:3")).figures(5);
        assert_eq!(
            figures,
            Figures {
                sessions: 5,
                pss_bytes: Some(1_200 * 1_024),
                write_bytes: Some(4_096),
                device_write_bytes: Some(8 * 512),
                temperature_millidegrees: Some(48_312),
                board: Some("Raspberry Pi 4 Model B Rev 1.4".into()),
                kernel: Some("6.18.1".into()),
                card: Some(Card {
                    name: Some("SC64G".into()),
                    kind: Some("SD".into()),
                    date: Some("03/2024".into()),
                    bytes: Some(2_000 * 512),
                }),
                uptime_seconds: Some(3_601),
                cores: Some(2),
                memory_bytes: Some(2_000 * 1_024),
            }
        );
    }

    #[test]
    fn what_is_not_told_is_none() {
        let root = tempfile::tempdir().unwrap();
        let machine = Machine::below(root.path(), Some("179:3"));
        assert_eq!(machine.figures(0), Figures::default());
    }

    #[test]
    fn this_process_has_memory_and_writes() {
        let folder = tempfile::tempdir().unwrap();
        let figures = Machine::of(folder.path()).figures(0);
        assert!(figures.pss_bytes.is_some_and(|bytes| bytes > 100_000), "{figures:?}");
        assert!(figures.write_bytes.is_some() && figures.kernel.is_some(), "{figures:?}");
        assert!(figures.cores.is_some_and(|cores| cores > 0), "{figures:?}");
    }
}
