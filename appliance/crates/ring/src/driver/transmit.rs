//! Output: from queues to sends, one in flight per connection, all of a tick in one.

use super::Driver;
use crate::conn::{Conn, Patience, Phase};
use crate::event::{CloseReason, RingEvent};
use crate::limits::{SEND_BYTES, TLS_OVERHEAD_BYTES};
use crate::shared::SharedFrame;
use crate::staging::{Source, Staging};
use crate::table::Key;
use crate::tls::Tls;
use crate::uring::Outgoing;
use crate::websocket;

use session::slow::Offer;
use wire::ServerMessage;

impl Driver {
    /// Queues a frame for a session by its caps.
    pub(super) fn offer(&mut self, key: Key, frame: &SharedFrame, flush_note: bool) {
        let caps = self.caps();
        let Some(conn) = self.table.get_mut(key).filter(|conn| conn.phase == Phase::Open) else {
            return;
        };
        if let Some((message, request)) = frame.single() {
            if matches!(message, ServerMessage::Welcome(_)) {
                conn.known = true;
                conn.permit = None;
            }
            conn.asked_pages.answer(request, message);
        }
        match conn.outbound.offer(frame, conn.codec.encoding(), flush_note, caps) {
            Offer::Queued if conn.sending => self.count(key),
            Offer::Queued => self.mark_dirty(key),
            Offer::Dropped => self.stats.fan_out_dropped += 1,
            Offer::Overflowed => {
                self.stats.fan_out_dropped += 1;
                self.stats.overflows += 1;
                self.events.push(RingEvent::Overflowed { session: self.session(key) });
            }
            Offer::TooSlow => self.abort(key, CloseReason::TooSlow),
        }
    }

    /// Queues a control frame of WebSocket.
    pub(super) fn push_control(&mut self, key: Key, opcode: websocket::Opcode, payload: &[u8]) {
        if let Some(conn) = self.table.get_mut(key) {
            conn.outbound.push_control(websocket::control_frame(opcode, payload));
            self.mark_dirty(key);
        }
    }

    /// Starts one send for every connection that has something and none in flight.
    pub(super) fn send_dirty(&mut self) {
        if !self.uring.is_settled() {
            return; // the kernel took no submissions: first things first
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        for key in dirty.drain(..) {
            let Some(conn) = self.table.get_mut(key) else { continue };
            conn.dirty = false;
            if self.company.is_sought() && may_wait(conn) {
                self.wait_for_company(key);
            } else if !conn.sending && conn.phase <= Phase::Flushing {
                self.start_send(key);
            }
        }
        dirty.append(&mut self.dirty);
        self.dirty = dirty;
    }

    fn wait_for_company(&mut self, key: Key) {
        if let Some(conn) = self.table.get_mut(key)
            && conn.patience == Patience::Unused
        {
            conn.patience = Patience::Waiting;
            self.company.wait(self.now, key);
        }
    }

    /// Lets the acks go that have waited long enough.
    pub(super) fn keep_company(&mut self) {
        self.company.observe(self.now, self.stats.frames_in);
        while let Some(key) = self.company.overdue(self.now) {
            let Some(conn) = self.table.get_mut(key) else { continue };
            conn.patience = Patience::Unused;
            if !conn.outbound.is_empty() {
                conn.patience = Patience::Over;
                self.mark_dirty(key);
            }
        }
    }

    fn start_send(&mut self, key: Key) {
        if !self.make_room(key) {
            return self.mark_dirty(key);
        }
        let Some(conn) = self.table.get_mut(key) else { return };
        if conn.patience == Patience::Over {
            conn.patience = Patience::Unused;
        }
        let only = if conn.tls.is_none() { conn.outbound.take_only() } else { None };
        let (source, frames) = match only {
            Some((frame, encoding)) => {
                let frames = frame.count();
                (Some(Source::Shared(frame, encoding)), frames)
            }
            None => gather(conn, self.uring.staging(), &mut self.plaintext),
        };
        let Some(source) = source else {
            return self.all_sent(key);
        };
        let wants_word = conn.has_output()
            || conn.held_up
            || conn.phase == Phase::Flushing
            || conn.outbound.has_notes_in_flight();
        self.stats.frames_out += frames;
        self.stats.sends += 1;
        self.stats.bytes_out += source.len() as u64;
        let waits = !conn.outbound.is_empty() || conn.counted > 0;
        let used_up = conn.tls.as_ref().is_some_and(Tls::is_closed);
        self.uring.send_now(key, source, wants_word);
        if waits {
            self.count(key);
        }
        if used_up {
            // Whatever comes now would be lost; the client was told and comes again.
            self.end(key, CloseReason::Lost);
        }
    }

    /// Submits what is staged where the arena would not take the next send. False when the kernel
    /// takes nothing for now, for lack of memory: then there is no room.
    fn make_room(&mut self, key: Key) -> bool {
        let Some(conn) = self.table.get_mut(key) else { return true };
        let needed = conn.outbound.gather_bytes_max() + TLS_OVERHEAD_BYTES;
        if self.uring.staging().room() < needed {
            let submitted = self.uring.submit_now(&mut self.completions);
            submitted.expect("the kernel takes valid submissions; only a restart helps otherwise");
        }
        self.uring.staging().room() >= needed
    }

    /// A send at once did not take everything: the rest waits for room.
    pub(super) fn sent_short(&mut self, key: Key, rest: Vec<u8>, outcome: Result<(), i32>) {
        let Some(conn) = self.table.get_mut(key) else { return };
        if let Err(errno) = outcome {
            tracing::debug!(errno, "a send failed");
            self.abort(key, CloseReason::Lost);
        } else if conn.phase <= Phase::Flushing {
            conn.outbound.waits(rest.len());
            self.count(key);
            self.submit(key, Outgoing { bytes: rest, sent: 0 });
        }
    }

    fn submit(&mut self, key: Key, outgoing: Outgoing) {
        let Some(conn) = self.table.get_mut(key) else { return };
        conn.sending = true;
        conn.operations += 1;
        self.uring.send(key, outgoing);
    }

    /// A completion of a send that waited: the rest follows, or the next.
    pub(super) fn sent(&mut self, key: Key, outgoing: Outgoing, outcome: Result<(), i32>) {
        let Some(conn) = self.table.get_mut(key) else { return };
        conn.operations -= 1;
        conn.sending = false;
        if let Err(errno) = outcome {
            tracing::debug!(errno, "a send failed");
            self.abort(key, CloseReason::Lost);
        } else if conn.phase <= Phase::Flushing {
            // It had to wait for room in the socket: the peer took something.
            conn.life.hear(self.now);
            if outgoing.sent < outgoing.bytes.len() {
                self.submit(key, outgoing);
            } else {
                self.all_sent(key);
            }
        }
        self.close_if_quiet(key);
    }

    /// What was gathered is with the socket: tells the core, sends what came meanwhile, or ends.
    pub(super) fn all_sent(&mut self, key: Key) {
        let session = self.session(key);
        let Some(conn) = self.table.get_mut(key).filter(|conn| conn.phase <= Phase::Flushing)
        else {
            return;
        };
        let notes = conn.outbound.sent();
        if conn.counted > 0 {
            self.count(key);
        }
        let Some(conn) = self.table.get_mut(key) else { return };
        let (open, more) = (conn.phase == Phase::Open, conn.has_output());
        if more {
            self.mark_dirty(key);
        }
        if open {
            for _ in 0..notes {
                self.events.push(RingEvent::Flushed { session });
            }
            self.release(key);
        } else if !more {
            self.linger(key);
        }
    }
}

fn may_wait(conn: &Conn) -> bool {
    conn.phase == Phase::Open && conn.patience != Patience::Over && conn.outbound.may_wait()
}

/// Moves what waits into one send, encrypted where it must be; the last one of a closing TLS
/// session ends with the alert that nothing more comes. Gives the number of frames, too.
fn gather(
    conn: &mut Conn,
    staging: &mut Staging,
    plaintext: &mut Vec<u8>,
) -> (Option<Source>, u64) {
    let Some(tls) = &mut conn.tls else {
        let frames = conn.outbound.gather(|bytes| staging.append(bytes));
        return (staging.finish(), frames);
    };
    plaintext.clear();
    let frames = conn.outbound.gather(|bytes| plaintext.extend_from_slice(bytes));
    let mut records = Vec::new();
    tls.encrypt(plaintext, &mut records);
    if conn.phase == Phase::Flushing && conn.outbound.is_empty() {
        tls.close();
    }
    tls.flush(&mut records);
    staging.append(&records);
    plaintext.clear();
    plaintext.shrink_to(SEND_BYTES);
    (staging.finish(), frames)
}
