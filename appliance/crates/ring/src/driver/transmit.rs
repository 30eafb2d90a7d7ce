//! Output: from queues to sends, one in flight per connection, all of a tick in one.

use super::Driver;
use crate::conn::{Conn, Phase};
use crate::event::{CloseReason, RingEvent};
use crate::limits::SEND_BYTES;
use crate::outbound::Offer;
use crate::shared::SharedFrame;
use crate::table::Key;
use crate::uring::Outgoing;
use crate::websocket;

use wire::ServerMessage;

impl Driver {
    /// Queues a frame for a session by its caps.
    pub(super) fn offer(&mut self, key: Key, frame: &SharedFrame, flush_note: bool) {
        let caps = self.caps();
        let Some(conn) = self.table.get_mut(key).filter(|conn| conn.phase == Phase::Open) else {
            return;
        };
        if matches!(frame.message(), ServerMessage::Welcome(_)) {
            conn.known = true;
            conn.permit = None;
        }
        conn.asked_pages.answer(frame.request(), frame.message());
        match conn.outbound.offer(frame, conn.codec.encoding(), flush_note, caps) {
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
        for key in std::mem::take(&mut self.dirty) {
            let Some(conn) = self.table.get_mut(key) else { continue };
            conn.dirty = false;
            if !conn.sending && conn.phase <= Phase::Flushing {
                self.start_send(key);
            }
        }
    }

    fn start_send(&mut self, key: Key) {
        let mut plaintext = std::mem::take(&mut self.plaintext);
        let Some(conn) = self.table.get_mut(key) else { return };
        let mut bytes = Vec::new();
        self.stats.frames_out += gather(conn, &mut plaintext, &mut bytes);
        plaintext.clear();
        plaintext.shrink_to(SEND_BYTES);
        self.plaintext = plaintext;
        if bytes.is_empty() {
            return self.all_sent(key);
        }
        self.submit(key, Outgoing { bytes, sent: 0 });
    }

    fn submit(&mut self, key: Key, outgoing: Outgoing) {
        let Some(conn) = self.table.get_mut(key) else { return };
        conn.sending = true;
        conn.send_turn = self.stats.ticks;
        conn.operations += 1;
        self.stats.sends += 1;
        self.uring.send(key, outgoing);
    }

    /// A completion of a send: the rest follows, or the next.
    pub(super) fn sent(&mut self, key: Key, outgoing: Outgoing, outcome: Result<(), i32>) {
        let Some(conn) = self.table.get_mut(key) else { return };
        conn.operations -= 1;
        conn.sending = false;
        if let Err(errno) = outcome {
            tracing::debug!(errno, "a send failed");
            self.abort(key, CloseReason::Lost);
        } else if conn.phase <= Phase::Flushing {
            if self.stats.ticks > conn.send_turn + 1 {
                // It had to wait for room in the socket: the peer took something.
                conn.life.hear(self.now);
            }
            if outgoing.sent < outgoing.bytes.len() {
                self.submit(key, outgoing);
            } else {
                self.stats.bytes_out += outgoing.bytes.len() as u64;
                self.all_sent(key);
            }
        }
        self.close_if_quiet(key);
    }

    /// What was gathered is with the socket: tells the core, sends what came meanwhile, or ends.
    fn all_sent(&mut self, key: Key) {
        let session = self.session(key);
        let Some(conn) = self.table.get_mut(key) else { return };
        let notes = conn.outbound.sent();
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

/// Moves what waits into one send, encrypted where it must be; the last one of a closing TLS
/// session ends with the alert that nothing more comes.
fn gather(conn: &mut Conn, plaintext: &mut Vec<u8>, bytes: &mut Vec<u8>) -> u64 {
    let Some(tls) = &mut conn.tls else {
        return conn.outbound.gather(bytes);
    };
    plaintext.clear();
    let frames = conn.outbound.gather(plaintext);
    tls.encrypt(plaintext, bytes);
    if conn.phase == Phase::Flushing && conn.outbound.is_empty() {
        tls.close();
    }
    tls.flush(bytes);
    frames
}
