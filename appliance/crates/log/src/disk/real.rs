//! The real disk: one folder on a Linux file system. Names are checked, symbolic links refused;
//! direct reads use O_DIRECT with an aligned buffer and fall back, with a flag, where the file
//! system (tmpfs) refuses it.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::slow::Slowness;
use super::{Disk, DiskError, SlowSpeed};
use crate::limits::DIRECT_ALIGN_BYTES;

/// A folder on a real file system.
#[derive(Clone, Debug)]
pub struct RealDisk {
    folder: Arc<OwnedFd>,
    /// For benches: waits like a poor card.
    slowness: Option<Arc<Slowness>>,
}

/// An open file, with a second descriptor for direct reads once one was asked for.
#[derive(Debug)]
pub struct RealFile {
    name: String,
    cached: OwnedFd,
    direct: OnceLock<Option<OwnedFd>>,
}

impl RealDisk {
    /// Opens an existing folder.
    pub fn open(folder: &Path) -> Result<Self, DiskError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let name = folder.display().to_string();
        let fd = rustix::fs::openat(CWD, folder, flags, Mode::empty())
            .map_err(|errno| error("open", &name, errno))?;
        Ok(Self { folder: Arc::new(fd), slowness: None })
    }

    /// Makes this disk and its clones as slow as a card; which syncs are the long ones follows
    /// from `seed`. For benches and tests.
    #[must_use]
    pub fn slowed(
        self,
        speed: SlowSpeed,
        seed: u64,
        sleep: impl Fn(Duration) + Send + Sync + 'static,
    ) -> Self {
        Self { slowness: Some(Arc::new(Slowness::new(speed, seed, sleep))), ..self }
    }

    /// Makes this process the only one that may write here, until the last clone is dropped.
    /// `Exists` when another process holds the folder.
    pub fn lock(&self) -> Result<(), DiskError> {
        let operation = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        rustix::fs::flock(&self.folder, operation).map_err(|errno| match errno {
            Errno::AGAIN => DiskError::Exists("a process that uses this folder".to_owned()),
            other => error("lock", ".", other),
        })
    }

    fn open_with(&self, name: &str, extra: OFlags) -> Result<RealFile, DiskError> {
        check_name(name)?;
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | extra;
        let cached = rustix::fs::openat(&self.folder, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| error("open", name, errno))?;
        Ok(RealFile { name: name.to_owned(), cached, direct: OnceLock::new() })
    }

    fn wait_if_slow(&self) {
        if let Some(slowness) = &self.slowness {
            slowness.wait_for_sync();
        }
    }

    fn direct<'a>(&self, file: &'a RealFile) -> Option<&'a OwnedFd> {
        file.direct.get_or_init(|| reopen_direct(&file.cached)).as_ref()
    }
}

/// Through /proc, so that a renamed file is still the same file.
fn reopen_direct(cached: &OwnedFd) -> Option<OwnedFd> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", cached.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECT;
    let fd = rustix::fs::openat(CWD, path, flags, Mode::empty()).ok()?;
    // Some file systems accept the flag and refuse the read: try one.
    let mut buffer = Aligned::new(DIRECT_ALIGN_BYTES);
    rustix::io::pread(&fd, buffer.bytes(), 0).ok()?;
    Some(fd)
}

impl Disk for RealDisk {
    type File = RealFile;

    fn list(&self) -> Result<Vec<String>, DiskError> {
        let fail = |errno| error("list", ".", errno);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            // Foreign names (not UTF-8, dot files, folders) cannot be ours.
            let Ok(name) = entry.file_name().to_str() else { continue };
            if check_name(name).is_ok() {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create(&self, name: &str) -> Result<RealFile, DiskError> {
        self.open_with(name, OFlags::CREATE | OFlags::EXCL)
    }

    fn open(&self, name: &str) -> Result<RealFile, DiskError> {
        self.open_with(name, OFlags::empty())
    }

    fn len(&self, file: &RealFile) -> Result<u64, DiskError> {
        let stat = rustix::fs::fstat(&file.cached).map_err(|e| error("stat", &file.name, e))?;
        Ok(u64::try_from(stat.st_size).expect("a file's size is not negative"))
    }

    fn pread(&self, file: &RealFile, at: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        read_full(&file.cached, &file.name, at, buf)
    }

    fn pread_direct(&self, file: &RealFile, at: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        let Some(fd) = self.direct(file) else {
            return self.pread(file, at, buf);
        };
        let align = DIRECT_ALIGN_BYTES as u64;
        let start = at / align * align;
        let lead = usize::try_from(at - start).expect("less than the alignment");
        let mut aligned = Aligned::new((lead + buf.len()).next_multiple_of(DIRECT_ALIGN_BYTES));
        let got = read_direct(fd, &file.name, start, aligned.bytes())?;
        let usable = got.saturating_sub(lead).min(buf.len());
        buf[..usable].copy_from_slice(&aligned.bytes()[lead..lead + usable]);
        Ok(usable)
    }

    fn pwrite(&self, file: &RealFile, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        if let Some(slowness) = &self.slowness {
            slowness.wrote(bytes.len());
        }
        let mut done = 0;
        while done < bytes.len() {
            match rustix::io::pwrite(&file.cached, &bytes[done..], at + done as u64) {
                Ok(0) => return Err(error("write", &file.name, Errno::IO)),
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(error("write", &file.name, errno)),
            }
        }
        Ok(())
    }

    fn sync_data(&self, file: &RealFile) -> Result<(), DiskError> {
        self.wait_if_slow();
        rustix::fs::fdatasync(&file.cached).map_err(|e| error("fdatasync", &file.name, e))
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        self.wait_if_slow();
        rustix::fs::fsync(&self.folder).map_err(|errno| error("fsync", ".", errno))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        check_name(from)?;
        check_name(to)?;
        rustix::fs::renameat(&self.folder, from, &self.folder, to)
            .map_err(|errno| error("rename", from, errno))
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        check_name(name)?;
        rustix::fs::unlinkat(&self.folder, name, AtFlags::empty())
            .map_err(|errno| error("remove", name, errno))
    }

    fn free_bytes(&self) -> Result<u64, DiskError> {
        let stat = rustix::fs::fstatvfs(&self.folder).map_err(|e| error("statvfs", ".", e))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn reads_device(&self, file: &RealFile) -> bool {
        self.direct(file).is_some()
    }
}

fn read_full(fd: &OwnedFd, name: &str, at: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
    let mut done = 0;
    while done < buf.len() {
        match rustix::io::pread(fd, &mut buf[done..], at + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(error("read", name, errno)),
        }
    }
    Ok(done)
}

/// As `read_full`, but a read that ends off the alignment met the end of the file: another one
/// would be refused.
fn read_direct(fd: &OwnedFd, name: &str, at: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
    let mut done = 0;
    while done < buf.len() && done.is_multiple_of(DIRECT_ALIGN_BYTES) {
        match rustix::io::pread(fd, &mut buf[done..], at + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(error("read", name, errno)),
        }
    }
    Ok(done)
}

fn check_name(name: &str) -> Result<(), DiskError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > 100 || !name.bytes().all(allowed) {
        return Err(DiskError::BadName(name.to_owned()));
    }
    Ok(())
}

fn error(operation: &'static str, name: &str, errno: Errno) -> DiskError {
    match errno {
        Errno::NOENT => DiskError::NotFound(name.to_owned()),
        Errno::EXIST => DiskError::Exists(name.to_owned()),
        Errno::NOSPC | Errno::DQUOT => DiskError::NoSpace,
        other => DiskError::Io { operation, name: name.to_owned(), reason: other.to_string() },
    }
}

/// A buffer whose usable part starts on an aligned address.
struct Aligned {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    fn new(len: usize) -> Self {
        let memory = vec![0; len + DIRECT_ALIGN_BYTES];
        let start = memory.as_ptr().align_offset(DIRECT_ALIGN_BYTES);
        Self { memory, start, len }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}
