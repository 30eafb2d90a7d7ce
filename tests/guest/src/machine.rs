//! The guest's machine: kernel file systems, modules, disk, loopback, power.

use std::ffi::CStr;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::system::{RebootCommand, init_module, reboot};

/// The only disk of the machine.
const DEVICE: &str = "/dev/vda";

/// A disk that is not there after this long is not coming.
const DISK_WAIT: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Descriptors of a process: a thousand sessions and room to spare.
const DESCRIPTORS: u64 = 20_000;

/// Brings the machine up to where programs of `disk` can run.
pub(crate) fn prepare(disk: &Path) -> Result<()> {
    for (kind, path) in [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")] {
        mount_kind(kind, path)?;
    }
    load_modules()?;
    for path in ["/tmp", "/run"] {
        mount_kind("tmpfs", path)?;
    }
    wait_for(Path::new(DEVICE))?;
    fs::create_dir_all(disk)?;
    mount(DEVICE, disk, "ext4", MountFlags::NOATIME, None::<&CStr>)
        .with_context(|| format!("{DEVICE} can't be mounted"))?;
    crate::loopback::up()?;
    let limit = Some(DESCRIPTORS);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit })?)
}

/// Ends the machine; what could not be unmounted was synced.
pub(crate) fn power_off() -> ! {
    rustix::fs::sync();
    let _ = unmount(crate::DISK, UnmountFlags::DETACH); // it may never have been mounted
    let error = reboot(RebootCommand::PowerOff);
    // The first program's end is a panic of the kernel, and the host restarts nothing.
    panic!("the machine does not power off: {error:?}");
}

fn mount_kind(kind: &str, path: &str) -> Result<()> {
    fs::create_dir_all(path)?;
    mount(kind, path, kind, MountFlags::empty(), None::<&CStr>)
        .with_context(|| format!("{kind} can't be mounted on {path}"))
}

/// A module may refuse because its device is absent: the list serves other machines too.
fn load_modules() -> Result<()> {
    let list = fs::read_to_string("/modules.list").context("/modules.list")?;
    for name in list.lines().filter(|line| !line.is_empty()) {
        let image = fs::read(Path::new("/modules").join(name)).context("a listed module")?;
        if let Err(error) = init_module(&image, c"") {
            println!("linnet-guest: module {name}: {error}");
        }
    }
    Ok(())
}

fn wait_for(device: &Path) -> Result<()> {
    let start = Instant::now();
    while !device.exists() {
        if start.elapsed() > DISK_WAIT {
            bail!("no disk {}", device.display());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}
