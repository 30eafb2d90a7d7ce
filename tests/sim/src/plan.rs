//! What one seed decides before the run begins: sizes, speeds and how much goes wrong.

use crate::random::Random;

/// Users act and faults happen for this long at most, in simulated milliseconds.
const ACTIVE_MS_MAX: u64 = 90_000;

/// One run's conditions. Chances are in permille.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) users: u32,
    pub(crate) devices_max: u64,
    pub(crate) active_ms: u64,
    /// Between two acts of one device, on average.
    pub(crate) act_ms: u64,
    pub(crate) sync_ms_max: u64,
    pub(crate) network_ms_max: u64,
    /// Between two faults of the machine, on average; 0 for none.
    pub(crate) fault_ms: u64,
    pub(crate) power_cuts: u64,
    pub(crate) drops: u64,
    pub(crate) duplicates: u64,
    pub(crate) resets: u64,
    pub(crate) pauses: u64,
    pub(crate) large_texts: u64,
    pub(crate) restores: bool,
    pub(crate) disk_full: bool,
    pub(crate) segment_bytes: u64,
    pub(crate) checkpoint_records: u64,
    /// Members above which joins and leaves are told in lists.
    pub(crate) crowd_members: usize,
    pub(crate) hot_bytes_max: usize,
    pub(crate) pending_bytes_max: usize,
    pub(crate) queue_bytes_max: usize,
}

impl Plan {
    pub(crate) fn new(random: &mut Random) -> Self {
        let calm = random.chance(100);
        let quiet = |value: u64| if calm { 0 } else { value };
        // Crowds have rooms above and below the size up to which read marks are shown.
        let crowd = random.chance(30);
        let users = if crowd { random.between(62, 68) } else { random.between(2, 6) };
        let users = u32::try_from(users).expect("small");
        let slow = if crowd { 20 } else { 1 };
        Self {
            users,
            devices_max: if crowd { 1 } else { random.between(1, 3) },
            active_ms: random.between(ACTIVE_MS_MAX / 3, ACTIVE_MS_MAX),
            act_ms: random.pick(&[150, 300, 600, 1_200]) * slow,
            sync_ms_max: random.pick(&[3, 10, 40, 300]),
            network_ms_max: random.pick(&[3, 30, 150, 600]),
            fault_ms: quiet(random.pick(&[1_000, 3_000, 8_000])),
            power_cuts: random.pick(&[100, 400, 800]),
            drops: quiet(random.pick(&[0, 5, 30])),
            duplicates: quiet(random.pick(&[0, 10, 60])),
            resets: quiet(random.pick(&[5, 20, 60])),
            pauses: random.pick(&[0, 20, 80]),
            large_texts: random.pick(&[0, 50, 200]),
            restores: !calm && random.chance(250),
            disk_full: !calm && random.chance(250),
            segment_bytes: random.pick(&[64, 96, 128]) * 1024,
            checkpoint_records: random.pick(&[5, 20, 60, 400]),
            crowd_members: random.pick(&[1, 3, 64]),
            hot_bytes_max: random.pick(&[0, 4_000, 1_000_000]),
            pending_bytes_max: random.pick(&[8_000, 60_000, 1_000_000]),
            queue_bytes_max: random.pick(&[2_000, 12_000, 100_000]),
        }
    }
}
