//! One session from its handshake to its last word: what comes in is decoded and goes to the core,
//! what waits goes out, and neither holds up the other.

use std::future::pending;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use quinn::{Chunk, Connection, Incoming, ReadError, RecvStream, SendStream, WriteError, Written};
use session::answers::{answer, too_much_before_hello};
use session::native::{Decoder, Received};
use session::pace::{Pace, work_of};
use tokio::time::{sleep_until, timeout};
use wire::FrameError;
use wire::limits::CLIENT_FRAME_BYTES_MAX;
use wire::server::Error;

use crate::event::{CloseReason, Event};
use crate::frame::Frame;
use crate::hall::{Hall, Place, Seat, Stranger};
use crate::limits::{
    HANDSHAKE_WITHIN, READ_BYTES_MAX, REQUEST_WORK_BYTES, UNKNOWN_BYTES_MAX,
    UNKNOWN_FRAME_BYTES_MAX,
};
use crate::parting;

/// Serves one connection to its end.
pub(crate) async fn serve(hall: Rc<Hall>, incoming: Incoming, place: Place, permit: Stranger) {
    let peer = incoming.remote_address();
    match timeout(HANDSHAKE_WITHIN, open(incoming)).await {
        Ok(Some((connection, streams))) => {
            if let Some(seat) = hall.sit_down(permit) {
                Talk::new(hall, seat, connection, streams).run(peer).await;
            } else {
                parting::close(&connection, CloseReason::ShuttingDown);
            }
        }
        Ok(None) => {}
        Err(_) => tracing::debug!(%peer, "a QUIC handshake took too long"),
    }
    drop(place);
}

/// Shakes hands and opens the stream.
async fn open(incoming: Incoming) -> Option<(Connection, (SendStream, RecvStream))> {
    let peer = incoming.remote_address();
    let opened = async {
        let connection = incoming.accept()?.await?;
        let streams = connection.open_bi().await?;
        Ok::<_, quinn::ConnectionError>((connection, streams))
    };
    match opened.await {
        Ok(opened) => Some(opened),
        Err(error) => {
            tracing::debug!(%peer, %error, "a QUIC handshake failed");
            None
        }
    }
}

struct Talk {
    hall: Rc<Hall>,
    seat: Rc<Seat>,
    connection: Connection,
    send: SendStream,
    recv: RecvStream,
    decoder: Decoder,
    /// Read and not decoded: the core has no room, or the session has enough.
    held: Bytes,
    unknown_bytes: u64,
    pace: Pace,
    /// On their way to the connection.
    out: Vec<Bytes>,
    /// Flush notes behind them.
    notes: u32,
    /// When something went out, or began to wait.
    progress: Instant,
}

/// A step of the session, or why it is over.
type Step = Result<(), CloseReason>;

impl Talk {
    fn new(
        hall: Rc<Hall>,
        seat: Rc<Seat>,
        connection: Connection,
        (send, recv): (SendStream, RecvStream),
    ) -> Self {
        let now = Instant::now();
        Self {
            hall,
            seat,
            connection,
            send,
            recv,
            decoder: Decoder::default(),
            held: Bytes::new(),
            unknown_bytes: 0,
            pace: Pace::new(now),
            out: Vec::new(),
            notes: 0,
            progress: now,
        }
    }

    async fn run(mut self, peer: SocketAddr) {
        self.hall.push(Event::Connected { session: self.seat.id, peer });
        let reason = loop {
            if let Err(reason) = self.turn().await {
                break reason;
            }
        };
        self.hall.leave(self.seat.id, reason);
        parting::part(&self.hall, &self.seat, &self.connection, self.send, self.out, reason).await;
    }

    /// Does what can be done, then waits for the next thing to happen.
    async fn turn(&mut self) -> Step {
        self.decode()?;
        self.fill();
        if let Some(reason) = self.seat.end() {
            return Err(reason);
        }
        let now = Instant::now();
        let (free, writes) = (self.may_decode(now), !self.out.is_empty());
        if free && !self.held.is_empty() {
            return Ok(()); // it became so since
        }
        let (choked, until) = (self.hall.is_choked(), self.deadline(now, writes));
        tokio::select! {
            chunk = self.recv.read_chunk(READ_BYTES_MAX, true), if free => self.take_in(chunk),
            written = self.send.write_chunks(&mut self.out), if writes => self.gave(written),
            () = self.seat.wake.notified() => Ok(()),
            () = self.hall.room.notified(), if choked => Ok(()),
            () = wait_until(until), if until.is_some() => self.check_time(writes),
            error = self.connection.closed() => Err(parting::reason_of(&error)),
        }
    }

    /// Whether more may be decoded, and so read. All that decides it wakes the session when it
    /// changes, but time: see [`Self::deadline`], which must be asked at the same time.
    fn may_decode(&self, now: Instant) -> bool {
        let config = &self.hall.config;
        !self.hall.is_choked()
            && !self.seat.has_enough(config.session_bytes_max)
            && self.seat.end().is_none()
            && self.pace.admits(now, config.pace)
    }

    /// When to look again, though nothing happened: at its pace it may go on, or it is stalled.
    fn deadline(&self, now: Instant, writes: bool) -> Option<Instant> {
        let config = &self.hall.config;
        let wait = self.pace.wait(now, config.pace);
        let paced = (!wait.is_zero()).then(|| now + wait);
        let stalled = writes.then(|| self.progress + config.stalled_within);
        paced.into_iter().chain(stalled).min()
    }

    fn check_time(&self, writes: bool) -> Step {
        let stalled = self.progress.elapsed() >= self.hall.config.stalled_within;
        if writes && stalled { Err(CloseReason::Dead) } else { Ok(()) }
    }

    fn take_in(&mut self, chunk: Result<Option<Chunk>, ReadError>) -> Step {
        match chunk {
            Ok(Some(chunk)) => {
                self.held = chunk.bytes;
                self.count_unknown()
            }
            Ok(None) => Err(CloseReason::Peer),
            Err(ReadError::ConnectionLost(error)) => Err(parting::reason_of(&error)),
            Err(_) => Err(CloseReason::Peer),
        }
    }

    fn count_unknown(&mut self) -> Step {
        if !self.seat.is_known() {
            self.unknown_bytes += self.held.len() as u64;
            if self.unknown_bytes > UNKNOWN_BYTES_MAX {
                return self.lose(too_much_before_hello());
            }
        }
        Ok(())
    }

    /// Decodes what was read until it is used up, the core has no room or the session has enough.
    fn decode(&mut self) -> Step {
        if self.held.is_empty() {
            return Ok(());
        }
        let held = std::mem::take(&mut self.held);
        let mut input = &held[..];
        while self.may_decode(Instant::now()) {
            let known = self.seat.is_known();
            let max = if known { CLIENT_FRAME_BYTES_MAX } else { UNKNOWN_FRAME_BYTES_MAX };
            let before = input.len();
            let next = self.decoder.next(&mut input, max);
            self.spend(before - input.len(), &next);
            match next {
                Ok(Some(received)) => self.receive(received),
                Ok(None) => return Ok(()),
                Err(error) => return self.lose(answer(&error)),
            }
        }
        self.held = held.slice_ref(input);
        Ok(())
    }

    fn spend(&mut self, bytes: usize, next: &Result<Option<Received>, FrameError>) {
        let work = match next {
            Ok(None) => 0,
            Ok(Some(Received { message: Ok(Some(message)), .. })) => work_of(message),
            Ok(Some(_)) | Err(_) => REQUEST_WORK_BYTES,
        };
        self.pace.spend(bytes + work, Instant::now(), self.hall.config.pace);
    }

    fn receive(&self, Received { request, message }: Received) {
        match message {
            Ok(Some(message)) => {
                self.seat.ask(request, &message);
                self.hall.push(Event::Frame { session: self.seat.id, request, message });
            }
            Ok(None) => {}
            Err(error) => {
                self.hall.offer_to(&self.seat, &Frame::new(answer(&error), request), false);
            }
        }
    }

    /// Framing is lost: says why, then closes.
    fn lose(&self, error: Error) -> Step {
        self.hall.offer_to(&self.seat, &Frame::new(error, 0), false);
        Err(CloseReason::Violation)
    }

    /// Takes what waits, once everything before it is with the connection.
    fn fill(&mut self) {
        if self.out.is_empty() {
            self.tell_notes();
            self.notes += self.seat.take(&mut self.out);
            self.progress = Instant::now();
        }
        if self.out.is_empty() {
            self.tell_notes();
        }
    }

    /// Everything up to these notes is with the connection.
    fn tell_notes(&mut self) {
        for _ in 0..std::mem::take(&mut self.notes) {
            self.hall.push(Event::Flushed { session: self.seat.id });
        }
    }

    fn gave(&mut self, written: Result<Written, WriteError>) -> Step {
        match written {
            Ok(Written { bytes, chunks }) => {
                self.out.drain(..chunks);
                self.seat.sent(&self.hall, bytes);
                self.progress = Instant::now();
                Ok(())
            }
            Err(WriteError::ConnectionLost(error)) => Err(parting::reason_of(&error)),
            Err(_) => Err(CloseReason::Peer),
        }
    }
}

async fn wait_until(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until.into()).await,
        None => pending().await,
    }
}
