//! Giving up root: what reads from the network keeps four capabilities, little
//! memory and nothing else.

use std::io;

use rustix::process::{Resource, Rlimit, geteuid, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use super::limits::DATA_BYTES_MAX;
use crate::limits::NET_ID;

/// Last capability that a kernel of this decade may have.
const CAPABILITY_MAX: u32 = 63;

/// Becomes user `net`. Must run before any other thread exists: Linux does this per thread.
pub(super) fn give_up() -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let kept = kept();
    for number in 0..=CAPABILITY_MAX {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if !kept.contains(capability) {
            // Numbers beyond the kernel's last one are refused, which is the same.
            let _ = remove_capability_from_bounding_set(capability);
        }
    }
    set_keep_capabilities(true)?;
    set_thread_groups(&[])?;
    let gid = rustix::process::Gid::from_raw(NET_ID);
    let uid = rustix::process::Uid::from_raw(NET_ID);
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: none })?;
    set_no_new_privs(true)?;
    let most = Some(DATA_BYTES_MAX);
    setrlimit(Resource::Data, Rlimit { current: most, maximum: most })?;
    Ok(())
}

/// Settings, packet sockets, the clock; low ports for answers that must come from them.
fn kept() -> CapabilitySet {
    CapabilitySet::NET_ADMIN
        | CapabilitySet::NET_RAW
        | CapabilitySet::NET_BIND_SERVICE
        | CapabilitySet::SYS_TIME
}
