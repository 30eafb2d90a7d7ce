//! Restarting with words for the boot loader: `0 tryboot` makes it start the other slot once. The
//! kernel prints the words on the console, also with `quiet`.

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;

/// Restarts at once. Returns only with an error.
pub(crate) fn restart(words: &CStr) -> io::Error {
    // SAFETY: the magic numbers are reboot(2)'s, and the words are a C string that outlives the
    // call. No crate wraps LINUX_REBOOT_CMD_RESTART2.
    unsafe {
        libc::syscall(
            libc::SYS_reboot,
            libc::LINUX_REBOOT_MAGIC1,
            libc::LINUX_REBOOT_MAGIC2,
            libc::LINUX_REBOOT_CMD_RESTART2,
            words.as_ptr(),
        );
    }
    io::Error::last_os_error()
}
