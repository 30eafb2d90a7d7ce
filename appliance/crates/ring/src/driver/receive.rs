//! Input: from completions over TLS and framing to events; holding it up where it must be.
//!
//! Choked ring: completions are parked with their buffers, so the kernel runs out of buffers and
//! senders wait. Session that does not read: its receive is cancelled until its queue drained;
//! likewise one that is ahead of its pace, until time has caught up.

use session::answers::too_much_before_hello;
use session::pace::work_of;

use super::{Driver, own_frame};
use crate::buffers::Filled;
use crate::codec::{Lost, Step};
use crate::conn::{Conn, Phase, ReceiveState};
use crate::event::{CloseReason, RingEvent};
use crate::limits::{PACE_EVERY, REQUEST_WORK_BYTES, UNKNOWN_BYTES_MAX};
use crate::table::Key;
use crate::tls::{Broken, Stream};
use crate::uring::Receive;
use crate::websocket::{self, CloseCode};

impl Driver {
    /// A completion of a receive.
    pub(super) fn received(&mut self, key: Key, outcome: Receive, armed: bool) {
        if !armed && let Some(conn) = self.table.get_mut(key) {
            conn.receive = ReceiveState::Off;
            conn.operations -= 1;
        }
        let waits = matches!(outcome, Receive::Data(_) | Receive::End | Receive::Failed(_));
        if waits && self.events.is_choked() {
            self.parked.push_back((key, outcome));
        } else {
            self.take_in(key, outcome);
        }
        self.close_if_quiet(key);
    }

    /// Goes on where a choked ring stopped, while the core has room.
    pub(super) fn resume_held(&mut self) {
        while !self.events.is_choked() {
            let Some(key) = self.resume.pop_front() else { break };
            if let Some(conn) = self.table.get_mut(key) {
                let held = std::mem::take(&mut conn.held);
                self.decode(key, &held);
                self.want_receive(key);
            }
        }
        while !self.events.is_choked() {
            let Some((key, outcome)) = self.parked.pop_front() else { break };
            self.take_in(key, outcome);
        }
    }

    /// Takes the input that came with a hand-over, then asks for more.
    pub(super) fn take_handed_over(&mut self, key: Key) {
        let Some(conn) = self.table.get_mut(key) else { return };
        let mut plaintext = std::mem::take(&mut conn.held);
        let stream =
            conn.tls.as_mut().map_or(Ok(Stream::Open), |tls| tls.decrypt(&[], &mut plaintext));
        self.take_plaintext(key, &plaintext);
        self.end_stream(key, stream);
        self.want_receive(key);
    }

    fn take_in(&mut self, key: Key, outcome: Receive) {
        match outcome {
            Receive::Data(filled) => self.read(key, filled),
            Receive::End => self.peer_ended(key),
            Receive::Starved => self.stats.starved += 1,
            Receive::Cancelled => {}
            Receive::Failed(errno) => {
                tracing::debug!(errno, "a receive failed");
                self.abort(key, CloseReason::Lost);
            }
        }
        self.want_receive(key);
    }

    /// Decodes a receive buffer and gives it back: only a choked ring keeps any.
    fn read(&mut self, key: Key, filled: Filled) {
        let mut plaintext = std::mem::take(&mut self.plaintext);
        plaintext.clear();
        let stream = self.open_records(key, &filled, &mut plaintext);
        self.uring.give_back(filled);
        if let Some(stream) = stream {
            self.take_plaintext(key, &plaintext);
            self.end_stream(key, stream);
        }
        self.plaintext = plaintext;
    }

    /// The plaintext of a receive buffer; none when nobody wants it any more.
    fn open_records(
        &mut self,
        key: Key,
        filled: &Filled,
        plaintext: &mut Vec<u8>,
    ) -> Option<Result<Stream, Broken>> {
        let conn = self.table.get_mut(key).filter(|conn| conn.phase == Phase::Open)?;
        let bytes = self.uring.bytes(filled);
        self.stats.bytes_in += bytes.len() as u64;
        conn.life.hear(self.now);
        Some(match &mut conn.tls {
            Some(tls) => tls.decrypt(bytes, plaintext),
            None => {
                plaintext.extend_from_slice(bytes);
                Ok(Stream::Open)
            }
        })
    }

    /// Acts on what TLS said beside the plaintext.
    fn end_stream(&mut self, key: Key, stream: Result<Stream, Broken>) {
        match stream {
            Ok(Stream::Open) => {}
            Ok(Stream::Ended) => self.peer_ended(key),
            Err(Broken) => self.end(key, CloseReason::Violation),
        }
        let tls = self.table.get_mut(key).and_then(|conn| conn.tls.as_ref());
        if tls.is_some_and(crate::tls::Tls::has_output) {
            self.mark_dirty(key);
        }
    }

    fn take_plaintext(&mut self, key: Key, bytes: &[u8]) {
        let Some(conn) = self.table.get_mut(key).filter(|conn| conn.phase == Phase::Open) else {
            return;
        };
        if !conn.known {
            conn.unknown_bytes += bytes.len() as u64;
            if conn.unknown_bytes > UNKNOWN_BYTES_MAX {
                let lost = Lost { error: too_much_before_hello(), code: CloseCode::TooBig };
                return self.lose(key, lost);
            }
        }
        if conn.held.is_empty() {
            self.decode(key, bytes);
        } else {
            conn.held.extend_from_slice(bytes);
        }
    }

    /// Decodes frames until the bytes are used up, the ring chokes or the session is held up;
    /// the rest is held.
    fn decode(&mut self, key: Key, bytes: &[u8]) {
        let mut input = bytes;
        loop {
            let choked = self.events.is_choked();
            let (cap, pace) = (self.config.session_bytes_max, self.config.pace);
            let Some(conn) = self.table.get_mut(key).filter(|conn| conn.phase == Phase::Open)
            else {
                return;
            };
            if choked || has_enough(conn, cap) || !conn.pace.admits(self.now, pace) {
                break;
            }
            let (max, before) = (conn.frame_bytes_max(), input.len());
            let next = conn.codec.next(&mut input, max);
            conn.pace.spend(before - input.len() + work(&next), self.now, pace);
            match next {
                Ok(None) => return,
                Ok(Some(step)) => self.step(key, step),
                Err(lost) => return self.lose(key, lost),
            }
        }
        self.hold(key, input);
    }

    fn hold(&mut self, key: Key, input: &[u8]) {
        let (choked, cap) = (self.events.is_choked(), self.config.session_bytes_max);
        let Some(conn) = self.table.get_mut(key) else { return };
        conn.held.extend_from_slice(input);
        if has_enough(conn, cap) {
            conn.held_up = true;
            self.stop_receive(key);
        } else if !conn.pace.admits(self.now, self.config.pace) {
            if !std::mem::replace(&mut conn.paced, true) {
                self.stats.paced += 1;
                self.paced.push(key);
            }
            self.stop_receive(key);
        } else if choked && !conn.held.is_empty() {
            self.resume.push_back(key);
        }
    }

    fn stop_receive(&mut self, key: Key) {
        if let Some(conn) = self.table.get_mut(key)
            && conn.receive == ReceiveState::Armed
        {
            conn.receive = ReceiveState::Stopping;
            conn.operations += 1;
            self.uring.cancel_receive(key);
        }
    }

    /// Reads again from sessions with which time has caught up.
    pub(super) fn resume_paced(&mut self) {
        if self.paced.is_empty() || self.now < self.next_pace {
            return;
        }
        self.next_pace = self.now + PACE_EVERY;
        for key in std::mem::take(&mut self.paced) {
            let Some(conn) = self.table.get_mut(key).filter(|conn| conn.paced) else { continue };
            if !conn.pace.admits(self.now, self.config.pace) {
                self.paced.push(key);
                continue;
            }
            conn.paced = false;
            if !conn.held.is_empty() {
                self.resume.push_back(key);
            }
            self.want_receive(key);
        }
    }

    /// Reads again from a session whose queue went down.
    pub(super) fn release(&mut self, key: Key) {
        let low = self.config.session_bytes_max / 2;
        let Some(conn) = self.table.get_mut(key) else { return };
        if conn.held_up && conn.outbound.bytes() <= low && !conn.asked_pages.is_full() {
            conn.held_up = false;
            if !conn.held.is_empty() {
                self.resume.push_back(key);
            }
            self.want_receive(key);
        }
    }

    fn step(&mut self, key: Key, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Frame { request, message } => {
                self.stats.frames_in += 1;
                if let Some(conn) = self.table.get_mut(key) {
                    conn.asked_pages.ask(request, &message);
                }
                let session = self.session(key);
                self.events.push(RingEvent::Frame { session, request, message });
            }
            Step::Refused { request, error } => {
                self.stats.frames_refused += 1;
                self.offer(key, &own_frame(error, request), false);
            }
            Step::Ping(payload) => {
                self.push_control(key, websocket::Opcode::Pong, &payload);
            }
            Step::Close(code) => {
                let code = code.unwrap_or(CloseCode::Normal as u16);
                self.push_control(key, websocket::Opcode::Close, &code.to_be_bytes());
                self.end(key, CloseReason::Peer);
            }
        }
    }

    /// Framing is lost: says why, then closes.
    fn lose(&mut self, key: Key, lost: Lost) {
        self.stats.frames_refused += 1;
        self.part(key, &own_frame(lost.error, 0), lost.code, CloseReason::Violation);
    }

    /// Puts a connection into the list of those to arm, if it should be read from.
    pub(super) fn want_receive(&mut self, key: Key) {
        if let Some(conn) = self.table.get_mut(key).filter(|conn| reads(conn))
            && conn.receive == ReceiveState::Off
        {
            conn.receive = ReceiveState::Waiting;
            self.rearm.push_back(key);
        }
    }

    /// Arms receives at the end of a tick, when all buffers are back; no more at once than there
    /// are buffers, oldest first, so that many talkers take turns.
    pub(super) fn arm_receives(&mut self) {
        if self.events.is_choked() {
            return;
        }
        for _ in 0..self.config.receive_buffers {
            let Some(key) = self.rearm.pop_front() else { break };
            let Some(conn) = self.table.get_mut(key) else { continue };
            conn.receive = ReceiveState::Off;
            if reads(conn) {
                conn.receive = ReceiveState::Armed;
                conn.operations += 1;
                self.uring.receive(key);
            }
        }
    }
}

/// Should be read from: open, or waiting for the peer's end. Never while plaintext is held: else a
/// session that is let go and held again, time after time, would be received faster than decoded.
fn reads(conn: &Conn) -> bool {
    let waits = conn.held_up || conn.paced || !conn.held.is_empty();
    conn.phase <= Phase::Lingering && !waits && !conn.peer_ended
}

/// More than `cap` bytes wait to be read by the peer, or as many pages as may be on their way.
const fn has_enough(conn: &Conn, cap: usize) -> bool {
    conn.outbound.bytes() > cap || conn.asked_pages.is_full()
}

/// What a step costs beside the bytes it took.
fn work(next: &Result<Option<Step>, Lost>) -> usize {
    match next {
        Ok(Some(Step::Frame { message, .. })) => work_of(message),
        Ok(None) => 0,
        Ok(Some(_)) | Err(_) => REQUEST_WORK_BYTES,
    }
}
