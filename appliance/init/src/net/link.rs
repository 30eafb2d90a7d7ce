//! The interface: which one to use, its address on the cable, and whether a cable is in (sysfs).

use std::fs;
use std::path::{Path, PathBuf};

use crate::smallfile::read_text;

/// `lo` is always the first.
pub(super) const LOOPBACK_INDEX: u32 = 1;

/// if_arp.h, ARPHRD_ETHER.
const ETHERNET: &str = "1";

/// An Ethernet interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its name.
    pub(crate) name: String,
    /// The kernel's number for it.
    pub(crate) index: u32,
    /// Its hardware address.
    pub(crate) hardware: [u8; 6],
    folder: PathBuf,
}

impl Link {
    /// Whether a cable is in; `None` when the interface is gone.
    pub(crate) fn carrier(&self) -> Option<bool> {
        // The file cannot be read while the interface is down.
        let index = read_text(self.folder.join("ifindex"))?;
        let carrier = read_text(self.folder.join("carrier"));
        (index == self.index.to_string()).then(|| carrier.as_deref() == Some("1"))
    }
}

/// The Ethernet interface to use: one with a cable first, then by name.
pub(super) fn choose(class: &Path) -> Option<Link> {
    let entries = fs::read_dir(class).ok()?.flatten();
    let mut links: Vec<_> = entries.filter_map(|entry| read(&entry.path())).collect();
    links.sort_by_key(|link| (link.carrier() != Some(true), link.name.clone()));
    links.into_iter().next()
}

fn read(folder: &Path) -> Option<Link> {
    if read_text(folder.join("type"))? != ETHERNET {
        return None;
    }
    let name = folder.file_name()?.to_str()?.to_owned();
    let index = read_text(folder.join("ifindex"))?.parse().ok()?;
    let hardware = parse_hardware(&read_text(folder.join("address"))?)?;
    Some(Link { name, index, hardware, folder: folder.to_owned() })
}

fn parse_hardware(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> =
        text.split(':').map(|pair| u8::from_str_radix(pair, 16).ok()).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(class: &Path, name: &str, kind: &str, index: u32, carrier: &str) {
        let folder = class.join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("type"), kind).unwrap();
        fs::write(folder.join("ifindex"), format!("{index}\n")).unwrap();
        fs::write(folder.join("address"), "52:54:00:12:34:56\n").unwrap();
        fs::write(folder.join("carrier"), carrier).unwrap();
    }

    #[test]
    fn ethernet_with_a_cable_is_chosen_and_its_end_is_seen() {
        let class = tempfile::tempdir().unwrap();
        add(class.path(), "lo", "772\n", 1, "1\n");
        assert_eq!(choose(class.path()), None);
        add(class.path(), "eth1", "1\n", 3, "0\n");
        add(class.path(), "eth0", "1\n", 2, "0\n");
        assert_eq!(choose(class.path()).unwrap().name, "eth0");
        fs::write(class.path().join("eth1/carrier"), "1\n").unwrap();
        let link = choose(class.path()).unwrap();
        assert_eq!((link.name.as_str(), link.index), ("eth1", 3));
        assert_eq!(link.hardware, [0x52, 0x54, 0, 0x12, 0x34, 0x56]);
        assert_eq!(link.carrier(), Some(true));
        fs::write(class.path().join("eth1/ifindex"), "9\n").unwrap();
        assert_eq!(link.carrier(), None, "another interface of the same name");
    }

    #[test]
    fn hardware_address_has_six_bytes() {
        assert_eq!(parse_hardware("52:54:00:12:34"), None);
        assert_eq!(parse_hardware("52:54:00:12:34:zz"), None);
        assert_eq!(parse_hardware(""), None);
    }
}
