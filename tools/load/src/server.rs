//! What the server under load uses, from /proc: processor time by thread, memory with the kernel's
//! part, bytes written.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::fs::{major, minor};
use serde::Serialize;

/// Bytes of a sector in /sys/…/stat, whatever the device's own are.
const SECTOR_BYTES: u64 = 512;

/// Where to look.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    pid: u32,
    device: Option<PathBuf>,
}

/// One look.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    at: Instant,
    /// By thread number: name and nanoseconds on a processor.
    threads: BTreeMap<u32, (String, u64)>,
    pss_bytes: u64,
    slab_bytes: u64,
    io_kiocb_bytes: u64,
    write_bytes: u64,
    device_write_bytes: Option<u64>,
}

/// What the server used between two looks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerUse {
    /// Seconds between the looks.
    pub seconds: f64,
    /// User and system time of all threads, in microseconds.
    pub cpu_us: f64,
    /// The same by thread name, busiest first.
    pub threads: Vec<ThreadUse>,
    /// Growth of the proportional set size, in bytes.
    pub pss_growth_bytes: i64,
    /// Proportional set size at the end, in bytes.
    pub pss_bytes: u64,
    /// Growth of the kernel's slab, both ends of loopback together, in bytes.
    pub slab_growth_bytes: i64,
    /// The part of it that are `io_uring` requests, in bytes: the server's alone.
    pub io_kiocb_growth_bytes: i64,
    /// Bytes that the process sent to the disk (`write_bytes` of /proc/PID/io).
    pub write_bytes: u64,
    /// Bytes written to the device under the data folder, by anybody.
    pub device_write_bytes: Option<u64>,
}

/// One thread's time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ThreadUse {
    /// Its name.
    pub name: String,
    /// User and system time, in microseconds.
    pub cpu_us: f64,
}

impl Meter {
    /// Watches a process and the device under a folder.
    ///
    /// # Errors
    /// A folder that can't be looked at.
    pub(crate) fn new(pid: u32, data: Option<&Path>) -> Result<Self> {
        let device = data.map(device_stat).transpose()?.filter(|path| path.exists());
        Ok(Self { pid, device })
    }

    pub(crate) fn sample(&self) -> Result<Sample> {
        let process = PathBuf::from(format!("/proc/{}", self.pid));
        let pss = read(&process.join("smaps_rollup"))?;
        let io = read(&process.join("io"))?;
        let device = self.device.as_deref().map(read).transpose()?;
        Ok(Sample {
            threads: threads(&process)?,
            at: Instant::now(),
            pss_bytes: kilobytes(&pss, "Pss:"),
            slab_bytes: kilobytes(&read(Path::new("/proc/meminfo"))?, "Slab:"),
            // Readable by root only, and only the finer figure.
            io_kiocb_bytes: read(Path::new("/proc/slabinfo"))
                .map_or(0, |text| cache_bytes(&text, "io_kiocb")),
            write_bytes: number(&io, "write_bytes:"),
            device_write_bytes: device.as_deref().and_then(sectors_written),
        })
    }
}

impl Sample {
    /// What was used from the other look to this one.
    pub(crate) fn since(&self, before: &Self) -> ServerUse {
        let threads = self.threads_since(before);
        let written = |sample: &Self| sample.device_write_bytes;
        ServerUse {
            seconds: (self.at - before.at).as_secs_f64(),
            cpu_us: threads.iter().map(|thread| thread.cpu_us).sum(),
            threads,
            pss_growth_bytes: growth(before.pss_bytes, self.pss_bytes),
            pss_bytes: self.pss_bytes,
            slab_growth_bytes: growth(before.slab_bytes, self.slab_bytes),
            io_kiocb_growth_bytes: growth(before.io_kiocb_bytes, self.io_kiocb_bytes),
            write_bytes: self.write_bytes - before.write_bytes,
            device_write_bytes: written(self).zip(written(before)).map(|(now, then)| now - then),
        }
    }

    fn threads_since(&self, before: &Self) -> Vec<ThreadUse> {
        let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
        for (id, (name, cpu_ns)) in &self.threads {
            let then = before.threads.get(id).map_or(0, |(_, cpu_ns)| *cpu_ns);
            *by_name.entry(name).or_default() += cpu_ns.saturating_sub(then);
        }
        let used = by_name.into_iter().map(|(name, cpu_ns)| ThreadUse {
            name: name.to_owned(),
            cpu_us: microseconds(cpu_ns),
        });
        let mut used: Vec<ThreadUse> = used.collect();
        used.sort_by(|a, b| b.cpu_us.total_cmp(&a.cpu_us));
        used
    }
}

#[allow(clippy::cast_precision_loss, reason = "a run's time in nanoseconds is below 2^53")]
const fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1_000.0
}

fn growth(before: u64, after: u64) -> i64 {
    i64::try_from(after).unwrap_or(i64::MAX) - i64::try_from(before).unwrap_or(i64::MAX)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))
}

/// Name and time of every thread. One that ends meanwhile is left out.
fn threads(process: &Path) -> Result<BTreeMap<u32, (String, u64)>> {
    let mut threads = BTreeMap::new();
    let folder = process.join("task");
    let entries = std::fs::read_dir(&folder)
        .with_context(|| format!("{} can't be read: is the server running?", folder.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let time = read(&path.join("schedstat")).ok();
        let cpu_ns = time.and_then(|text| text.split(' ').next()?.parse().ok());
        if let (Some(id), Some(cpu_ns), Ok(name)) = (id, cpu_ns, read(&path.join("comm"))) {
            threads.insert(id, (name.trim_end().to_owned(), cpu_ns));
        }
    }
    Ok(threads)
}

/// The first number behind a label at the start of a line.
fn number(text: &str, label: &str) -> u64 {
    let rest = text.lines().find_map(|line| line.strip_prefix(label));
    rest.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn kilobytes(text: &str, label: &str) -> u64 {
    number(text, label) * 1_024
}

/// Bytes of all objects of one cache in /proc/slabinfo.
fn cache_bytes(text: &str, cache: &str) -> u64 {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(cache));
    let field = |place: usize| line?.split_whitespace().nth(place)?.parse::<u64>().ok();
    field(2).zip(field(3)).map_or(0, |(objects, bytes)| objects * bytes)
}

/// The statistics of the block device that holds a folder; there are none for memory file systems.
fn device_stat(folder: &Path) -> Result<PathBuf> {
    let meta = std::fs::metadata(folder)
        .with_context(|| format!("{} can't be looked at", folder.display()))?;
    let device = meta.dev();
    Ok(PathBuf::from(format!("/sys/dev/block/{}:{}/stat", major(device), minor(device))))
}

fn sectors_written(stat: &str) -> Option<u64> {
    let sectors: u64 = stat.split_whitespace().nth(6)?.parse().ok()?;
    Some(sectors * SECTOR_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_the_kernels_texts() {
        let rollup = "5580-7ffe ---p 00000000 00:00 0 [rollup]\nRss:  5 kB\nPss:      884 kB\n";
        assert_eq!(kilobytes(rollup, "Pss:"), 884 * 1_024);
        assert_eq!(number("rchar: 3\nwrite_bytes: 4096\n", "write_bytes:"), 4_096);
        let slab = "io_kiocb_x 9 9 9 9\nio_kiocb  30 32 256 16 1 : tunables\n";
        assert_eq!(cache_bytes(slab, "io_kiocb"), 32 * 256);
        assert_eq!(sectors_written("  1 2 3 4 5 6 70 8 9"), Some(70 * 512));
        assert_eq!(number("nothing", "Pss:"), 0);
    }

    #[test]
    fn this_process_used_time_between_two_looks() {
        let meter = Meter::new(std::process::id(), Some(Path::new("."))).unwrap();
        let before = meter.sample().unwrap();
        let begun = Instant::now();
        while begun.elapsed().as_millis() < 50 {}
        let used = meter.sample().unwrap().since(&before);
        assert!(used.cpu_us > 1_000.0 && used.seconds >= 0.05, "{used:?}");
        assert!(used.pss_bytes > 100_000, "{used:?}");
        assert!(!used.threads.is_empty());
    }

    #[test]
    fn a_process_that_is_gone_says_so() {
        let error = Meter { pid: u32::MAX, device: None }.sample().unwrap_err();
        assert!(error.to_string().contains("can't be read"), "{error}");
    }
}
