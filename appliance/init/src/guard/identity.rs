//! User and capabilities. Linux does this per thread, and this process has one.

use std::io;

use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use super::rights::Rights;

/// Last capability that a kernel of this decade may have.
const CAPABILITY_MAX: u32 = 63;

/// Becomes the service's user with the capabilities of its row and no way back.
pub(super) fn take(rights: &Rights) -> io::Result<()> {
    let kept = rights.capabilities;
    for capability in each().filter(|capability| !kept.contains(*capability)) {
        // Numbers beyond the kernel's last one are refused, which is the same.
        let _ = remove_capability_from_bounding_set(capability);
    }
    set_keep_capabilities(true)?;
    set_thread_groups(&[])?;
    let (gid, uid) = (Gid::from_raw(rights.id), Uid::from_raw(rights.id));
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: kept })?;
    clear_ambient_capability_set()?;
    // Without the ambient set, exec of a plain file would take the kept ones, too.
    for capability in each().filter(|capability| kept.contains(*capability)) {
        configure_capability_in_ambient_set(capability, true)?;
    }
    set_no_new_privs(true)?;
    Ok(())
}

fn each() -> impl Iterator<Item = CapabilitySet> {
    (0..=CAPABILITY_MAX).map(|number| CapabilitySet::from_bits_retain(1 << number))
}
