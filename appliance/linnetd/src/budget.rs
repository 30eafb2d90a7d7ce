//! One memory budget, computed from the machine's memory at start, with a named share for every
//! part. A part that reaches its share refuses; it never grows.

use std::fs;

const MIB: u64 = 1024 * 1024;

/// Left to the kernel, init and its children on a 1 GB board, measured with headroom; a larger
/// board keeps the same proportion.
const OWN_PERCENT: u64 = 47;

/// Least memory that linnetd plans with: below it the board is not a supported one.
const TOTAL_MIN: u64 = 64 * MIB;

/// Most memory that linnetd plans with, so that a developer's machine behaves like a board.
const TOTAL_MAX: u64 = 2048 * MIB;

/// An idle TLS session with its kernel socket, its keys and the core's state (measured: 6.4 KB),
/// and some for those that are busy: what is queued for them has a share of its own.
const SESSION_BYTES: u64 = 8 * 1024;

/// Of the sessions' share, what QUIC gets when it listens: phones and laptops that move between
/// networks; browsers don't come this way.
const QUIC_PERCENT: u64 = 25;

/// Who may use how much, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// All shares together.
    pub(crate) total: u64,
    /// Connections: kernel sockets, TLS states, core sessions.
    pub(crate) sessions: u64,
    /// Bytes queued for connections, all together.
    pub(crate) outbound: u64,
    /// Provided buffers of the rings.
    pub(crate) ring_buffers: u64,
    /// redb's page cache.
    pub(crate) index_cache: u64,
    /// Recent message texts.
    pub(crate) hot_messages: u64,
    /// Password hashing, 19 MiB each.
    pub(crate) passwords: u64,
}

impl Budget {
    /// The budget of a machine with this much memory.
    pub(crate) fn of(memory_bytes: u64) -> Self {
        let total = (memory_bytes / 100 * OWN_PERCENT).clamp(TOTAL_MIN, TOTAL_MAX);
        let percent = |share: u64| total / 100 * share;
        Self {
            total,
            sessions: percent(40),
            outbound: percent(20),
            ring_buffers: (percent(2)).clamp(MIB, 8 * MIB),
            index_cache: (percent(4)).clamp(2 * MIB, 32 * MIB),
            hot_messages: percent(12),
            passwords: 40 * MIB,
        }
    }

    /// The budget of this machine.
    pub(crate) fn of_this_machine() -> Self {
        let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_of(&text));
        Self::of(memory.unwrap_or(TOTAL_MIN))
    }

    /// The budget of a machine with this many MiB, or else of this one.
    pub(crate) fn planned(memory_mib: Option<u64>) -> Self {
        memory_mib.map_or_else(Self::of_this_machine, |mib| Self::of(mib.saturating_mul(MIB)))
    }

    /// Connections that fit the share.
    pub(crate) fn sessions_max(&self) -> usize {
        usize::try_from(self.sessions / SESSION_BYTES).expect("a share of 2 GiB at most")
    }

    /// Connections of the rings that fit their part of the share.
    pub(crate) fn ring_sessions_max(&self, quic_listens: bool) -> usize {
        let percent = if quic_listens { 100 - QUIC_PERCENT } else { 100 };
        let share = self.sessions / 100 * percent;
        usize::try_from(share / SESSION_BYTES).expect("a share of 2 GiB at most")
    }

    /// Connections over QUIC that fit their part of the share.
    pub(crate) fn quic_connections_max(&self) -> usize {
        let share = self.sessions / 100 * QUIC_PERCENT;
        let connections = share / quic::limits::CONNECTION_BYTES;
        usize::try_from(connections).expect("a share of 2 GiB at most")
    }
}

fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_with_one_gigabyte_plans_with_480_megabytes() {
        let budget = Budget::of(1024 * MIB);
        assert_eq!(budget.total / MIB, 481);
        assert!(budget.sessions_max() > 24_000);
        assert!(budget.ring_sessions_max(true) > 18_000);
        assert!(budget.quic_connections_max() > 700);
    }

    #[test]
    fn shares_never_exceed_the_total() {
        for memory in [0, 256 * MIB, 1024 * MIB, 8192 * MIB, u64::MAX] {
            let b = Budget::of(memory);
            let shares = b.sessions
                + b.outbound
                + b.ring_buffers
                + b.index_cache
                + b.hot_messages
                + b.passwords;
            assert!(shares <= b.total + 40 * MIB, "{b:?}");
            assert!((TOTAL_MIN..=TOTAL_MAX).contains(&b.total));
        }
    }

    #[test]
    fn memory_is_read_from_the_kernel_s_own_line() {
        let text = "MemFree:  1 kB\nMemTotal:         995428 kB\n";
        assert_eq!(total_of(text), Some(995_428 * 1024));
        assert_eq!(total_of("MemTotal: many kB"), None);
    }
}
