//! Every message that was posted: when it was due, who still lacks it, who got it twice. Pure.

use std::collections::VecDeque;

use crate::stamp::Stamp;

/// What one event meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing that was awaited.
    Nothing,
    /// A member has the message, this long after it was due.
    Delivered {
        /// Nanoseconds.
        latency_ns: u64,
    },
    /// The server took the message, this long after it was due.
    Acked {
        /// Nanoseconds.
        latency_ns: u64,
    },
    /// A member has the message a second time.
    Duplicate,
}

/// Accounts of all senders and receivers of one process, by slot.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    senders: Vec<Sender>,
    receivers: Vec<Vec<Seen>>,
}

#[derive(Debug, Default)]
struct Sender {
    /// Sequence number of the oldest flight.
    first: u32,
    flights: VecDeque<Flight>,
    /// Oldest message without an ack, for protocols that do not say which.
    unacked: u32,
}

#[derive(Debug)]
struct Flight {
    due_ns: u64,
    missing: u32,
    acked: bool,
}

/// The newest message of one sender that a receiver has: messages of one sender come in order.
#[derive(Debug)]
struct Seen {
    sender: u32,
    seq: u32,
}

impl Flight {
    const fn is_complete(&self) -> bool {
        self.missing == 0 && self.acked
    }
}

impl Ledger {
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            senders: (0..slots).map(|_| Sender::default()).collect(),
            receivers: (0..slots).map(|_| Vec::new()).collect(),
        }
    }

    /// A message is due now: `deliveries` members and, with `ack`, an ack are awaited. Gives its
    /// sequence number.
    pub(crate) fn post(&mut self, slot: usize, due_ns: u64, deliveries: u32, ack: bool) -> u32 {
        let sender = &mut self.senders[slot];
        let seq = sender.next();
        sender.flights.push_back(Flight { due_ns, missing: deliveries, acked: !ack });
        seq
    }

    /// Member `receiver` got a message of `sender` (a slot).
    pub(crate) fn delivered(
        &mut self,
        receiver: usize,
        sender: usize,
        stamp: Stamp,
        at_ns: u64,
    ) -> (Progress, bool) {
        if stamp.seq >= self.senders[sender].next() {
            return (Progress::Nothing, false);
        }
        if !note(&mut self.receivers[receiver], stamp) {
            return (Progress::Duplicate, false);
        }
        self.senders[sender].settle(stamp.seq, at_ns, |flight, latency_ns| {
            flight.missing = flight.missing.checked_sub(1)?;
            Some(Progress::Delivered { latency_ns })
        })
    }

    /// The server took a message of this sender.
    pub(crate) fn acked(
        &mut self,
        sender: usize,
        stamp: Option<Stamp>,
        at_ns: u64,
    ) -> (Progress, bool) {
        let sender = &mut self.senders[sender];
        let seq = stamp.map_or(sender.unacked, |stamp| stamp.seq);
        sender.unacked = sender.unacked.max(seq.saturating_add(1));
        sender.settle(seq, at_ns, |flight, latency_ns| {
            let first = !std::mem::replace(&mut flight.acked, true);
            first.then_some(Progress::Acked { latency_ns })
        })
    }

    /// Whether the server took all of this sender's messages, so that no ack is on its way.
    pub(crate) fn is_at_rest(&self, sender: usize) -> bool {
        self.senders[sender].flights.iter().all(|flight| flight.acked)
    }

    /// Deliveries and acks that are still awaited.
    pub(crate) fn missing(&self) -> (u64, u64) {
        let flights = || self.senders.iter().flat_map(|sender| &sender.flights);
        let deliveries = flights().map(|flight| u64::from(flight.missing)).sum();
        let acks = flights().filter(|flight| !flight.acked).count();
        (deliveries, u64::try_from(acks).expect("usize fits 64 bits"))
    }
}

impl Sender {
    /// Sequence number of the next message.
    fn next(&self) -> u32 {
        self.first + u32::try_from(self.flights.len()).expect("a run's messages fit")
    }

    /// Lets `settle` change a flight; tells what it meant and whether the message is complete now.
    fn settle(
        &mut self,
        seq: u32,
        at_ns: u64,
        settle: impl FnOnce(&mut Flight, u64) -> Option<Progress>,
    ) -> (Progress, bool) {
        let place = seq.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        let Some(flight) = place.and_then(|place| self.flights.get_mut(place)) else {
            return (Progress::Nothing, false);
        };
        let latency_ns = at_ns.saturating_sub(flight.due_ns);
        let Some(progress) = settle(flight, latency_ns) else { return (Progress::Nothing, false) };
        let complete = flight.is_complete();
        while self.flights.front().is_some_and(Flight::is_complete) {
            self.flights.pop_front();
            self.first += 1;
        }
        (progress, complete)
    }
}

/// Notes a message at its receiver; false when it came before.
fn note(seen: &mut Vec<Seen>, stamp: Stamp) -> bool {
    match seen.iter_mut().find(|seen| seen.sender == stamp.sender) {
        Some(seen) if stamp.seq <= seen.seq => return false,
        Some(seen) => seen.seq = stamp.seq,
        None => seen.push(Seen { sender: stamp.sender, seq: stamp.seq }),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn stamp(sender: u32, seq: u32) -> Stamp {
        Stamp { sender, seq }
    }

    #[test]
    fn a_message_is_complete_when_all_members_and_the_ack_are_there() {
        let mut ledger = Ledger::new(3);
        assert_eq!(ledger.post(0, 100, 2, true), 0);
        let delivered = |latency_ns| Progress::Delivered { latency_ns };
        assert_eq!(ledger.delivered(1, 0, stamp(0, 0), 150), (delivered(50), false));
        assert_eq!((ledger.missing(), ledger.is_at_rest(0)), ((1, 1), false));
        let acked = Progress::Acked { latency_ns: 60 };
        assert_eq!(ledger.acked(0, Some(stamp(0, 0)), 160), (acked, false));
        assert!(ledger.is_at_rest(0));
        assert_eq!(ledger.delivered(2, 0, stamp(0, 0), 170), (delivered(70), true));
        assert_eq!(ledger.missing(), (0, 0));
        assert_eq!(ledger.post(0, 200, 0, true), 1);
    }

    #[test]
    fn messages_may_complete_out_of_order() {
        let mut ledger = Ledger::new(2);
        assert_eq!([0, 1].map(|due| ledger.post(0, due, 1, true)), [0, 1]);
        ledger.delivered(1, 0, stamp(0, 0), 9);
        assert!(!ledger.delivered(1, 0, stamp(0, 1), 9).1);
        assert!(ledger.acked(0, Some(stamp(0, 1)), 9).1);
        assert!(ledger.acked(0, Some(stamp(0, 0)), 9).1);
        assert_eq!((ledger.missing(), ledger.post(0, 9, 1, true)), ((0, 0), 2));
    }

    #[test]
    fn a_second_copy_is_a_duplicate_and_counts_for_nobody_else() {
        let mut ledger = Ledger::new(3);
        ledger.post(0, 0, 2, false);
        ledger.delivered(1, 0, stamp(0, 0), 1);
        assert_eq!(ledger.delivered(1, 0, stamp(0, 0), 2).0, Progress::Duplicate);
        assert_eq!(ledger.missing(), (1, 0));
        ledger.delivered(2, 0, stamp(0, 0), 3);
        assert_eq!(ledger.delivered(2, 0, stamp(0, 0), 4).0, Progress::Duplicate);
    }

    #[test]
    fn a_message_of_an_earlier_run_is_nobodys() {
        let mut ledger = Ledger::new(2);
        ledger.post(0, 0, 1, false);
        assert_eq!(ledger.delivered(1, 0, stamp(0, 7), 1), (Progress::Nothing, false));
        assert!(ledger.delivered(1, 0, stamp(0, 0), 2).1);
    }

    #[test]
    fn acks_without_a_stamp_are_for_the_oldest() {
        let mut ledger = Ledger::new(1);
        for due in [10, 20] {
            ledger.post(0, due, 0, true);
        }
        assert_eq!(ledger.acked(0, None, 30).0, Progress::Acked { latency_ns: 20 });
        assert_eq!(ledger.acked(0, None, 30).0, Progress::Acked { latency_ns: 10 });
        assert_eq!(ledger.acked(0, None, 30).0, Progress::Nothing);
    }
}
