//! Every bound and period of the `net` child, with its unit and its reason.

use std::time::Duration;

/// How often link state is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(500);

/// How often new interfaces are looked for, in milliseconds: they come with a plug by hand.
pub(super) const LINKS_LOOK_MS: u64 = 2_000;

/// Most interfaces that are followed: the board has two, USB may add some.
pub(super) const LINKS_MAX: usize = 4;

/// Without a lease for this long the owner is told, in milliseconds.
pub(super) const SILENCE_MS: u64 = 20_000;

/// After an offer that was not taken, DHCP is asked anew after this long, in milliseconds, so that
/// an honest server on the same cable has its turn.
pub(super) const REFUSED_LEASE_MS: u64 = 10_000;

/// Largest DHCP packet kept for its options, in bytes: what fits into an Ethernet frame.
pub(super) const DHCP_BYTES_MAX: usize = 1_500;

/// Most time servers taken from a DHCP answer.
pub(super) const DHCP_TIME_SERVERS_MAX: usize = 3;

/// Most addresses of the newer protocol that are reported.
pub(super) const ADDRESSES_V6_MAX: usize = 4;

/// Priority of the default route by cable and by radio; the lower number is used first.
pub(super) const METRIC_ETHERNET: u32 = 100;
pub(super) const METRIC_WIFI: u32 = 600;

/// Memory for data that this process may have, in bytes. It needs about 3 MB and 2 MB per thread's
/// stack; a flood that makes a library remember more ends the process, and init starts it anew.
pub(super) const DATA_BYTES_MAX: u64 = 64 << 20;

/// Longest settings file in bytes; the values in it are bounded by the provisioning file's.
pub(super) const SETTINGS_BYTES_MAX: u64 = 16 << 10;

/// How long the goodbye of the announced names may take at the end.
pub(super) const GOODBYE: Duration = Duration::from_millis(800);

/// Longest announced name in bytes: a DNS label of 63 with room for a number.
pub(super) const ANNOUNCED_BYTES_MAX: usize = 57;

/// Names tried in a row before somebody is taken to claim them all (RFC 6762 section 8.1 has 15).
pub(super) const RENAMES_MAX: u32 = 15;

/// After that, or when announcing fails, it is tried again after this long, in milliseconds.
pub(super) const ANNOUNCE_PAUSE_MS: u64 = 10 * 60 * 1_000;

/// Probes for an address before it is used, and the pause between two in milliseconds (RFC 5227
/// section 1.1: three, one to two seconds apart).
pub(super) const ARP_PROBES: u32 = 3;
pub(super) const ARP_PAUSE_MS: u64 = 1_000;

/// How often the router of a fixed address is asked for before it counts as unreachable.
pub(super) const ROUTER_ASKS: u32 = 12;

/// Longest message of the Wi-Fi program, in bytes; its longest answers list networks, which are
/// not asked for.
pub(super) const WIFI_WORD_BYTES_MAX: usize = 4_096;

/// Messages of the Wi-Fi program handled at a time.
pub(super) const WIFI_WORDS_MAX: u32 = 32;

const _: () = assert!(METRIC_ETHERNET < METRIC_WIFI);
const _: () = assert!(DHCP_BYTES_MAX >= 576); // RFC 2131 section 2
