//! A /tmp that nobody else sees, and that is gone with the service.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::limits::PRIVATE_TMP_MIB;

/// Leaves the mounts of init for a copy of them.
pub(super) fn make_private(owner: u32) -> io::Result<()> {
    // SAFETY: the process has one thread, and no file descriptors are unshared: nothing that this
    // process owns is taken from under another thread.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    // Downstream: what init unmounts goes away here as well, and nothing of this goes to init.
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let options = format!("mode=0700,uid={owner},gid={owner},size={PRIVATE_TMP_MIB}m");
    let options = CString::new(options).expect("numbers have no zero bytes");
    mount("tmpfs", "/tmp", "tmpfs", flags, options.as_c_str())?;
    Ok(())
}
