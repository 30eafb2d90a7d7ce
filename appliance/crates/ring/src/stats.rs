//! Counters of one ring, written once a tick by its thread and read by anybody.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// Counters since the start, of all rings together; `connections` and `queued_bytes`
        /// are of this moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct RingStats {
            $($(#[$doc])* pub $name: u64,)+
        }

        /// Where a ring's thread publishes its counters.
        #[derive(Debug, Default)]
        pub(crate) struct Published {
            $($name: AtomicU64,)+
        }

        impl Published {
            pub(crate) fn publish(&self, stats: &RingStats) {
                $(self.$name.store(stats.$name, Relaxed);)+
            }

            pub(crate) fn add_to(&self, sum: &mut RingStats) {
                $(sum.$name += self.$name.load(Relaxed);)+
            }
        }
    };
}

stats! {
    /// Connections that hold a slot.
    connections,
    /// Bytes queued for sessions that do not read as fast as they are sent to, as of this moment.
    queued_bytes,
    /// Turns of the loops: one system call each.
    ticks,
    /// Frames from clients, whole and well-formed.
    frames_in,
    /// Frames given to sockets.
    frames_out,
    /// Bytes from sockets.
    bytes_in,
    /// Bytes given to sockets.
    bytes_out,
    /// Send operations: `frames_out` over this is how well frames share sends.
    sends,
    /// Frames answered with an error.
    frames_refused,
    /// Sessions that went over their cap.
    overflows,
    /// Times that a session was ahead of its pace and had to wait.
    paced,
    /// Fan-out frames dropped for sessions over their cap.
    fan_out_dropped,
    /// Receives that ended because all buffers were taken.
    starved,
    /// Ticks in which the core had no room for an event.
    choked,
}
