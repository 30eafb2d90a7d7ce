//! The files in the child's folder: what the resolver reads, and what the next process of this boot
//! takes over.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::keeper::Lease;
use crate::smallfile;

/// A server that answers at all does so within two seconds; three servers asked twice take 12 s.
const RESOLVER_OPTIONS: &str = "options timeout:2 attempts:2\n";

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// A path in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What an earlier process of this boot had set on this interface.
    pub(super) fn held(&self, interface: &str) -> Option<Lease> {
        let text = smallfile::read_text(self.lease_path(interface))?;
        let (address, prefix) = text.split_once('/')?;
        let (address, prefix) = (address.parse().ok()?, prefix.parse().ok()?);
        Some(Lease { address, prefix, ..Lease::default() })
    }

    /// Remembers the address of an interface.
    pub(super) fn hold(&self, interface: &str, lease: Option<&Lease>) -> io::Result<()> {
        let path = self.lease_path(interface);
        match lease {
            Some(lease) => {
                let text = format!("{}/{}\n", lease.address, lease.prefix);
                smallfile::replace(&path, text.as_bytes())
            }
            None => match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }

    /// Writes resolv.conf(5).
    pub(super) fn name_servers(&self, servers: &[Ipv4Addr]) -> io::Result<()> {
        let lines: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
        let text = lines + RESOLVER_OPTIONS;
        smallfile::replace(&self.path("resolv.conf"), text.as_bytes())
    }

    /// The name that was announced last, if it is one.
    pub(super) fn announced(&self) -> Option<String> {
        smallfile::read_text(self.path("announced"))
            .filter(|name| update::provision::is_host_name(name))
    }

    /// Remembers the announced name.
    pub(super) fn announce(&self, name: &str) -> io::Result<()> {
        smallfile::replace(&self.path("announced"), format!("{name}\n").as_bytes())
    }

    fn lease_path(&self, interface: &str) -> PathBuf {
        self.path(&format!("lease-{interface}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_outlives_the_process_and_name_servers_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path().to_owned());
        assert_eq!(files.held("eth0"), None);
        let lease = Lease { address: [10, 0, 2, 15].into(), prefix: 24, ..Lease::default() };
        files.hold("eth0", Some(&lease)).unwrap();
        assert_eq!(files.held("eth0"), Some(lease));
        assert_eq!(files.held("wlan0"), None);
        files.hold("eth0", None).unwrap();
        files.hold("eth0", None).unwrap();
        assert_eq!(files.held("eth0"), None);
        files.name_servers(&[[10, 0, 2, 3].into(), [1, 1, 1, 1].into()]).unwrap();
        let text = fs::read_to_string(folder.path().join("resolv.conf")).unwrap();
        assert_eq!(text, format!("nameserver 10.0.2.3\nnameserver 1.1.1.1\n{RESOLVER_OPTIONS}"));
    }

    #[test]
    fn announced_name_is_remembered_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path().to_owned());
        assert_eq!(files.announced(), None);
        files.announce("linnet-2").unwrap();
        assert_eq!(files.announced().as_deref(), Some("linnet-2"));
        fs::write(files.path("announced"), "../x").unwrap();
        assert_eq!(files.announced(), None);
    }
}
