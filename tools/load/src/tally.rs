//! What one process counted; the parts of all processes add up to one.

use serde::{Deserialize, Serialize};

use crate::latency::Latency;
use crate::limits::REASONS_MAX;

/// Counts and latencies of one process or of all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Sessions that were ready.
    pub(crate) sessions: u64,
    /// Messages posted in the measured phase.
    pub(crate) messages: u64,
    /// Messages that reached a member.
    pub(crate) deliveries: u64,
    /// Messages that the server took.
    pub(crate) acks: u64,
    /// Deliveries, acks and pongs that never came.
    pub(crate) lost: u64,
    /// Messages that reached a member twice.
    pub(crate) duplicates: u64,
    /// Connections that ended unasked.
    pub(crate) broken: u64,
    /// Why the first ones did.
    pub(crate) reasons: Vec<String>,
    /// The deadline ended the run.
    pub(crate) timed_out: bool,
    /// From when a message was due until a member had it.
    pub(crate) delivery: Latency,
    /// From when a message was due until the server had taken it.
    pub(crate) ack: Latency,
    /// From `connect` until ready.
    pub(crate) ready: Latency,
    /// Delivery latency in the part of the run that the other is compared with.
    pub(crate) baseline: Latency,
    /// Deliveries and their summed latency, for every [`WINDOW_NS`] of the run.
    pub(crate) windows: Vec<Window>,
    /// Bytes received from sockets in the measured phase.
    pub(crate) bytes_received: u64,
    /// Processor time of the generator in the measured phase, in microseconds.
    pub(crate) load_cpu_us: u64,
    /// Times a session connected again.
    pub(crate) reconnects: u64,
}

/// Length of a [`Window`]: 10 s.
pub(crate) const WINDOW_NS: u64 = 10_000_000_000;

/// Deliveries of ten seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    count: u64,
    sum_ns: u64,
}

impl Tally {
    /// Adds what another process counted.
    pub(crate) fn merge(&mut self, other: Self) {
        self.sessions += other.sessions;
        self.messages += other.messages;
        self.deliveries += other.deliveries;
        self.acks += other.acks;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.broken += other.broken;
        self.reasons.extend(other.reasons);
        self.reasons.truncate(REASONS_MAX);
        self.timed_out |= other.timed_out;
        self.delivery.merge(&other.delivery);
        self.ack.merge(&other.ack);
        self.ready.merge(&other.ready);
        self.baseline.merge(&other.baseline);
        for (place, window) in other.windows.into_iter().enumerate() {
            self.window(place).add(window);
        }
        self.bytes_received += other.bytes_received;
        self.load_cpu_us += other.load_cpu_us;
        self.reconnects += other.reconnects;
    }

    /// A message reached a member, so long after it was due, at this time of the run.
    pub(crate) fn delivered(&mut self, latency_ns: u64, at_ns: u64) {
        self.deliveries += 1;
        self.delivery.record(latency_ns);
        let place = usize::try_from(at_ns / WINDOW_NS).expect("runs are short");
        self.window(place).add(Window { count: 1, sum_ns: latency_ns });
    }

    fn window(&mut self, place: usize) -> &mut Window {
        if self.windows.len() <= place {
            self.windows.resize(place + 1, Window::default());
        }
        &mut self.windows[place]
    }

    /// The highest mean of any ten seconds, in microseconds.
    pub(crate) fn worst_window_mean_us(&self) -> Option<f64> {
        self.windows.iter().filter_map(Window::mean_us).reduce(f64::max)
    }
}

impl Window {
    const fn add(&mut self, other: Self) {
        self.count += other.count;
        self.sum_ns += other.sum_ns;
    }

    #[allow(clippy::cast_precision_loss, reason = "sums of a run's latencies need no more digits")]
    fn mean_us(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum_ns as f64 / self.count as f64 / 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_and_windows_meet_at_their_time() {
        let mut first = Tally { sessions: 2, ..Tally::default() };
        first.delivered(4_000, 1);
        first.delivered(9_000, WINDOW_NS + 1);
        let mut second = Tally { sessions: 3, lost: 1, timed_out: true, ..Tally::default() };
        second.delivered(1_000, WINDOW_NS + 2);
        first.merge(serde_json::from_str(&serde_json::to_string(&second).unwrap()).unwrap());
        assert_eq!((first.sessions, first.deliveries, first.lost), (5, 3, 1));
        assert!(first.timed_out);
        assert_eq!(first.worst_window_mean_us(), Some(5.0));
    }

    #[test]
    fn no_window_has_no_worst() {
        assert_eq!(Tally::default().worst_window_mean_us(), None);
    }
}
