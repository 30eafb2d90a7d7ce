//! A faithful client: outbox with dense numbers, one cursor, a copy, pulls when told to.

use std::collections::{BTreeMap, VecDeque};

use wire::client::{Hello, ReadHistory, SyncFrom};
use wire::ids::{Counter, DeviceId, DeviceToken, Epoch, Offset, RoomId, Seq, UserId};
use wire::server::{Ack, Error, HistoryPage, Reason, Welcome};
use wire::{ClientMessage, ServerMessage};

use crate::copy::Copy;
use crate::violation::{Checked, broken, ensure};

/// Commands on their way at once.
const PIPELINE: usize = 16;

/// A device with its user.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    pub(crate) token: DeviceToken,
    pub(crate) epoch: Option<Epoch>,
    /// Epoch of the box it is connected to.
    greeted: Option<Epoch>,
    pub(crate) cursor: Offset,
    pub(crate) copy: Copy,
    /// Commands without a result, ascending.
    pub(crate) outbox: VecDeque<ClientMessage>,
    /// Commands with a result, in case a restore takes it back.
    done: BTreeMap<Counter, ClientMessage>,
    next_counter: Counter,
    /// Everything below was sent on this connection.
    sent: Counter,
    pub(crate) ready: bool,
    syncing: Option<u32>,
    pub(crate) asked_pages: BTreeMap<u32, Asked>,
    /// A frame that must be refused as a conflict.
    pub(crate) probe: Option<u32>,
    next_request: u32,
    pub(crate) quiet_until: u64,
    /// When it last got anywhere with its outbox.
    pub(crate) moved_at: u64,
    pub(crate) results: Vec<Outcome>,
    pub(crate) caught_up: bool,
    /// Its token is no good any more.
    pub(crate) retired: bool,
}

/// A page under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    room: RoomId,
    before: Seq,
    stay: u64,
}

/// A result that the box must stand by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Acked(Ack),
    Refused(Counter),
    AlreadyApplied(Counter),
}

impl Outcome {
    pub(crate) const fn counter(&self) -> Counter {
        match self {
            Self::Acked(ack) => ack.counter,
            Self::Refused(counter) | Self::AlreadyApplied(counter) => *counter,
        }
    }
}

/// Frames to send.
pub(crate) type Frames = Vec<(u32, ClientMessage)>;

impl Client {
    pub(crate) fn new(user: UserId, device: DeviceId, token: DeviceToken) -> Self {
        Self {
            user,
            device,
            token,
            epoch: None,
            greeted: None,
            cursor: Offset(0),
            copy: Copy::of(user),
            outbox: VecDeque::new(),
            done: BTreeMap::new(),
            next_counter: Counter(1),
            sent: Counter(1),
            ready: false,
            syncing: None,
            asked_pages: BTreeMap::new(),
            probe: None,
            next_request: 0,
            quiet_until: 0,
            moved_at: 0,
            results: Vec::new(),
            caught_up: false,
            retired: false,
        }
    }

    /// The connection is gone.
    pub(crate) fn disconnected(&mut self) {
        self.ready = false;
        self.caught_up = false;
        self.syncing = None;
        self.probe = None;
        self.asked_pages.clear();
    }

    /// Forgets its copy, as after clearing a browser's data; the outbox stays.
    pub(crate) fn forget_copy(&mut self) {
        self.cursor = Offset(0);
        self.copy = Copy::of(self.user);
    }

    pub(crate) fn next_counter(&self) -> Counter {
        self.next_counter
    }

    /// Puts a command with the next number into the outbox.
    pub(crate) fn enqueue(&mut self, command: ClientMessage, now: u64) -> Frames {
        debug_assert_eq!(command.counter(), Some(self.next_counter));
        self.next_counter = self.next_counter.next();
        if self.outbox.is_empty() {
            self.moved_at = now;
        }
        self.outbox.push_back(command);
        self.pump(now)
    }

    /// A result of an earlier command, for a second use of its number.
    pub(crate) fn any_done(&self, at: u64) -> Option<Counter> {
        let recent: Vec<Counter> = self.done.keys().rev().take(20).copied().collect();
        let at = usize::try_from(at).ok()? % recent.len().max(1);
        recent.get(at).copied()
    }

    pub(crate) fn request(&mut self) -> u32 {
        self.next_request += 1;
        self.next_request
    }

    /// Sends what is not on its way yet.
    pub(crate) fn pump(&mut self, now: u64) -> Frames {
        if !self.ready || now < self.quiet_until {
            return Vec::new();
        }
        let mut frames = Vec::new();
        for at in 0..self.outbox.len().min(PIPELINE) {
            let command = self.outbox[at].clone();
            let Some(counter) = command.counter() else { continue };
            if counter >= self.sent {
                self.sent = counter.next();
                frames.push((self.request(), command));
            }
        }
        frames
    }

    /// Sends everything without a result again.
    pub(crate) fn resend(&mut self, now: u64) -> Frames {
        self.sent = Counter(1);
        self.moved_at = now;
        self.pump(now)
    }

    /// Asks for the page below what it has of a room.
    pub(crate) fn ask_page(&mut self, room: RoomId, limit: u32) -> Option<(u32, ClientMessage)> {
        let copy = self.copy.rooms.get(&room)?;
        if copy.whole || self.asked_pages.len() >= 3 {
            return None;
        }
        let (before, stay) = (copy.complete_from, copy.stay);
        let request = self.request();
        self.asked_pages.insert(request, Asked { room, before, stay });
        Some((request, ReadHistory { room, before: Some(before), limit }.into()))
    }

    pub(crate) fn ask_sync(&mut self) -> (u32, ClientMessage) {
        let request = self.request();
        self.syncing = Some(request);
        (request, SyncFrom { cursor: self.cursor }.into())
    }

    pub(crate) fn receive(
        &mut self,
        now: u64,
        request: u32,
        message: ServerMessage,
    ) -> Checked<Frames> {
        if self.probe == Some(request) {
            self.probe = None;
            return self.probed(&message).map(|()| Vec::new());
        }
        match message {
            ServerMessage::Greeting(greeting) => return Ok(self.greeted(greeting.epoch)),
            ServerMessage::Welcome(welcome) => return self.welcome(now, request, &welcome),
            ServerMessage::Ack(ack) => return Ok(self.settled(now, Outcome::Acked(ack))),
            ServerMessage::Refused(refused) => {
                return Ok(self.settled(now, Outcome::Refused(refused.counter)));
            }
            ServerMessage::AlreadyApplied(done) => {
                return Ok(self.settled(now, Outcome::AlreadyApplied(done.counter)));
            }
            ServerMessage::Error(error) => return self.error(now, request, &error),
            ServerMessage::User(user) => {
                self.copy.users.insert(user.user, user.name);
            }
            ServerMessage::Room(room) => self.copy.room(&room)?,
            ServerMessage::RoomGone(gone) => self.copy.gone(gone.room),
            ServerMessage::MemberChange(change) => self.copy.member(&change)?,
            ServerMessage::MembersChanged(change) => self.copy.members(&change)?,
            ServerMessage::Message(message) => self.copy.message(&message)?,
            ServerMessage::ReadMark(mark) => self.copy.read(&mark),
            ServerMessage::CaughtUp(caught_up) => {
                if self.syncing == Some(request) {
                    self.syncing = None;
                }
                self.caught_up = self.syncing.is_none();
                self.cursor = self.cursor.max(caught_up.cursor);
            }
            ServerMessage::RoomAt(_) => {
                self.caught_up = false;
                if self.syncing.is_none() {
                    return Ok(vec![self.ask_sync()]);
                }
            }
            ServerMessage::HistoryPage(page) => self.page(request, &page)?,
            ServerMessage::Pong(_) | ServerMessage::Closing(_) => {}
        }
        Ok(Vec::new())
    }

    fn greeted(&mut self, epoch: Epoch) -> Frames {
        self.greeted = Some(epoch);
        if self.epoch.is_some_and(|known| known != epoch) {
            self.forget_copy();
        }
        let hello = Hello {
            token: self.token,
            epoch: self.epoch,
            cursor: self.cursor,
            client: "simulated".to_owned(),
        };
        let request = self.request();
        self.syncing = Some(request);
        vec![(request, hello.into())]
    }

    fn welcome(&mut self, now: u64, request: u32, welcome: &Welcome) -> Checked<Frames> {
        let other = self.epoch != self.greeted;
        self.epoch = self.greeted;
        if welcome.sync == wire::server::SyncMode::Reset {
            self.forget_copy();
        }
        self.take_back(welcome.last_counter, other)?;
        ensure(welcome.last_counter < self.next_counter, "own numbers", || {
            let next = self.next_counter;
            format!(
                "device {} is told of {} before it sent {next}",
                self.device, welcome.last_counter
            )
        })?;
        self.ready = true;
        self.syncing = Some(request);
        self.quiet_until = 0;
        Ok(self.resend(now))
    }

    /// On another epoch the box may have lost results: those commands go out again.
    fn take_back(&mut self, last: Counter, other_epoch: bool) -> Checked {
        let lost = self.done.split_off(&last.next());
        ensure(lost.is_empty() || other_epoch, "no acked command lost", || {
            format!("device {}: the box knows {last}, yet settled {:?}", self.device, lost.keys())
        })?;
        self.results.retain(|outcome| outcome.counter() <= last);
        for (_, command) in lost.into_iter().rev() {
            self.outbox.push_front(command);
        }
        let mut commands: Vec<ClientMessage> = self.outbox.drain(..).collect();
        commands.sort_by_key(ClientMessage::counter);
        self.outbox = commands.into();
        Ok(())
    }

    fn settled(&mut self, now: u64, outcome: Outcome) -> Frames {
        let counter = outcome.counter();
        let waiting = |command: &ClientMessage| command.counter() == Some(counter);
        if let Some(at) = self.outbox.iter().position(waiting)
            && let Some(command) = self.outbox.remove(at)
        {
            self.moved_at = now;
            self.done.insert(counter, command);
            self.results.push(outcome);
        }
        self.pump(now)
    }

    fn error(&mut self, now: u64, request: u32, error: &Error) -> Checked<Frames> {
        self.asked_pages.remove(&request);
        match error.reason {
            Reason::Gap => Ok(self.resend(now)),
            Reason::Busy | Reason::CardFull => {
                let wait = error.retry_after_ms.unwrap_or(500).min(2_000);
                self.quiet_until = now + u64::from(wait);
                self.sent = Counter(1);
                Ok(Vec::new())
            }
            Reason::NoSuchRoom | Reason::OverLimit => Ok(Vec::new()),
            reason => broken("sound answers", format!("{reason:?}: {}", error.text)),
        }
    }

    /// A number was used again with other content: nothing may come of it.
    fn probed(&self, answer: &ServerMessage) -> Checked {
        let refused = match answer {
            ServerMessage::Error(error) => error.reason == Reason::Conflict,
            ServerMessage::AlreadyApplied(_) => true,
            _ => false,
        };
        ensure(refused, "conflict refused", || format!("device {}: {answer:?}", self.device))
    }

    fn page(&mut self, request: u32, page: &HistoryPage) -> Checked {
        let Some(asked) = self.asked_pages.remove(&request) else { return Ok(()) };
        ensure(asked.room == page.room, "sound answers", || format!("{asked:?} got {page:?}"))?;
        self.copy.page(page, asked.before, asked.stay)
    }
}
