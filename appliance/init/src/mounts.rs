//! Mounting: the kernel's own file systems first, then DATA, and the boot partition for a moment.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use crate::limits::{LINNET_ID, NET_ID, SMALL_FILE_BYTES_MAX};
use crate::logs::Logs;
use crate::smallfile;

/// Where DATA is mounted.
pub(crate) const DATA: &str = "/data";

/// `linnetd`'s part of it.
pub(crate) const DATA_LINNET: &str = "/data/linnet";

/// Folder of the control socket.
pub(crate) const RUN_LINNET: &str = "/run/linnet";

/// Folder that the `net` child writes.
pub(crate) const RUN_NET: &str = "/run/linnet-net";

struct Mount {
    kind: &'static str,
    target: &'static str,
    flags: MountFlags,
    options: &'static std::ffi::CStr,
}

fn table() -> [Mount; 7] {
    let safe = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let row = |kind, target, flags, options| Mount { kind, target, flags, options };
    [
        row("proc", "/proc", safe, c"hidepid=2"),
        row("sysfs", "/sys", safe, c""),
        row("devtmpfs", "/dev", MountFlags::NOSUID | MountFlags::NOEXEC, c"mode=0755"),
        row("tmpfs", "/run", safe, c"mode=0755,size=16m"),
        row("tmpfs", "/tmp", safe, c"mode=1777,size=64m"),
        row("cgroup2", "/sys/fs/cgroup", safe, c""),
        row("pstore", "/sys/fs/pstore", safe, c""),
    ]
}

/// Mounts what every program needs. What the initramfs mounted already stays as it is; the last two
/// are missing on some kernels.
pub(crate) fn mount_early() -> Vec<String> {
    let mut complaints = Vec::new();
    for row in table() {
        let result = mount(row.kind, row.target, row.kind, row.flags, row.options);
        let optional = row.target.starts_with("/sys/fs/");
        match result {
            Err(rustix::io::Errno::BUSY) | Ok(()) => {}
            Err(_) if optional => {}
            Err(error) => complaints.push(format!("{} could not be mounted: {error}.", row.target)),
        }
    }
    complaints
}

/// Makes the folders below /run with their owners.
pub(crate) fn make_run_folders() -> io::Result<()> {
    owned_folder(Path::new(RUN_LINNET), 0, LINNET_ID, 0o750)?;
    owned_folder(Path::new(RUN_NET), NET_ID, NET_ID, 0o755)
}

/// Mounts DATA and makes `linnetd`'s folder in it.
pub(crate) fn mount_data(device: &Path) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOATIME;
    // After the first sign of damage nothing more is written: the rescue page can still read.
    mount(device, DATA, "ext4", flags, c"errors=remount-ro")?;
    owned_folder(Path::new(DATA_LINNET), LINNET_ID, LINNET_ID, 0o700)
}

/// A place in memory instead of DATA, so that the rescue page has somewhere to keep its keys.
pub(crate) fn mount_rescue() -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("tmpfs", DATA, "tmpfs", flags, c"mode=0755,size=32m")?;
    owned_folder(Path::new(DATA_LINNET), LINNET_ID, LINNET_ID, 0o700)
}

/// Takes DATA away; what still holds it keeps it read-only.
pub(crate) fn unmount_data(logs: &Logs) {
    if unmount(DATA, UnmountFlags::empty()).is_ok() {
        return;
    }
    match mount_remount(DATA, MountFlags::RDONLY, "") {
        Ok(()) => logs.say("The data partition was busy; it was made read-only instead."),
        Err(error) => logs.say(&format!("The data partition could not be unmounted: {error}.")),
    }
}

/// The files that init reads from p1.
#[derive(Debug, Default)]
pub(crate) struct BootFiles {
    /// The provisioning file.
    pub(crate) provisioning: Option<Vec<u8>>,
    /// `autoboot.txt`.
    pub(crate) autoboot: Option<Vec<u8>>,
}

/// Mounts p1 read-only, copies the files and unmounts it again.
pub(crate) fn read_boot_files(device: &Path) -> io::Result<BootFiles> {
    let target = PathBuf::from(RUN_LINNET).join("p1");
    fs::create_dir_all(&target)?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(device, &target, "vfat", flags, c"")?;
    let read = |name: &str| smallfile::read_bytes(&target.join(name), SMALL_FILE_BYTES_MAX).ok();
    let files = BootFiles {
        provisioning: read(update::provision::FILE_NAME),
        autoboot: read("autoboot.txt"),
    };
    unmount(&target, UnmountFlags::DETACH)?;
    fs::remove_dir(&target)?;
    Ok(files)
}

/// Makes a folder, or gives one that is there its owner and mode again.
fn owned_folder(path: &Path, uid: u32, gid: u32, mode: u32) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // A link that was put there in its place must not lead chown astray.
    let found = rustix::fs::statat(CWD, path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
    if !rustix::fs::FileType::from_raw_mode(found.st_mode).is_dir() {
        return Err(io::Error::other(format!("{} is not a folder", path.display())));
    }
    chown(path, Some(uid), Some(gid))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_is_mounted_once_and_parents_come_first() {
        let targets: Vec<_> = table().iter().map(|row| row.target).collect();
        for (index, target) in targets.iter().enumerate() {
            assert!(!targets[..index].iter().any(|earlier| earlier.starts_with(target)));
        }
    }

    #[test]
    fn folder_is_not_made_over_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("linnet");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(owned_folder(&link, 0, 0, 0o700).is_err());
    }
}
