//! Giving up root: what reads from the network keeps four capabilities, little
//! memory and nothing else.

use std::io;

use rustix::process::{Resource, Rlimit, geteuid, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use super::limits::DATA_BYTES_MAX;
use crate::limits::NET_ID;

/// Last capability that a kernel of this decade may have.
const CAPABILITY_MAX: u32 = 63;

/// Keeps what is needed and nothing else. Must run before any other thread exists: Linux does this
/// per thread. Behind init's guard the user is `net` already and exec brought the capabilities.
pub(super) fn give_up() -> io::Result<()> {
    let kept = kept();
    if geteuid().is_root() {
        become_user(kept)?;
    } else if !capabilities(None)?.permitted.contains(kept) {
        return Ok(());
    }
    let inheritable = lent();
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable })?;
    clear_ambient_capability_set()?;
    set_no_new_privs(true)?;
    let most = Some(DATA_BYTES_MAX);
    setrlimit(Resource::Data, Rlimit { current: most, maximum: most })?;
    Ok(())
}

fn become_user(kept: CapabilitySet) -> io::Result<()> {
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
    Ok(set_thread_res_uid(uid, uid, uid)?)
}

/// Runs `start` so that a program it starts keeps what a Wi-Fi program needs, and no other does.
pub(super) fn lend<T>(start: impl FnOnce() -> T) -> T {
    let set = |lent_out| {
        for capability in lent().iter() {
            // Without root there is nothing to lend; the program then says what it lacks.
            let _ = configure_capability_in_ambient_set(capability, lent_out);
        }
    };
    set(true);
    let result = start();
    set(false);
    result
}

/// What a program started by this one may have: interfaces and their frames.
fn lent() -> CapabilitySet {
    CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW
}

/// Settings, packet sockets, the clock; low ports for answers that must come from them.
fn kept() -> CapabilitySet {
    CapabilitySet::NET_ADMIN
        | CapabilitySet::NET_RAW
        | CapabilitySet::NET_BIND_SERVICE
        | CapabilitySet::SYS_TIME
}
