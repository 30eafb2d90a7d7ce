//! Which names and addresses a certificate of this box may carry. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::Network;
use crate::limits::LEAF_NAMES_MAX;

/// DNS subtrees that every box's CA permits (RFC 6762: `local` is never a public name).
pub(super) const DNS_PERMITTED: [&str; 2] = ["local", "localhost"];

/// Address ranges that every box's CA permits: none of them is routed on the Internet.
pub(crate) const ADDRESSES_PERMITTED: [(IpAddr, u8); 8] = [
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
];

/// The names and addresses of one leaf, in a fixed order so that two sets compare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LeafNames {
    pub(super) dns: BTreeSet<String>,
    pub(super) addresses: BTreeSet<IpAddr>,
}

impl LeafNames {
    /// `localhost`, loopback and whatever of `network` the CA permits. The rest is left out: a
    /// certificate with one forbidden name would be refused as a whole.
    pub(super) fn permitted(network: &Network, subtrees: &[String]) -> Self {
        let dns = network.names.iter().filter_map(|name| normalize(name));
        let dns = dns.filter(|name| subtrees.iter().any(|tree| is_below(name, tree)));
        let addresses = network.addresses.iter().copied().filter(is_private);
        let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        Self {
            dns: std::iter::once("localhost".to_owned())
                .chain(dns.take(LEAF_NAMES_MAX / 2))
                .collect(),
            addresses: loopback.into_iter().chain(addresses.take(LEAF_NAMES_MAX / 2)).collect(),
        }
    }
}

impl fmt::Display for LeafNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.dns.iter().cloned();
        let all = names.chain(self.addresses.iter().map(IpAddr::to_string));
        f.write_str(&all.collect::<Vec<_>>().join(" "))
    }
}

/// Whether an address lies in a range that is never routed on the Internet.
pub(crate) fn is_private(address: &IpAddr) -> bool {
    ADDRESSES_PERMITTED.iter().any(|(range, prefix)| is_in(address, range, *prefix))
}

/// Lower case without a trailing dot; none when it is not a host name (RFC 1123).
pub(super) fn normalize(name: &str) -> Option<String> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (name.len() <= 253 && name.split('.').all(label_ok)).then_some(name)
}

/// Whether a name has one label. A CA that may certify it may certify everything below it, and a
/// box may be called `box`, `dev` or `chat`, which are top-level domains.
pub(super) fn is_top_level(name: &str) -> bool {
    !name.contains('.')
}

fn is_below(name: &str, tree: &str) -> bool {
    name.strip_suffix(tree).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_in(address: &IpAddr, range: &IpAddr, prefix: u8) -> bool {
    match (address, range) {
        (IpAddr::V4(a), IpAddr::V4(r)) => (a.to_bits() ^ r.to_bits()) >> (32 - prefix) == 0,
        (IpAddr::V6(a), IpAddr::V6(r)) => (a.to_bits() ^ r.to_bits()) >> (128 - prefix) == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(names: &[&str], addresses: &[&str]) -> Network {
        Network {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn only_permitted_names_and_private_addresses_are_kept() {
        let subtrees = ["local", "localhost", "chat.school.example"].map(str::to_owned);
        let wanted = network(
            &["Linnet.local.", "example.com", "chat.school.example", "notlocal", "a b"],
            &["192.168.1.4", "8.8.8.8", "2001:db8::1", "fd00::1", "172.32.0.1"],
        );
        let names = LeafNames::permitted(&wanted, &subtrees);
        let expected =
            "chat.school.example linnet.local localhost 127.0.0.1 192.168.1.4 ::1 fd00::1";
        assert_eq!(names.to_string(), expected);
    }

    #[test]
    fn the_order_in_which_the_network_is_told_does_not_matter() {
        let subtrees = ["local".to_owned()];
        let one = network(&["a.local", "b.local"], &["10.0.0.1", "10.0.0.2"]);
        let two = network(&["b.local", "a.local"], &["10.0.0.2", "10.0.0.1"]);
        let names = |n: &Network| LeafNames::permitted(n, &subtrees);
        assert_eq!(names(&one), names(&two));
    }
}
