//! The loop of one ring: commands in, completions in, one send per connection out, then one
//! system call. Everything happens on its thread; nothing here waits but `submit_and_wait`.
//!
//! `receive` turns completions into events, `transmit` queues into sends, `close` ends connections.

mod accept;
mod close;
mod receive;
mod transmit;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use session::answers;
use session::slow::Caps;

use crate::company::Company;
use crate::config::RingConfig;
use crate::conn::{Conn, Phase};
use crate::error::StartError;
use crate::event::{CloseReason, RingEvent, SessionId};
use crate::events::Events;
use crate::handle::{Door, Handover};
use crate::heartbeat::{Verdict, ready_socket};
use crate::inbox::{Command, Inbox};
use crate::limits::{
    CHOKED_RETRY, COMMANDS_PER_TICK, HEARTBEAT_EVERY, PACE_EVERY, SESSION_BYTES_PRESSED,
    SHUTDOWN_WITHIN,
};
use crate::shared::SharedFrame;
use crate::stats::{Published, RingStats};
use crate::table::{Key, Table};
use crate::uring::{Completion, Receive, Uring};
use crate::websocket;

/// How often closing connections are looked at for their deadline.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// One ring's thread.
pub(crate) struct Driver {
    ring: u8,
    config: RingConfig,
    uring: Uring,
    table: Table<Conn>,
    inbox: Inbox,
    events: Events,
    /// Complete, to be looked at in the next turn.
    completions: VecDeque<Completion>,
    /// Received while the ring was choked; the buffers stay with us, which holds senders up.
    parked: VecDeque<(Key, Receive)>,
    /// Connections with held plaintext that may be decoded now.
    resume: VecDeque<Key>,
    /// Connections that are ahead of their pace.
    paced: Vec<Key>,
    /// Connections whose receive is armed at the end of the tick, oldest first.
    rearm: VecDeque<Key>,
    /// Connections with something to send.
    dirty: Vec<Key>,
    /// Connections whose acks wait for something to ride with.
    company: Company,
    /// Queued bytes of all connections, as far as they wait for their sockets.
    queued_bytes: usize,
    /// Connections that must be gone by their time.
    closing: Vec<(Instant, Key)>,
    /// Scratch for plaintext on its way into or out of TLS.
    plaintext: Vec<u8>,
    now: Instant,
    next_heartbeat: Instant,
    next_sweep: Instant,
    next_pace: Instant,
    /// Where plain connections come in; on the first ring only.
    door: Option<Door>,
    /// The kernel takes connections from the door.
    accepting: bool,
    /// The server stops: when the last connection must be gone.
    stop: Option<Instant>,
    stats: RingStats,
    shared: Shared,
}

/// What the driver shares with the handles.
pub(crate) struct Shared {
    pub(crate) published: Arc<Published>,
    pub(crate) held: Arc<AtomicU32>,
}

impl Driver {
    /// Sets the ring up on the calling thread, the only one that may use it.
    pub(crate) fn new(
        ring: u8,
        config: RingConfig,
        inbox: Inbox,
        events: SyncSender<RingEvent>,
        shared: Shared,
    ) -> Result<Self, StartError> {
        let uring = Uring::new(config.connections_per_ring, config.receive_buffers)?;
        let now = Instant::now();
        Ok(Self {
            ring,
            table: Table::new(config.connections_per_ring),
            config,
            uring,
            inbox,
            events: Events::new(events),
            completions: VecDeque::new(),
            parked: VecDeque::new(),
            resume: VecDeque::new(),
            paced: Vec::new(),
            rearm: VecDeque::new(),
            dirty: Vec::new(),
            company: Company::new(now),
            queued_bytes: 0,
            closing: Vec::new(),
            plaintext: Vec::new(),
            now,
            next_heartbeat: now,
            next_sweep: now,
            next_pace: now,
            door: None,
            accepting: false,
            stop: None,
            stats: RingStats::default(),
            shared,
        })
    }

    /// Turns until stopped and empty.
    pub(crate) fn run(mut self) {
        self.uring.read_doorbell(self.inbox.eventfd());
        while !self.is_done() {
            let timeout = self.timeout();
            let waited = self.uring.submit_and_wait(timeout);
            let drained = waited.and_then(|()| self.uring.drain(&mut self.completions));
            drained.expect("the kernel takes valid submissions; only a restart helps otherwise");
            self.inbox.wake();
            self.now = Instant::now();
            self.turn();
        }
        self.drain_operations();
    }

    fn turn(&mut self) {
        self.stats.ticks += 1;
        self.events.flush();
        self.resume_paced();
        self.resume_held();
        for _ in 0..self.completions.len() {
            let Some(completion) = self.completions.pop_front() else { break };
            self.complete(completion);
        }
        self.events.flush();
        self.take_commands();
        self.keep_time();
        self.keep_company();
        self.send_dirty();
        self.arm_receives();
        self.events.flush();
        self.stats.choked += u64::from(self.events.is_choked());
        self.stats.connections = self.table.len() as u64;
        self.stats.queued_bytes = self.queued_bytes as u64;
        self.shared.published.publish(&self.stats);
    }

    fn complete(&mut self, completion: Completion) {
        match completion {
            Completion::Doorbell => self.uring.read_doorbell(self.inbox.eventfd()),
            Completion::Received { key, outcome, armed } => self.received(key, outcome, armed),
            Completion::Sent { key, outgoing, outcome } => self.sent(key, outgoing, outcome),
            Completion::SentNow { key } => self.all_sent(key),
            Completion::Short { key, rest, outcome } => self.sent_short(key, rest, outcome),
            Completion::ShutDown { key } | Completion::Cancelled { key } => self.ended(key),
            Completion::Closed { key } => self.free(key),
            Completion::Accepted { outcome, armed } => self.accepted(outcome, armed),
        }
    }

    /// How long the next wait may be.
    fn timeout(&mut self) -> Duration {
        let idle = self.completions.is_empty() && self.dirty.is_empty();
        if !idle || !self.inbox.may_sleep() {
            return Duration::ZERO;
        }
        if self.events.is_choked() {
            return CHOKED_RETRY;
        }
        if !(self.resume.is_empty() && self.parked.is_empty() && self.rearm.is_empty()) {
            return Duration::ZERO;
        }
        let rest = if !self.paced.is_empty() {
            PACE_EVERY
        } else if !self.closing.is_empty() || self.stop.is_some() {
            SWEEP_EVERY
        } else {
            self.next_heartbeat.saturating_duration_since(self.now)
        };
        let company = self.company.next().map(|at| at.saturating_duration_since(self.now));
        company.map_or(rest, |company| company.min(rest))
    }

    fn take_commands(&mut self) {
        for _ in 0..COMMANDS_PER_TICK {
            let Some(command) = self.inbox.take() else { break };
            match command {
                Command::Adopt(handover) => self.adopt(*handover),
                Command::Listen(door) => self.open(*door),
                Command::Send { to, frame, flush_note } => {
                    for session in to.as_slice() {
                        self.offer(key_of(*session), &frame, flush_note);
                    }
                }
                Command::Close { session, frame } => {
                    self.dismiss(key_of(session), &frame, CloseReason::Asked);
                }
                Command::Stop { frame, until } => self.begin_stop(&frame, until),
            }
        }
        if self.events.is_gone() && self.stop.is_none() {
            tracing::warn!(ring = self.ring, "nobody takes events any more; the ring stops");
            self.begin_stop(&own_frame(answers::closing(), 0), self.now + SHUTDOWN_WITHIN);
        }
    }

    /// Takes a connection over: its socket into the file table, its input to be decoded first.
    fn adopt(&mut self, handover: Handover) {
        if self.stop.is_some() {
            self.shared.held.fetch_sub(1, SeqCst);
            return;
        }
        let (conn, stream) = Conn::new(handover, self.now);
        let peer = conn.peer;
        let Ok(key) = self.table.insert(Box::new(conn)) else {
            self.shared.held.fetch_sub(1, SeqCst);
            return;
        };
        let registered =
            ready_socket(&stream).and_then(|()| self.uring.register(key, stream.into()));
        if let Err(error) = registered {
            tracing::warn!(%peer, %error, "a connection could not be taken over");
            self.table.remove(key);
            self.shared.held.fetch_sub(1, SeqCst);
            return;
        }
        self.events.push(RingEvent::Connected { session: self.session(key), peer });
        self.take_handed_over(key);
    }

    /// Pings the silent, gives up the dead, and ends what is past its time.
    fn keep_time(&mut self) {
        if self.now >= self.next_heartbeat {
            let every = (self.config.ping_after / 4).clamp(CHOKED_RETRY, HEARTBEAT_EVERY);
            self.next_heartbeat = self.now + every;
            for key in self.table.keys() {
                self.check_life(key);
            }
            self.keep_accepting();
        }
        self.end_overdue();
    }

    fn check_life(&mut self, key: Key) {
        let Some(conn) = self.table.get_mut(key).filter(|conn| conn.phase == Phase::Open) else {
            return;
        };
        let websocket = conn.codec.is_websocket();
        match conn.life.verdict(self.now, websocket || conn.sending, &self.config) {
            Verdict::Fine => {}
            Verdict::Ping => {
                conn.life.pinged = true;
                if websocket {
                    self.push_control(key, websocket::Opcode::Ping, b"");
                }
            }
            Verdict::Dead => self.abort(key, CloseReason::Dead),
        }
    }

    fn mark_dirty(&mut self, key: Key) {
        if let Some(conn) = self.table.get_mut(key)
            && !std::mem::replace(&mut conn.dirty, true)
        {
            self.dirty.push(key);
        }
    }

    fn session(&self, key: Key) -> SessionId {
        SessionId::new(self.ring, key.generation, key.slot)
    }

    /// What a session may have queued: less while the ring is pressed for memory.
    fn caps(&self) -> Caps {
        let pressed = self.queued_bytes > self.config.ring_bytes_max;
        let most = if pressed { SESSION_BYTES_PRESSED } else { usize::MAX };
        Caps {
            soft: self.config.session_bytes_max.min(most),
            hard: self.config.session_bytes_hard_max,
        }
    }

    /// Brings the ring's sum up to date with what waits for a connection's socket.
    fn count(&mut self, key: Key) {
        let Some(conn) = self.table.get_mut(key) else { return };
        let now = conn.outbound.bytes();
        self.queued_bytes += now;
        self.queued_bytes -= std::mem::replace(&mut conn.counted, now);
    }
}

fn key_of(session: SessionId) -> Key {
    Key { generation: session.generation(), slot: session.slot() }
}

/// A frame of the ring's own.
fn own_frame(message: impl Into<wire::ServerMessage>, request: u32) -> SharedFrame {
    SharedFrame::new(message, request)
}
