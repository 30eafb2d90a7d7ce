//! The core as its shells see it: inputs in, outputs out, in between one step at a time.

use wire::ids::{Counter, DeviceId, Offset, TimeMs, UserId};
use wire::server::{Closing, Error, Reason};
use wire::{ClientMessage, RecordBody, ServerMessage};

use crate::apply::apply;
use crate::audience::Audiences;
use crate::card::Card;
use crate::checkpoint::Checkpoints;
use crate::config::{Config, Mutant};
use crate::crowd::Crowds;
use crate::cursor::Cursors;
use crate::entry::Entry;
use crate::hot::Hot;
use crate::limits::CLOCK_STEP_MS_MAX;
use crate::live;
use crate::pending::Pending;
use crate::port::{Input, Output, SessionId, Targets};
use crate::reads::Reads;
use crate::session::{Identity, Sessions};
use crate::state::State;

/// The chat core. Start: `new` with the store's snapshot, `replay` every record above
/// `snapshot.head()` in order, then `handle` inputs and drain `poll_output` after each.
#[derive(Debug)]
pub struct Chat {
    pub(crate) state: State,
    pub(crate) config: Config,
    /// The server's clock, for people; it may jump.
    pub(crate) time: TimeMs,
    /// Time since the start, for waiting; it never goes back.
    pub(crate) now: TimeMs,
    /// Records were lost since the newest incarnation began.
    lost: bool,
    pub(crate) sessions: Sessions,
    pub(crate) audiences: Audiences,
    pub(crate) pending: Pending,
    pub(crate) hot: Hot,
    pub(crate) cursors: Cursors,
    pub(crate) crowds: Crowds,
    pub(crate) reads: Reads,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) card: Card,
}

/// Who causes a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause {
    pub(crate) actor: UserId,
    pub(crate) device: DeviceId,
    pub(crate) counter: Counter,
}

impl Cause {
    /// The box itself.
    pub(crate) const BOX: Self =
        Self { actor: UserId(0), device: DeviceId(0), counter: Counter(0) };

    pub(crate) const fn command(identity: Identity, counter: Counter) -> Self {
        Self { actor: identity.user, device: identity.device, counter }
    }
}

impl Chat {
    /// A core that stands where the store's newest checkpoint stands.
    #[must_use]
    pub fn new(snapshot: State, config: Config) -> Self {
        let head = snapshot.head();
        Self {
            state: snapshot,
            config,
            time: TimeMs(0),
            now: TimeMs(0),
            lost: false,
            sessions: Sessions::default(),
            audiences: Audiences::default(),
            pending: Pending::starting_at(head),
            hot: Hot::starting_at(head),
            cursors: Cursors::default(),
            crowds: Crowds::default(),
            reads: Reads::default(),
            checkpoints: Checkpoints::default(),
            card: Card::default(),
        }
    }

    /// Moves past a durable record that the snapshot does not hold. Older ones are skipped.
    pub fn replay(&mut self, entry: &Entry) {
        if entry.offset <= self.state.head() {
            return;
        }
        self.lost &= !matches!(entry.body, RecordBody::EpochBegun(_));
        let touched = apply(&mut self.state, entry);
        self.checkpoints.note(touched);
        if let Some(message) = live::message_of(entry) {
            self.hot.insert(message);
        }
        self.pending.release(entry.offset);
    }

    /// Moves past records that the log can no longer read; `last` is the newest of them.
    pub fn replay_damaged(&mut self, last: Offset) {
        self.lost |= last > self.state.head();
        self.state.meta.head = self.state.meta.head.max(last);
        self.pending.release(last);
    }

    /// True when replay missed records and no incarnation began since. Places in rooms and command
    /// numbers that clients know may be given out again then, so say `ApiCall::BeginEpoch` before
    /// the first connection.
    #[must_use]
    pub const fn needs_new_epoch(&self) -> bool {
        self.lost
    }

    /// Everything the box knows, records included that are not durable yet.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Newest record that is durable.
    #[must_use]
    pub const fn durable(&self) -> Offset {
        self.pending.durable()
    }

    /// Takes note of what happened at `now`.
    pub fn handle(&mut self, now: TimeMs, input: Input) {
        self.pass_time(now);
        match input {
            Input::Connected { session } => self.connected(session),
            Input::Frame { session, request, message } => self.frame(session, request, message),
            Input::Flushed { session } => self.flushed(session),
            Input::Overflowed { session } => self.overflowed(session),
            Input::Disconnected { session } => self.sessions.remove(session),
            Input::Api { ticket, call } => self.serve(ticket, call),
            Input::Durable { up_to } => self.durable_up_to(up_to),
            Input::ReadDone { ticket, messages, damaged } => {
                self.read_done(ticket, messages, damaged);
            }
            Input::LogRoom { bytes } => self.card.report(bytes),
            Input::CheckpointDone { applied } => self.checkpoint_done(applied),
            Input::CheckpointFailed { applied } => self.checkpoints.failed(applied, self.now),
            Input::Tick => self.tick(),
            Input::Stopping => self.checkpoint_at_end(),
        }
        self.ride_cursors();
        self.checkpoint_when_due();
        if self.config.is(Mutant::AckBeforeSync) {
            self.pending.release_unsynced();
        }
    }

    /// The next thing to do; none when all is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.pending.poll()
    }

    /// The wall clock may be set while the box runs: waiting goes by what passed between inputs.
    fn pass_time(&mut self, time: TimeMs) {
        let passed = if self.time == TimeMs(0) { 0 } else { time.0.saturating_sub(self.time.0) };
        self.now = TimeMs(self.now.0 + passed.min(CLOCK_STEP_MS_MAX));
        self.time = time;
    }

    fn frame(&mut self, session: SessionId, request: u32, message: ClientMessage) {
        let Some(known) = self.sessions.get(session) else { return };
        let identity = known.identity;
        if self.pending.bytes() >= 2 * self.config.shares.pending_bytes_max {
            // Not even errors can be held any more; connecting again is what is left.
            return self.close(session, Reason::Busy, "the card can't keep up: connect again");
        }
        match (identity, message) {
            (_, ClientMessage::Ping(_)) => self.pong(session, request),
            (None, ClientMessage::Hello(hello)) => self.hello(session, request, &hello),
            (None, _) => self.hello_first(session, request),
            (Some(_), ClientMessage::Hello(_)) => {
                let error = Self::error(Reason::NotAllowed, "", "this session has said hello");
                self.reply(session, request, error.into());
            }
            (Some(identity), ClientMessage::Read(read)) => {
                self.read(session, request, identity, read);
            }
            (Some(_), ClientMessage::Sync(sync)) => self.sync(session, request, sync.cursor),
            (Some(identity), ClientMessage::ReadHistory(ask)) => {
                self.history(session, request, identity, &ask);
            }
            (Some(_), ClientMessage::Show(_)) => {}
            (Some(identity), command) => self.command(session, request, identity, command),
        }
    }

    fn durable_up_to(&mut self, up_to: Offset) {
        let up_to = up_to.min(self.state.head());
        self.pending.release(up_to);
        self.card.settled(up_to);
        self.tell_caught_up();
        self.take_turns();
    }

    fn tick(&mut self) {
        self.close_overdue();
        self.flush_cursors_by_time();
        self.tell_crowds_by_time();
        self.send_notes();
        self.take_turns();
    }

    /// Decides a record: gives it its place, applies it, hands it to the log, tells who is live.
    pub(crate) fn record(&mut self, cause: Cause, body: RecordBody) -> Offset {
        let entry = Entry {
            offset: self.state.head().next(),
            time: self.time,
            actor: cause.actor,
            device: cause.device,
            counter: cause.counter,
            body,
        };
        let touched = apply(&mut self.state, &entry);
        self.checkpoints.note(touched);
        self.card.appended(&entry);
        self.lost &= !matches!(entry.body, RecordBody::EpochBegun(_));
        self.publish(&entry);
        let offset = entry.offset;
        self.pending.at_once(Output::Append(entry));
        offset
    }

    /// Sends to one session, once all that the answer may reflect is durable.
    pub(crate) fn reply(&mut self, session: SessionId, request: u32, message: ServerMessage) {
        self.send(Targets::One(session), request, message, false);
    }

    /// Sends to many, once all that the message may reflect is durable.
    pub(crate) fn send(
        &mut self,
        to: Targets,
        request: u32,
        message: ServerMessage,
        flush_note: bool,
    ) {
        if !to.is_empty() {
            let output = Output::Send { to, request, message, flush_note };
            self.pending.hold(self.state.head(), output);
        }
    }

    /// Sends a last word and forgets the session.
    pub(crate) fn close(&mut self, session: SessionId, reason: Reason, text: &str) {
        self.sessions.remove(session);
        let retry_after_ms = (reason == Reason::Busy).then_some(crate::limits::RETRY_MS);
        let closing = Closing { reason, text: text.to_owned(), retry_after_ms };
        self.pending.hold(self.state.head(), Output::Close { session, closing });
    }

    /// An error that says nothing about when to try again.
    pub(crate) fn error(reason: Reason, field: &str, text: &str) -> Error {
        Error {
            reason,
            field: field.to_owned(),
            text: text.to_owned(),
            retry_after_ms: None,
            expected: None,
        }
    }
}
