//! The core thread: feeds the pure chat core with what happened, carries out what it wants. It
//! waits for the rings' queues at most; the card, the index and the file thread are only asked.
//! What one turn has for the rings leaves at its end, in one batch a ring.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use chat::{ApiError, ApiReply, Chat, Entry, Input, Output, Ticket};
use ring::{RingEvent, SharedFrame};
use tokio::sync::oneshot;
use wire::ids::{Offset, TimeMs};

use crate::doors::Doors;
use crate::history::{self, PageRead};
use crate::index::Checkpoint;
use crate::limits::{CORE_BURST, DRAIN, TICK};
use crate::link::{ApiRequest, Inbox, Link};
use crate::tray::Tray;

type Answer = oneshot::Sender<Result<ApiReply, ApiError>>;

/// What the thread owns.
pub(crate) struct Core {
    chat: Chat,
    inbox: Inbox,
    ports: Ports,
    /// Records of this turn for the disk thread.
    unsent: Vec<Entry>,
    /// History pages that the file thread had no place for.
    reads: VecDeque<PageRead>,
    answers: HashMap<Ticket, Answer>,
    last_ticket: u64,
    appended: Offset,
    durable: Offset,
    room: u64,
    next_tick: Instant,
    /// The store is at work for the core.
    checkpointing: bool,
}

/// Whom the core tells what.
pub(crate) struct Ports {
    pub(crate) link: Arc<Link>,
    /// What this turn has for the sessions.
    pub(crate) doors: Doors,
    pub(crate) disk: Tray,
    pub(crate) index: SyncSender<Checkpoint>,
    pub(crate) pages: history::Pages,
}

impl Core {
    pub(crate) fn new(chat: Chat, inbox: Inbox, ports: Ports) -> Self {
        let durable = ports.link.durable();
        Self {
            chat,
            inbox,
            ports,
            unsent: Vec::new(),
            reads: VecDeque::new(),
            answers: HashMap::new(),
            last_ticket: 0,
            appended: durable,
            durable,
            room: 0,
            next_tick: Instant::now(),
            checkpointing: false,
        }
    }

    /// Runs until it is told to stop and what is under way is done.
    pub(crate) fn run(mut self) {
        let (mut deadline, mut last_checkpoint) = (None, false);
        loop {
            let wait = self.next_tick.saturating_duration_since(Instant::now());
            match self.inbox.events.recv_timeout(wait) {
                Ok(event) => self.burst(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.mailboxes();
            self.tick_when_due();
            self.hand_over();
            self.ports.doors.flush();
            if self.ports.link.stopping() {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + DRAIN);
                if self.is_done() && !last_checkpoint {
                    last_checkpoint = true;
                    self.feed(Input::Stopping);
                }
                if self.is_done() || Instant::now() > deadline {
                    return;
                }
            }
        }
    }

    /// Everything that was taken is durable and told, and the store is at rest.
    fn is_done(&self) -> bool {
        self.unsent.is_empty() && self.durable == self.appended && !self.checkpointing
    }

    /// Takes what waits, up to a bound, so that one fdatasync carries all of it.
    fn burst(&mut self, first: RingEvent) {
        self.event(first);
        for _ in 1..CORE_BURST {
            let Ok(event) = self.inbox.events.try_recv() else { break };
            self.event(event);
        }
    }

    fn event(&mut self, event: RingEvent) {
        let input = match event {
            RingEvent::Connected { session, peer: _ } => Input::Connected { session },
            RingEvent::Frame { session, request, message } => {
                Input::Frame { session, request, message }
            }
            RingEvent::Flushed { session } => Input::Flushed { session },
            RingEvent::Overflowed { session } => Input::Overflowed { session },
            RingEvent::Closed { session, reason } => {
                tracing::debug!(?session, ?reason, "a session ended");
                Input::Disconnected { session }
            }
        };
        self.feed(input);
    }

    fn mailboxes(&mut self) {
        let durable = self.ports.link.durable();
        if durable > self.durable {
            self.durable = durable;
            self.feed(Input::Durable { up_to: durable });
        }
        let room = self.ports.link.room();
        if room != self.room {
            self.room = room;
            self.feed(Input::LogRoom { bytes: room });
        }
        while let Ok(end) = self.inbox.checkpoints.try_recv() {
            let applied = end.applied;
            self.checkpointing = false;
            self.feed(if end.done {
                Input::CheckpointDone { applied }
            } else {
                Input::CheckpointFailed { applied }
            });
        }
        while let Ok(read) = self.inbox.reads.try_recv() {
            let (ticket, messages, damaged) = (read.ticket, read.messages, read.damaged);
            self.feed(Input::ReadDone { ticket, messages, damaged });
        }
        while let Ok(request) = self.inbox.api.try_recv() {
            self.call(request);
        }
    }

    fn call(&mut self, request: ApiRequest) {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.answers.insert(ticket, request.answer);
        self.feed(Input::Api { ticket, call: request.call });
    }

    fn tick_when_due(&mut self) {
        if Instant::now() >= self.next_tick {
            self.next_tick = Instant::now() + TICK;
            self.feed(Input::Tick);
            self.ask_reads();
        }
    }

    fn feed(&mut self, input: Input) {
        self.chat.handle(now(), input);
        while let Some(output) = self.chat.poll_output() {
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Append(entry) => {
                self.appended = entry.offset;
                self.unsent.push(entry);
            }
            Output::Send { to, request, message, flush_note } => {
                self.ports.doors.send(&to, &SharedFrame::new(message, request), flush_note);
            }
            Output::Close { session, closing } => {
                self.ports.doors.close(session, SharedFrame::new(closing, 0));
            }
            Output::ApiDone { ticket, reply } => {
                if let Some(answer) = self.answers.remove(&ticket) {
                    // Whoever asked may have gone away meanwhile.
                    let _ = answer.send(reply);
                }
            }
            Output::Read { ticket, room, first, last } => {
                self.reads.push_back(PageRead { ticket, room, first, last });
                self.ask_reads();
            }
            Output::Checkpoint { applied, changes } => self.checkpoint(applied, changes),
        }
    }

    /// The core has one checkpoint under way at a time, so the index thread's queue takes it.
    fn checkpoint(&mut self, applied: Offset, changes: Vec<chat::Change>) {
        self.checkpointing = self.ports.index.try_send(Checkpoint { applied, changes }).is_ok();
        if !self.checkpointing {
            self.feed(Input::CheckpointFailed { applied });
        }
    }

    fn ask_reads(&mut self) {
        while let Some(read) = self.reads.front() {
            if !self.ports.pages.ask(read) {
                return;
            }
            self.reads.pop_front();
        }
    }

    /// Gives the disk thread what collected, unless it is still busy with enough.
    fn hand_over(&mut self) {
        if !self.unsent.is_empty() {
            self.ports.disk.put(&mut self.unsent);
        }
    }
}

/// The wall clock.
pub(crate) fn now() -> TimeMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimeMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
