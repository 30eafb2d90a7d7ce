//! The newer protocol: the kernel makes addresses from what routers announce (RFC 4862); here it is
//! told to, and asked what came of it. Names are resolved by the servers that DHCP or the owner
//! gave; servers that routers announce are not used.

use std::fs;
use std::net::Ipv6Addr;

use super::limits::ADDRESSES_V6_MAX;
use crate::smallfile::read_text;

/// Settings of one interface. Temporary addresses are for those who wander, not for a server.
const SETTINGS: [(&str, &str); 5] = [
    ("ipv6/conf/{}/accept_ra", "1"),
    ("ipv6/conf/{}/autoconf", "1"),
    ("ipv6/conf/{}/use_tempaddr", "0"),
    ("ipv6/conf/{}/accept_redirects", "0"),
    ("ipv4/conf/{}/arp_notify", "1"), // tells the switch and the neighbours of a new address
];

/// include/uapi/linux/if_addr.h: temporary, failed, deprecated, tentative.
const UNUSABLE: u32 = 0x01 | 0x08 | 0x20 | 0x40;

/// Makes the settings; returns a sentence if the kernel refused one that it has.
pub(super) fn prepare(interface: &str) -> Vec<String> {
    let all = ("ipv4/conf/all/ignore_routes_with_linkdown", "1");
    let own = SETTINGS.map(|(path, value)| (path.replace("{}", interface), value));
    let rows = own.into_iter().chain([(all.0.to_owned(), all.1)]);
    rows.filter_map(|(path, value)| set(&path, value)).collect()
}

fn set(path: &str, value: &str) -> Option<String> {
    let path = format!("/proc/sys/net/{path}");
    if read_text(&path).is_none_or(|now| now == value) {
        return None; // right already, or a kernel without it
    }
    let error = fs::write(&path, value).err()?;
    Some(format!("The kernel setting {path} could not be made: {error}."))
}

/// The usable addresses of an interface, global ones first.
pub(super) fn addresses(interface: &str) -> Vec<Ipv6Addr> {
    list(&read_text("/proc/net/if_inet6").unwrap_or_default(), interface)
}

fn list(table: &str, interface: &str) -> Vec<Ipv6Addr> {
    let mut found: Vec<_> = table.lines().filter_map(|line| read(line, interface)).collect();
    found.sort_by_key(|address| (address.is_unicast_link_local(), *address));
    found.truncate(ADDRESSES_V6_MAX);
    found
}

/// A line is address, index, prefix length, scope, flags, name; all but the name in hexadecimal.
fn read(line: &str, interface: &str) -> Option<Ipv6Addr> {
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    let [address, _, _, _, flags, name] = words[..] else { return None };
    let usable = u32::from_str_radix(flags, 16).ok()? & UNUSABLE == 0;
    let address = u128::from_str_radix(address, 16).ok()?;
    (name == interface && usable).then(|| Ipv6Addr::from(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usable_addresses_of_the_interface_are_listed_global_ones_first() {
        let table = "\
fe80000000000000505400fffe123456 02 40 20 80     eth0
20010db8000000010000000000000007 02 40 00 00     eth0
20010db8000000010000000000000008 02 40 00 40     eth0
20010db8000000010000000000000009 03 40 00 00    wlan0
00000000000000000000000000000001 01 80 10 80       lo
nonsense
";
        let expected: Vec<Ipv6Addr> =
            ["2001:db8:0:1::7", "fe80::5054:ff:fe12:3456"].map(|a| a.parse().unwrap()).to_vec();
        assert_eq!(list(table, "eth0"), expected);
        assert_eq!(list("", "eth0"), Vec::<Ipv6Addr>::new());
        let many = "fd000000000000000000000000000001 02 40 00 00 eth0\n".repeat(50);
        assert_eq!(list(&many, "eth0").len(), ADDRESSES_V6_MAX);
    }
}
