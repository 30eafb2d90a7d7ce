//! First program of the emulator's kernel: Debian's kernel has its drivers as modules, so this
//! loads those listed in `/modules.list`, finds the root by its partition id, mounts it read-only
//! and hands over to init. The release kernel has its drivers built in and does not use this
//! program. A failure is printed and ends the process, so the kernel panics and `panic=5` starts
//! again.

mod cmdline;
mod root;

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_move, unmount};

/// Where the root file system is put together before the switch.
const NEW_ROOT: &str = "/newroot";

fn main() {
    match start() {
        Ok(never) => match never {},
        Err(message) => {
            eprintln!("linnet-initramfs: {message}");
            std::process::exit(1);
        }
    }
}

fn start() -> Result<std::convert::Infallible, String> {
    mount_kernel_filesystems()?;
    load_modules()?;
    let line = fs::read_to_string("/proc/cmdline").map_err(|e| format!("/proc/cmdline: {e}"))?;
    let boot = cmdline::parse(&line)?;
    let device = root::wait_for(&boot.root)?;
    mount_root(&device, &boot.filesystem)?;
    switch_root().map_err(|e| format!("switching to the root: {e}"))?;
    let error = Command::new(&boot.init).exec();
    Err(format!("{}: {error}", boot.init))
}

fn mount_kernel_filesystems() -> Result<(), String> {
    for (kind, path) in [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")] {
        fs::create_dir_all(path).map_err(|e| format!("{path}: {e}"))?;
        mount(kind, path, kind, MountFlags::empty(), None::<&CStr>)
            .map_err(|e| format!("mounting {path}: {e}"))?;
    }
    Ok(())
}

/// Loads every listed module in order. A driver may refuse because its hardware is absent on this
/// machine; that is printed and is no error, since one list serves both emulated machines.
fn load_modules() -> Result<(), String> {
    let list = fs::read_to_string("/modules.list").map_err(|e| format!("/modules.list: {e}"))?;
    for name in list.lines().filter(|line| !line.is_empty()) {
        let image = fs::read(Path::new("/modules").join(name))
            .map_err(|e| format!("/modules/{name}: {e}"))?;
        if let Err(error) = rustix::system::init_module(&image, c"") {
            eprintln!("linnet-initramfs: {name}: {error}");
        }
    }
    Ok(())
}

fn mount_root(device: &Path, filesystem: &str) -> Result<(), String> {
    fs::create_dir_all(NEW_ROOT).map_err(|e| format!("{NEW_ROOT}: {e}"))?;
    mount(device, NEW_ROOT, filesystem, MountFlags::RDONLY, None::<&CStr>)
        .map_err(|e| format!("mounting {} as {filesystem}: {e}", device.display()))
}

/// Leaves the state a kernel with built-in drivers would leave: `/dev` mounted, nothing else.
fn switch_root() -> io::Result<()> {
    mount_move("/dev", format!("{NEW_ROOT}/dev"))?;
    unmount("/proc", UnmountFlags::DETACH)?;
    unmount("/sys", UnmountFlags::DETACH)?;
    fs::remove_dir_all("/modules")?;
    std::env::set_current_dir(NEW_ROOT)?;
    mount_move(".", "/")?;
    rustix::process::chroot(".")?;
    std::env::set_current_dir("/")
}
