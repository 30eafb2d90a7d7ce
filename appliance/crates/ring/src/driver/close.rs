//! The end of connections: last frames out, our side shut, the peer's end awaited, operations
//! cancelled and their last completions taken, then closed, then the slot is free.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use super::{Driver, SWEEP_EVERY};
use crate::conn::Phase;
use crate::event::{CloseReason, RingEvent};
use crate::limits::{CANCEL_WITHIN, CLOSE_WITHIN};
use crate::shared::SharedFrame;
use crate::table::Key;
use crate::websocket::{CloseCode, Opcode};

impl Driver {
    /// Sends a session a last frame and closes it once that is out.
    pub(super) fn dismiss(&mut self, key: Key, frame: &SharedFrame, reason: CloseReason) {
        let code = match reason {
            CloseReason::ShuttingDown => CloseCode::GoingAway,
            _ => CloseCode::Normal,
        };
        self.part(key, frame, code, reason);
    }

    /// Queues the last frames of a session, in whichever framing, and ends it.
    pub(super) fn part(
        &mut self,
        key: Key,
        frame: &SharedFrame,
        code: CloseCode,
        reason: CloseReason,
    ) {
        self.offer(key, frame, false);
        let conn = self.table.get_mut(key).filter(|conn| conn.phase == Phase::Open);
        if conn.is_some_and(|conn| conn.codec.is_websocket()) {
            self.push_control(key, Opcode::Close, &(code as u16).to_be_bytes());
        }
        self.end(key, reason);
    }

    /// The session is over for the core; what is queued still goes out, for a bounded time.
    pub(super) fn end(&mut self, key: Key, reason: CloseReason) {
        let Some(conn) = self.table.get_mut(key).filter(|conn| conn.phase == Phase::Open) else {
            return;
        };
        conn.phase = Phase::Flushing;
        conn.held = Vec::new();
        conn.held_up = false;
        conn.paced = false;
        self.events.push(RingEvent::Closed { session: self.session(key), reason });
        self.closing.push((self.now + CLOSE_WITHIN, key));
        self.mark_dirty(key);
        self.want_receive(key);
    }

    /// The peer sends no more.
    pub(super) fn peer_ended(&mut self, key: Key) {
        let Some(conn) = self.table.get_mut(key) else { return };
        conn.peer_ended = true;
        if conn.phase != Phase::Flushing {
            self.abort(key, CloseReason::Peer);
        }
    }

    /// Everything is out: says so and waits for the peer's end.
    pub(super) fn linger(&mut self, key: Key) {
        let Some(conn) = self.table.get_mut(key).filter(|conn| conn.phase == Phase::Flushing)
        else {
            return;
        };
        if conn.peer_ended {
            return self.abort(key, CloseReason::Peer);
        }
        conn.phase = Phase::Lingering;
        conn.operations += 1;
        self.uring.shut_down(key);
    }

    /// Ends a connection without further ado.
    pub(super) fn abort(&mut self, key: Key, reason: CloseReason) {
        let session = self.session(key);
        let Some(conn) = self.table.get_mut(key).filter(|conn| conn.phase < Phase::Cancelling)
        else {
            return;
        };
        if conn.phase == Phase::Open {
            self.events.push(RingEvent::Closed { session, reason });
        }
        conn.phase = Phase::Cancelling;
        conn.held = Vec::new();
        if conn.operations > 0 {
            conn.operations += 1;
            self.uring.cancel_all(key);
        }
        self.close_if_quiet(key);
    }

    /// An operation without further meaning ended.
    pub(super) fn ended(&mut self, key: Key) {
        if let Some(conn) = self.table.get_mut(key) {
            conn.operations -= 1;
            self.close_if_quiet(key);
        }
    }

    /// Takes a cancelled connection out of the file table once nothing of it is in flight.
    pub(super) fn close_if_quiet(&mut self, key: Key) {
        if let Some(conn) = self.table.get_mut(key)
            && conn.phase == Phase::Cancelling
            && conn.operations == 0
        {
            conn.phase = Phase::Closing;
            conn.operations = 1;
            self.uring.close(key);
        }
    }

    /// The connection is closed: its slot and its permit are free.
    pub(super) fn free(&mut self, key: Key) {
        if let Some(conn) = self.table.remove(key) {
            self.queued_bytes -= conn.counted;
            self.shared.held.fetch_sub(1, SeqCst);
        }
    }

    /// Ends closing connections that are past their time.
    pub(super) fn end_overdue(&mut self) {
        if self.now < self.next_sweep {
            return;
        }
        self.next_sweep = self.now + SWEEP_EVERY;
        let stopped = self.stop.is_some_and(|until| self.now >= until);
        let mut closing = std::mem::take(&mut self.closing);
        closing.retain(|(until, key)| {
            let overdue = stopped || self.now >= *until;
            if overdue {
                self.abort(*key, CloseReason::Lost);
            }
            !overdue && self.table.get_mut(*key).is_some_and(|conn| conn.phase < Phase::Cancelling)
        });
        closing.append(&mut self.closing);
        closing.shrink_to(closing.len() * 2);
        self.closing = closing;
    }

    /// Ends all sessions with a last frame; those not gone in time are cut off.
    pub(super) fn begin_stop(&mut self, frame: &SharedFrame, until: Instant) {
        self.stop = Some(until);
        self.close_door();
        for key in self.table.keys() {
            self.dismiss(key, frame, CloseReason::ShuttingDown);
        }
    }

    /// True when the loop may end: stopped, and nobody left or out of time.
    pub(super) fn is_done(&self) -> bool {
        self.stop.is_some_and(|until| self.table.len() == 0 || self.now >= until + CANCEL_WITHIN)
    }

    /// Takes the last completions, the doorbell's among them, before any memory is freed.
    pub(super) fn drain_operations(mut self) {
        self.uring.cancel_doorbell();
        let until = Instant::now() + CANCEL_WITHIN;
        let mut completions = std::collections::VecDeque::new();
        while self.uring.in_flight() > 0 && Instant::now() < until {
            let waited = self.uring.submit_and_wait(Duration::from_millis(100));
            if waited.and_then(|()| self.uring.drain(&mut completions)).is_err() {
                break;
            }
            completions.clear();
        }
        if self.uring.in_flight() > 0 {
            let left = self.uring.in_flight();
            tracing::error!(ring = self.ring, left, "operations did not end; memory is leaked");
        }
    }
}
