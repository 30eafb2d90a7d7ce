//! The interfaces: what there is, their addresses on the cable, and whether a cable is in (sysfs).

use std::fs;
use std::path::{Path, PathBuf};

use update::control::LinkKind;

use super::limits::LINKS_MAX;
use crate::smallfile::read_text;

/// `lo` is always the first.
pub(super) const LOOPBACK_INDEX: u32 = 1;

/// if_arp.h, ARPHRD_ETHER.
const ETHERNET: &str = "1";

/// An interface with Ethernet frames, by cable or by radio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its name.
    pub(crate) name: String,
    /// The kernel's number for it.
    pub(crate) index: u32,
    /// What it is.
    pub(crate) kind: LinkKind,
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

/// All interfaces of the box, cables first, then by name.
pub(super) fn list(class: &Path) -> Vec<Link> {
    let Ok(entries) = fs::read_dir(class) else { return Vec::new() };
    let mut links: Vec<_> = entries.flatten().filter_map(|entry| read(&entry.path())).collect();
    links.sort_by_key(|link| (link.kind == LinkKind::Wifi, link.name.clone()));
    links.truncate(LINKS_MAX);
    links
}

fn read(folder: &Path) -> Option<Link> {
    if read_text(folder.join("type"))? != ETHERNET {
        return None;
    }
    let name = folder.file_name()?.to_str()?.to_owned();
    let index = read_text(folder.join("ifindex"))?.parse().ok()?;
    let hardware = parse_hardware(&read_text(folder.join("address"))?)?;
    let radio = ["phy80211", "wireless"].iter().any(|entry| folder.join(entry).exists());
    let kind = if radio { LinkKind::Wifi } else { LinkKind::Ethernet };
    Some(Link { name, index, kind, hardware, folder: folder.to_owned() })
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
    fn cables_come_before_radios_and_the_end_of_one_is_seen() {
        let class = tempfile::tempdir().unwrap();
        add(class.path(), "lo", "772\n", 1, "1\n");
        assert!(list(class.path()).is_empty());
        add(class.path(), "a-radio", "1\n", 4, "1\n");
        fs::create_dir(class.path().join("a-radio/phy80211")).unwrap();
        add(class.path(), "eth1", "1\n", 3, "0\n");
        add(class.path(), "eth0", "1\n", 2, "1\n");
        let links = list(class.path());
        let names: Vec<_> = links.iter().map(|link| (link.name.as_str(), link.kind)).collect();
        let (cable, radio) = (LinkKind::Ethernet, LinkKind::Wifi);
        assert_eq!(names, [("eth0", cable), ("eth1", cable), ("a-radio", radio)]);
        let link = &links[0];
        assert_eq!((link.index, link.carrier()), (2, Some(true)));
        assert_eq!(link.hardware, [0x52, 0x54, 0, 0x12, 0x34, 0x56]);
        fs::write(class.path().join("eth0/ifindex"), "9\n").unwrap();
        assert_eq!(link.carrier(), None, "another interface of the same name");
        (10..20).for_each(|index| add(class.path(), &format!("usb{index}"), "1\n", index, "0\n"));
        assert_eq!(list(class.path()).len(), LINKS_MAX);
    }

    #[test]
    fn hardware_address_has_six_bytes() {
        assert_eq!(parse_hardware("52:54:00:12:34"), None);
        assert_eq!(parse_hardware("52:54:00:12:34:zz"), None);
        assert_eq!(parse_hardware(""), None);
    }
}
