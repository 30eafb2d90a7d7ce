//! Who may do what: one row per service. What is not named here cannot be done by it, whatever it
//! was made to do by what it reads from the network.

use rustix::thread::CapabilitySet;

use super::syscalls::Allowed;
use crate::limits::{LINNET_ID, NET_ID, SYSLOG_ID};

/// One service's rights.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rights {
    /// The service, and its group of limits.
    pub(crate) name: &'static str,
    /// Uid and gid.
    pub(crate) id: u32,
    /// Kept over the change of user and over exec; nothing else ever comes back.
    pub(crate) capabilities: CapabilitySet,
    /// Files, and folders with all below them, that it may read. Those that are missing are left
    /// out.
    pub(crate) readable: &'static [&'static str],
    /// Programs that it may start besides its own.
    pub(crate) executable: &'static [&'static str],
    /// Likewise, and change.
    pub(crate) writable: &'static [&'static str],
    /// TCP ports that it may listen on; `None` leaves the network to other rules.
    pub(crate) ports: Option<&'static [u16]>,
    /// System calls; `None` allows all but those that only an attack makes.
    pub(crate) syscalls: Option<Allowed>,
}

/// Shared libraries, the loader's cache, kernel figures and chance.
const COMMON: [&str; 8] =
    ["/usr", "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev/urandom", "/dev/random"];

/// The loader that the kernel starts for a dynamically linked program.
const LOADERS: [&str; 2] = ["/lib/ld-linux-aarch64.so.1", "/lib64/ld-linux-x86-64.so.2"];

impl Rights {
    /// The row of a service.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "linnetd" => Some(Self::linnetd()),
            "net" => Some(Self::net()),
            "syslog" => Some(Self::syslog()),
            _ => None,
        }
    }

    /// Chat: its data, its doors, and init's socket, which needs no right to be connected to.
    fn linnetd() -> Self {
        Self {
            name: "linnetd",
            id: LINNET_ID,
            capabilities: CapabilitySet::empty(),
            readable: &COMMON,
            executable: &LOADERS,
            writable: &["/data/linnet", "/tmp", "/dev/null"],
            ports: Some(&[80, 443, 7443]),
            syscalls: Some(Allowed::Server),
        }
    }

    /// Lines to a server: names looked up, datagrams sent.
    fn syslog() -> Self {
        Self {
            name: "syslog",
            id: SYSLOG_ID,
            capabilities: CapabilitySet::empty(),
            readable: &SYSLOG_READABLE,
            executable: &LOADERS,
            writable: &["/dev/null"],
            ports: Some(&[]),
            syscalls: None,
        }
    }

    /// The network: interfaces, packets, ports below 1024 and the clock, by way of the kernel.
    fn net() -> Self {
        Self {
            name: "net",
            id: NET_ID,
            capabilities: CapabilitySet::NET_ADMIN
                | CapabilitySet::NET_RAW
                | CapabilitySet::NET_BIND_SERVICE
                | CapabilitySet::SYS_TIME,
            readable: &NET_READABLE,
            executable: &[LOADERS[0], LOADERS[1], "/usr/sbin/wpa_supplicant"],
            writable: &[
                "/run/linnet-net",
                "/tmp",
                "/proc/sys/net",
                "/dev/null",
                "/dev/rfkill",
                "/dev/rtc0",
            ],
            ports: None,
            syscalls: None,
        }
    }
}

/// The settings lie beside the child's own folder, so that it cannot replace them.
const NET_READABLE: [&str; 9] = [
    "/usr",
    "/lib",
    "/lib64",
    "/etc",
    "/proc",
    "/sys",
    "/dev/urandom",
    "/dev/random",
    "/run/linnet-net.settings",
];

/// Addresses of name servers are the network child's to write.
const SYSLOG_READABLE: [&str; 6] =
    ["/usr", "/lib", "/lib64", "/etc", "/run/linnet-net/resolv.conf", "/dev/urandom"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_has_no_capability_and_nobody_may_change_another_s_files() {
        let server = Rights::of("linnetd").unwrap();
        assert!(server.capabilities.is_empty() && server.syscalls.is_some());
        let net = Rights::of("net").unwrap();
        assert_ne!(server.id, net.id);
        for rights in [server, net] {
            for path in rights.writable {
                assert!(!["/", "/etc", "/usr", "/data", "/proc", "/sys", "/dev"].contains(path));
            }
            assert!(!rights.readable.iter().any(|path| path.starts_with("/data")));
        }
        assert!(!net.writable.iter().any(|path| path.starts_with("/data")));
        assert!(Rights::of("sh").is_none());
    }
}
