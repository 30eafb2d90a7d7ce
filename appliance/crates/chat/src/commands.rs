//! Commands: numbered densely per device, decided once, answered for ever.
//!
//! A permanent refusal uses up the number and is recorded; a passing one changes nothing.

use wire::client::{AddMember, CreateRoom, OpenDirect, RemoveMember, SendText};
use wire::ids::{ContentHash, Counter, RoomId, UserId};
use wire::limits::{CREATE_MEMBERS_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX};
use wire::record::{CommandSettled, MemberAdded, MemberRemoved, MessagePosted, RoomAdded};
use wire::server::{Ack, AlreadyApplied, Error, Reason, Refused, Role, RoomKind};
use wire::{ClientMessage, RecordBody, ServerMessage};

use crate::chat::{Cause, Chat};
use crate::config::Mutant;
use crate::limits::{
    CARD_FULL_RETRY_MS, MEMBERS_PER_ROOM_MAX, RETRY_MS, ROOMS_MAX, ROOMS_PER_USER_MAX,
};
use crate::port::SessionId;
use crate::session::Identity;
use crate::state::{Lookup, Outcome, Room, SYSTEM_USER, Settled};

/// Bytes of a usual command in postcard: a text of a few lines.
const CONTENT_BYTES: usize = 320;

/// What makes a command one of a kind.
#[derive(Clone, Copy, Debug)]
struct Numbered {
    identity: Identity,
    counter: Counter,
    content: ContentHash,
}

/// A refusal for good.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    reason: Reason,
    field: &'static str,
    room: RoomId,
}

const fn refuse(reason: Reason, field: &'static str, room: RoomId) -> Refusal {
    Refusal { reason, field, room }
}

impl Chat {
    pub(crate) fn command(
        &mut self,
        session: SessionId,
        request: u32,
        identity: Identity,
        command: ClientMessage,
    ) {
        let Some(counter) = command.counter() else { return };
        let Some(device) = self.state.device(identity.device) else { return };
        let content = content_of(&command);
        let lookup = match device.lookup(counter) {
            Lookup::Gap { .. } if self.config.is(Mutant::AcceptGap) => Lookup::Next,
            Lookup::Known(_) | Lookup::Forgotten if self.config.is(Mutant::NoDedup) => Lookup::Next,
            found => found,
        };
        let answer = match lookup {
            Lookup::Next => {
                let numbered = Numbered { identity, counter, content };
                return self.new_command(session, request, numbered, command);
            }
            Lookup::Known(settled) => {
                if settled.content == content || self.config.is(Mutant::NoConflict) {
                    answer_to(settled)
                } else {
                    conflict().into()
                }
            }
            Lookup::Forgotten => AlreadyApplied { counter }.into(),
            Lookup::Gap { expected } => gap(expected).into(),
        };
        self.reply(session, request, answer);
    }

    fn new_command(
        &mut self,
        session: SessionId,
        request: u32,
        numbered: Numbered,
        command: ClientMessage,
    ) {
        let Numbered { identity, counter, content } = numbered;
        if let Some(reason) = self.not_now(identity) {
            return self.reply(session, request, Self::passing(reason).into());
        }
        let body = self.decide(identity.user, command, content);
        let offset = self.record(Cause::command(identity, counter), body);
        let Some(device) = self.state.device(identity.device) else { return };
        let Some(settled) = device.window.back() else { return };
        debug_assert!(self.state.head() == offset);
        let answer = answer_to(settled);
        let others: Vec<SessionId> =
            self.sessions.of_device(identity).filter(|other| *other != session).collect();
        if !others.is_empty() {
            self.send(others.into(), 0, answer.clone(), false);
        }
        self.reply(session, request, answer);
    }

    /// Why no command can be taken at this moment, if so.
    pub(crate) fn not_now(&self, identity: Identity) -> Option<Reason> {
        let shares = &self.config.shares;
        if !self.card.takes(shares.log_reserve_bytes) {
            return Some(Reason::CardFull);
        }
        let full = self.pending.bytes() >= shares.pending_bytes_max
            || self.hot.unsaved_bytes() >= shares.unsaved_bytes_max;
        if full { Some(Reason::Busy) } else { self.card.too_many(identity.device) }
    }

    /// A refusal that will pass.
    pub(crate) fn passing(reason: Reason) -> Error {
        let full = reason == Reason::CardFull;
        let retry = if full { CARD_FULL_RETRY_MS } else { RETRY_MS };
        Error { retry_after_ms: Some(retry), ..Self::error(reason, "", sentence(reason)) }
    }

    fn decide(&self, user: UserId, command: ClientMessage, content: ContentHash) -> RecordBody {
        let decided = match command {
            ClientMessage::Send(body) => self.decide_send(user, body, content),
            ClientMessage::OpenDirect(body) => self.decide_direct(user, &body, content),
            ClientMessage::CreateRoom(body) => self.decide_create(user, body, content),
            ClientMessage::AddMember(body) => self.decide_add(user, &body, content),
            ClientMessage::RemoveMember(body) => self.decide_remove(user, &body, content),
            _ => Err(refuse(Reason::Internal, "", RoomId(0))),
        };
        decided.unwrap_or_else(|refusal| {
            let Refusal { reason, field, room } = refusal;
            let field = field.to_owned();
            CommandSettled { command: content, refused: Some(reason), field, room }.into()
        })
    }

    fn decide_send(
        &self,
        user: UserId,
        body: SendText,
        content: ContentHash,
    ) -> Result<RecordBody, Refusal> {
        let room = body.room;
        let Some((known, _)) = self.state.member(room, user) else {
            return Err(refuse(Reason::NoSuchRoom, "room", room));
        };
        check_text(&body.text, "text", TEXT_BYTES_MAX, room)?;
        let (seq, text) = (known.facts.head.next(), body.text);
        Ok(MessagePosted { room, seq, text, command: content }.into())
    }

    fn decide_direct(
        &self,
        user: UserId,
        body: &OpenDirect,
        content: ContentHash,
    ) -> Result<RecordBody, Refusal> {
        self.check_user(body.user, "user", RoomId(0))?;
        if let Some(room) = self.state.direct(user, body.user) {
            return Ok(no_change(room, content));
        }
        self.check_rooms(&[user, body.user], "user")?;
        let mut members = vec![user, body.user];
        members.sort_unstable();
        members.dedup();
        Ok(RoomAdded {
            room: self.next_room(),
            room_kind: RoomKind::Direct,
            name: String::new(),
            history: wire::client::History::All,
            members,
            command: content,
        }
        .into())
    }

    fn decide_create(
        &self,
        user: UserId,
        body: CreateRoom,
        content: ContentHash,
    ) -> Result<RecordBody, Refusal> {
        check_text(&body.name, "name", NAME_BYTES_MAX, RoomId(0))?;
        if body.name.chars().any(char::is_control) {
            return Err(refuse(Reason::NotAllowed, "name", RoomId(0)));
        }
        if body.members.len() > CREATE_MEMBERS_MAX {
            return Err(refuse(Reason::OverLimit, "members", RoomId(0)));
        }
        let mut members = body.members;
        members.push(user);
        members.sort_unstable();
        members.dedup();
        for member in &members {
            self.check_user(*member, "members", RoomId(0))?;
        }
        self.check_rooms(&members, "members")?;
        Ok(RoomAdded {
            room: self.next_room(),
            room_kind: RoomKind::Group,
            name: body.name,
            history: body.history,
            members,
            command: content,
        }
        .into())
    }

    fn decide_add(
        &self,
        user: UserId,
        body: &AddMember,
        content: ContentHash,
    ) -> Result<RecordBody, Refusal> {
        let (room, joining) = (body.room, body.user);
        let known = self.group(user, room)?;
        self.check_user(joining, "user", room)?;
        if known.members.get(joining).is_some_and(|member| member.present) {
            return Ok(no_change(room, content));
        }
        if known.present >= MEMBERS_PER_ROOM_MAX {
            return Err(refuse(Reason::OverLimit, "room", room));
        }
        self.check_rooms(&[joining], "user")?;
        Ok(MemberAdded { room, user: joining, command: content }.into())
    }

    fn decide_remove(
        &self,
        user: UserId,
        body: &RemoveMember,
        content: ContentHash,
    ) -> Result<RecordBody, Refusal> {
        let (room, leaving) = (body.room, body.user);
        let known = self.group(user, room)?;
        if leaving != user && !self.may_remove(user, known) {
            return Err(refuse(Reason::NotAllowed, "user", room));
        }
        if !known.members.get(leaving).is_some_and(|member| member.present) {
            return Ok(no_change(room, content));
        }
        Ok(MemberRemoved { room, user: leaving, command: content }.into())
    }

    fn may_remove(&self, user: UserId, room: &Room) -> bool {
        let role = self.state.user(user).map(|account| account.role);
        room.facts.creator == user || matches!(role, Some(Role::Owner | Role::Admin))
    }

    /// A group room that the user is in.
    fn group(&self, user: UserId, room: RoomId) -> Result<&Room, Refusal> {
        let (known, _) =
            self.state.member(room, user).ok_or(refuse(Reason::NoSuchRoom, "room", room))?;
        match known.facts.room_kind {
            RoomKind::Group => Ok(known),
            RoomKind::Direct => Err(refuse(Reason::NotAllowed, "room", room)),
        }
    }

    fn check_user(&self, user: UserId, field: &'static str, room: RoomId) -> Result<(), Refusal> {
        let known = user != SYSTEM_USER && self.state.user(user).is_some();
        if known { Ok(()) } else { Err(refuse(Reason::NoSuchUser, field, room)) }
    }

    /// Whether these users may each be in one room more.
    fn check_rooms(&self, users: &[UserId], field: &'static str) -> Result<(), Refusal> {
        let full = self.state.rooms.len() > ROOMS_MAX
            || users.iter().any(|user| self.state.count_rooms_of(*user) >= ROOMS_PER_USER_MAX);
        if full { Err(refuse(Reason::OverLimit, field, RoomId(0))) } else { Ok(()) }
    }

    fn next_room(&self) -> RoomId {
        RoomId(self.state.meta().last_room.0 + 1)
    }
}

fn check_text(
    text: &str,
    field: &'static str,
    bytes_max: usize,
    room: RoomId,
) -> Result<(), Refusal> {
    if text.trim().is_empty() {
        return Err(refuse(Reason::Empty, field, room));
    }
    if text.len() > bytes_max {
        return Err(refuse(Reason::OverLimit, field, room));
    }
    Ok(())
}

fn no_change(room: RoomId, content: ContentHash) -> RecordBody {
    CommandSettled { command: content, refused: None, field: String::new(), room }.into()
}

/// First 16 bytes of BLAKE3 over kind and postcard body, encoded anew: two spellings of one
/// command are one content.
fn content_of(command: &ClientMessage) -> ContentHash {
    let mut bytes = Vec::with_capacity(CONTENT_BYTES);
    bytes.extend_from_slice(&command.kind().0.to_le_bytes());
    command.write_postcard(&mut bytes);
    let mut content = [0; 16];
    content.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..16]);
    ContentHash(content)
}

fn answer_to(settled: &Settled) -> ServerMessage {
    let counter = settled.counter;
    match &settled.outcome {
        Outcome::Done { offset, time, room, seq } => {
            let (offset, room, seq, time_ms) = (*offset, *room, *seq, *time);
            Ack { counter, offset, room, seq, time_ms }.into()
        }
        Outcome::Refused { reason, field } => {
            let (reason, field, text) = (*reason, field.clone(), sentence(*reason).to_owned());
            Refused { counter, reason, field, text }.into()
        }
    }
}

fn conflict() -> Error {
    Chat::error(Reason::Conflict, "counter", sentence(Reason::Conflict))
}

fn gap(expected: Counter) -> Error {
    let error = Chat::error(Reason::Gap, "counter", sentence(Reason::Gap));
    Error { expected: Some(expected), ..error }
}

/// A sentence for people.
const fn sentence(reason: Reason) -> &'static str {
    match reason {
        Reason::NoSuchRoom => "there is no such room for you",
        Reason::NoSuchUser => "there is no such user",
        Reason::NotAllowed => "this is not allowed",
        Reason::Empty => "this must not be empty",
        Reason::OverLimit => "this is over the limit",
        Reason::Gap => "a command number was skipped: send the expected one first",
        Reason::Conflict => "this command number was used with other content: register anew",
        Reason::Busy => "too much at once: try again shortly",
        Reason::CardFull => "the card is full: the owner moves the box to a larger one",
        Reason::CardFailed => "the card failed: the box restarts its storage",
        Reason::ShuttingDown => "the box is restarting: connect again",
        Reason::Malformed | Reason::UnknownKind | Reason::TooLong => "this was not understood",
        Reason::HelloFirst => "say hello first",
        Reason::BadToken => "unknown token: sign in again",
        Reason::Internal => "the server can't explain this: connect again",
    }
}
