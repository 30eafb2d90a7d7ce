//! Every limit of the process, with its unit and reason. Memory shares are in `budget`.

use std::time::Duration;

/// Inputs waiting for the core: about two ticks of a busy box. A ring that finds it full stops
/// reading its sockets, so TCP slows the senders.
pub(crate) const CORE_QUEUE: usize = 4096;

/// Inputs the core takes before it hands its batch to the disk thread: bounds how long the first
/// message of a burst waits.
pub(crate) const CORE_BURST: usize = 512;

/// Connections that wait to be accepted: a school that comes back at once after a power cut. With
/// fewer, the kernel drops their handshakes and they try again after seconds. The kernel's own
/// bound is the sysctl `net.core.somaxconn`, 4,096 by default.
pub(crate) const BACKLOG: i32 = 4096;

/// Least time between the beginnings of two syncs while records keep coming. A card takes longer
/// than this for one sync, so there it changes nothing; on faster storage a busy box makes a tenth
/// of the syncs, at 2 ms more for an ack.
pub(crate) const SYNC_SPACING: Duration = Duration::from_millis(2);

/// Records of a batch from which on the next one is spaced: whoever writes alone waits for each
/// ack.
pub(crate) const SPACED_RECORDS_MIN: usize = 2;

/// Calls from the web thread that wait for their answer. Above that the caller gets `busy`.
pub(crate) const API_CALLS_MAX: usize = 256;

/// Time between two ticks of the core: deadlines, coalesced cursors, notes to slow sessions.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Time between two looks of the index thread at spares and free space.
pub(crate) const CARE_INTERVAL: Duration = Duration::from_secs(1);

/// Time between two health reports to init.
pub(crate) const HEALTH_INTERVAL: Duration = Duration::from_secs(2);

/// How long init may take to answer a question: a write to a slow card, with room. pid 1 that hangs
/// must not hang every browser that asks for its page.
pub(crate) const INIT_ANSWER_TIME: Duration = Duration::from_secs(10);

/// Time between two good round trips of the health device: each writes a sector to the card.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(300);

/// How long the health device waits for its own message before it calls the box ill.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long SIGTERM waits for acked work and open connections.
pub(crate) const DRAIN: Duration = Duration::from_secs(3);

/// Stack of an ordinary thread in bytes; nothing here recurses.
pub(crate) const STACK_BYTES: usize = 512 * 1024;

/// Bytes of log that the core keeps back from messages, so that signing in, deleting and managing
/// accounts work on a full card.
pub(crate) const KEPT_BACK_BYTES: u64 = 1024 * 1024;

/// Free bytes below which the box says that its card is nearly full.
pub(crate) const CARD_LOW_BYTES: u64 = 64 * 1024 * 1024;

/// Devices that may sign in while the box is in rescue: the owner, a few times.
pub(crate) const RESCUE_DEVICES_MAX: usize = 64;
