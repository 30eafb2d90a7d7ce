//! Kernel settings that init makes before any service starts.

use std::fs;
use std::path::Path;

/// Connections that wait to be accepted: a class that signs in at the same moment.
const BACKLOG: &str = "4096";

/// `LINNET_ID` as text.
const SERVER_GROUP: &str = "900";

/// Settings that every kernel of ours has; the order counts.
const NEEDED: &[(&str, &str)] = &[
    // The server is unprivileged and still answers on 80 and 443.
    ("net/ipv4/ip_unprivileged_port_start", "80"),
    ("net/core/somaxconn", BACKLOG),
    ("net/ipv4/tcp_max_syn_backlog", BACKLOG),
    ("net/ipv4/tcp_syncookies", "1"),
    // Addresses of the kernel are a map for an attack.
    ("kernel/kptr_restrict", "2"),
    ("kernel/dmesg_restrict", "1"),
    // A kernel that has lost its way starts anew instead of writing to the card.
    ("kernel/panic", "5"),
    ("kernel/panic_on_oops", "1"),
    // What waits to be written fits into the time that an orderly end has on a slow card.
    ("vm/dirty_bytes", "50331648"),
    ("vm/dirty_background_bytes", "16777216"),
    // Links and files that others leave in shared folders are not followed or opened.
    ("fs/protected_symlinks", "1"),
    ("fs/protected_hardlinks", "1"),
    ("fs/protected_fifos", "2"),
    ("fs/protected_regular", "2"),
    ("fs/suid_dumpable", "0"),
    // The box is no router and takes no directions from neighbours.
    ("net/ipv4/ip_forward", "0"),
    ("net/ipv4/conf/all/accept_redirects", "0"),
    ("net/ipv4/conf/default/accept_redirects", "0"),
    ("net/ipv4/conf/all/secure_redirects", "0"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/all/accept_source_route", "0"),
    ("net/ipv4/icmp_echo_ignore_broadcasts", "1"),
    // Loose: cable and radio may be in the same network at once.
    ("net/ipv4/conf/all/rp_filter", "2"),
];

/// Settings of what a kernel may lack, which is as good.
const WHERE_PRESENT: &[(&str, &str)] = &[
    // Only the server may use io_uring; the group comes first, the switch second. They came with
    // kernel 6.6; older ones let everybody use it.
    ("kernel/io_uring_group", SERVER_GROUP),
    ("kernel/io_uring_disabled", "1"),
    ("kernel/unprivileged_bpf_disabled", "1"),
    ("net/core/bpf_jit_harden", "2"),
    ("kernel/perf_event_paranoid", "3"),
    ("kernel/kexec_load_disabled", "1"),
    ("kernel/sysrq", "0"),
    ("kernel/yama/ptrace_scope", "2"),
    ("vm/unprivileged_userfaultfd", "0"),
    // Nobody needs a user name space, and many exploits do.
    ("user/max_user_namespaces", "0"),
    ("net/ipv6/conf/all/accept_redirects", "0"),
    ("net/ipv6/conf/default/accept_redirects", "0"),
    ("net/ipv6/conf/all/accept_source_route", "0"),
];

/// Writes the settings; returns a sentence for each that the kernel refused.
pub(crate) fn apply() -> Vec<String> {
    let root = Path::new("/proc/sys");
    let needed = NEEDED.iter().filter_map(|row| set(root, row));
    let present = WHERE_PRESENT.iter().filter(|(path, _)| root.join(path).exists());
    needed.chain(present.filter_map(|row| set(root, row))).collect()
}

fn set(root: &Path, (path, value): &(&str, &str)) -> Option<String> {
    let error = fs::write(root.join(path), value).err()?;
    Some(format!("The kernel setting {path} could not be made: {error}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_of_io_uring_is_the_server_s_and_set_before_the_rest_is_locked_out() {
        let at = |name: &str| WHERE_PRESENT.iter().position(|row| row.0.ends_with(name)).unwrap();
        assert!(at("io_uring_group") < at("io_uring_disabled"));
        assert_eq!(SERVER_GROUP, crate::limits::LINNET_ID.to_string());
    }

    #[test]
    fn each_setting_is_made_once_and_one_that_is_refused_is_a_sentence() {
        let mut paths: Vec<_> = NEEDED.iter().chain(WHERE_PRESENT).map(|row| row.0).collect();
        let all = paths.len();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), all);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("there"), "0").unwrap();
        assert_eq!(set(folder.path(), &("there", "1")), None);
        assert_eq!(fs::read_to_string(folder.path().join("there")).unwrap(), "1");
        assert!(set(folder.path(), &("not/there", "1")).unwrap().contains("not/there"));
    }
}
