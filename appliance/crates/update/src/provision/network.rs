//! The keys that say how the box is reached and whom it asks: the table `[network]`, time servers,
//! a log server. All checks are pure; a value that fails them is named and left out.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::limits::{NAME_SERVERS_MAX, SERVER_NAME_BYTES_MAX};

/// Lengths of a network's prefix that leave room for a box and a router, and are no mistake.
const PREFIXES: std::ops::RangeInclusive<u8> = 8..=30;

/// An address that the owner chose instead of the router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedAddress {
    /// The box's address.
    pub address: Ipv4Addr,
    /// Length of the network's prefix, 8 to 30.
    pub prefix: u8,
    /// Way to other networks; it lies in this one.
    pub router: Option<Ipv4Addr>,
    /// Who resolves names, at most `NAME_SERVERS_MAX`.
    pub name_servers: Vec<Ipv4Addr>,
}

/// The table as it stands in the file.
#[derive(Serialize)]
pub(super) struct Table {
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    router: Option<Ipv4Addr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    name_servers: Vec<Ipv4Addr>,
}

impl From<&FixedAddress> for Table {
    fn from(fixed: &FixedAddress) -> Self {
        Self {
            address: format!("{}/{}", fixed.address, fixed.prefix),
            router: fixed.router,
            name_servers: fixed.name_servers.clone(),
        }
    }
}

/// Whether a host may have this address: not "this network", loopback, multicast or reserved.
pub fn is_host_address(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first != 0 && first < 224 && !address.is_loopback()
}

/// `192.168.1.20/24` as address and prefix, unless it names the network itself or everybody in it.
pub(super) fn read_address(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let (address, prefix): (Ipv4Addr, u8) = (address.parse().ok()?, prefix.parse().ok()?);
    let fits = PREFIXES.contains(&prefix) && is_host_address(address);
    (fits && is_inside(address, address, prefix)).then_some((address, prefix))
}

/// Whether `other` may be another host in the network of `address`.
pub(super) fn is_inside(other: Ipv4Addr, address: Ipv4Addr, prefix: u8) -> bool {
    let hosts = u32::MAX >> prefix;
    let (ours, theirs) = (u32::from(address), u32::from(other));
    let host = theirs & hosts;
    ours & !hosts == theirs & !hosts && host != 0 && host != hosts
}

/// Name servers from text, all or none.
pub(super) fn read_name_servers(texts: &[String]) -> Option<Vec<Ipv4Addr>> {
    let servers: Option<Vec<Ipv4Addr>> = texts.iter().map(|text| text.parse().ok()).collect();
    servers.filter(|servers| {
        servers.len() <= NAME_SERVERS_MAX && servers.iter().all(|at| is_host_address(*at))
    })
}

/// Whether `text` may name a server: an address or a DNS name in lower case.
pub fn is_server(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
        || (text.len() <= SERVER_NAME_BYTES_MAX && text.split('.').all(super::is_host_name))
}

/// Whether `text` is `host:port`, an IPv6 address in brackets.
pub fn is_server_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let named = match bare {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.contains(':') && is_server(host),
    };
    named && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_of_a_host_is_read_and_all_others_are_not() {
        assert_eq!(read_address("192.168.1.20/24"), Some(([192, 168, 1, 20].into(), 24)));
        assert_eq!(read_address("10.0.0.1/30"), Some(([10, 0, 0, 1].into(), 30)));
        let wrong = [
            "192.168.1.20",
            "192.168.1.0/24",
            "192.168.1.255/24",
            "192.168.1.20/0",
            "127.0.0.1/8",
            "10.0.0.1/31",
            "10.0.0.1/7",
            "224.0.0.1/24",
            "0.1.2.3/24",
            "x/24",
            "1.2.3.4/24/1",
            "10.0.0.1/-1",
            "",
        ];
        wrong.iter().for_each(|text| assert_eq!(read_address(text), None, "{text}"));
    }

    #[test]
    fn servers_are_names_or_addresses() {
        for text in ["ntp", "pool.ntp.org", "10.0.0.1", "fd00::1", "a-1.b"] {
            assert!(is_server(text), "{text}");
        }
        for text in ["", ".", "a..b", "-a.b", "a b", "A.b", "a/b", &"a.".repeat(127)] {
            assert!(!is_server(text), "{text}");
        }
        assert!(!is_server(&vec!["a"; 128].join(".")), "255 bytes");
    }

    #[test]
    fn log_server_needs_a_port() {
        for text in ["logs:514", "10.0.0.1:514", "[fd00::1]:514", "a.b:1"] {
            assert!(is_server_and_port(text), "{text}");
        }
        for text in ["logs", "logs:", "logs:0", "logs:65536", "fd00::1:514", "[x]:1", ":514"] {
            assert!(!is_server_and_port(text), "{text}");
        }
    }
}
