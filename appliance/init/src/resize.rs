//! Telling the kernel that a partition of a disk in use has grown (BLKPG). The whole table cannot
//! be re-read while the root file system is mounted from it, and no crate wraps this call.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// linux/blkpg.h.
const BLKPG: libc::Ioctl = 0x1269;
const BLKPG_RESIZE_PARTITION: libc::c_int = 3;

#[repr(C)]
struct BlkpgPartition {
    start: libc::c_longlong,
    length: libc::c_longlong,
    number: libc::c_int,
    device_name: [u8; 64],
    volume_name: [u8; 64],
}

#[repr(C)]
struct BlkpgArgument {
    operation: libc::c_int,
    flags: libc::c_int,
    data_length: libc::c_int,
    data: *mut BlkpgPartition,
}

/// Gives partition `number` of `disk` a new length; `start` and `sectors` count 512 bytes.
pub(crate) fn resize_partition(
    disk: &File,
    number: u32,
    start: u64,
    sectors: u64,
) -> io::Result<()> {
    let bytes = |sectors: u64| {
        libc::c_longlong::try_from(sectors.saturating_mul(512)).map_err(io::Error::other)
    };
    let mut partition = BlkpgPartition {
        start: bytes(start)?,
        length: bytes(sectors)?,
        number: libc::c_int::try_from(number).map_err(io::Error::other)?,
        device_name: [0; 64],
        volume_name: [0; 64],
    };
    let mut argument = BlkpgArgument {
        operation: BLKPG_RESIZE_PARTITION,
        flags: 0,
        data_length: size_of::<BlkpgPartition>() as libc::c_int,
        data: &raw mut partition,
    };
    // SAFETY: both structures have the layout of linux/blkpg.h and outlive the call, which only
    // reads them.
    let result = unsafe { libc::ioctl(disk.as_raw_fd(), BLKPG, &raw mut argument) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
