//! Kernel settings that init makes before any service starts.

use std::fs;

use crate::limits::LINNET_ID;

/// Connections that wait to be accepted: a class that signs in at the same moment.
const BACKLOG: u32 = 4_096;

/// Writes the settings; returns a sentence for each that the kernel refused.
pub(crate) fn apply() -> Vec<String> {
    table().into_iter().filter_map(|(path, value)| set(path, &value)).collect()
}

fn table() -> [(&'static str, String); 8] {
    [
        // The server is unprivileged and still answers on 80 and 443.
        ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "80".into()),
        ("/proc/sys/net/core/somaxconn", BACKLOG.to_string()),
        ("/proc/sys/net/ipv4/tcp_max_syn_backlog", BACKLOG.to_string()),
        // Only the server may use io_uring; the group comes first, the switch second.
        ("/proc/sys/kernel/io_uring_group", LINNET_ID.to_string()),
        ("/proc/sys/kernel/io_uring_disabled", "1".into()),
        ("/proc/sys/kernel/kptr_restrict", "2".into()),
        ("/proc/sys/kernel/dmesg_restrict", "1".into()),
        ("/proc/sys/fs/protected_symlinks", "1".into()),
    ]
}

fn set(path: &str, value: &str) -> Option<String> {
    // io_uring's two came with kernel 6.6; older ones let everybody use it.
    if !fs::exists(path).unwrap_or(false) && path.contains("io_uring") {
        return None;
    }
    let error = fs::write(path, value).err()?;
    Some(format!("The kernel setting {path} could not be made: {error}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_of_io_uring_is_set_before_the_rest_is_locked_out() {
        let paths: Vec<_> = table().iter().map(|row| row.0).collect();
        let at = |name: &str| paths.iter().position(|path| path.ends_with(name)).unwrap();
        assert!(at("io_uring_group") < at("io_uring_disabled"));
    }

    #[test]
    fn missing_io_uring_switch_of_an_old_kernel_is_no_complaint() {
        assert_eq!(set("/proc/sys/kernel/io_uring_no_such_switch", "1"), None);
        assert!(set("/proc/sys/net/no_such_setting", "1").is_some());
    }
}
