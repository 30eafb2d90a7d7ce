//! One session of binary frames. Messages, the bulk of what arrives, are read in place; kinds that
//! no measurement needs are skipped unread, so that the generator costs little.

use std::collections::VecDeque;
use std::rc::Rc;

use serde::Deserialize;
use wire::binary::{FLAG_CRITICAL, HEADER_BYTES, Header, write_client};
use wire::client::{Hello, Ping, Read, SendText, SyncFrom};
use wire::ids::{Counter, DeviceId, DeviceToken, Epoch, Offset, RoomId, Seq, TimeMs, UserId};
use wire::limits::SERVER_FRAME_BYTES_MAX;
use wire::{ClientMessage, Kind, ServerMessage};

use super::memory::{Known, Memory};
use crate::dialect::{Broken, Event, Session};
use crate::stamp::Stamp;

/// How the generator calls itself in the device list.
const CLIENT_NAME: &str = concat!("linnet-load ", env!("CARGO_PKG_VERSION"));

const MESSAGE: Kind = Kind(0x010b);

/// State of the directory, of rooms and of others' reading: user, room, `room_gone`,
/// `member_change`, `read_mark`, `history_page`.
const SKIPPED: &[Kind] =
    &[Kind(0x0107), Kind(0x0108), Kind(0x0109), Kind(0x010a), Kind(0x010c), Kind(0x010f)];

/// `wire::server::Message` without a copy of its text.
#[derive(Deserialize)]
struct MessageView<'a> {
    offset: Offset,
    room: RoomId,
    seq: Seq,
    _author: UserId,
    _device: DeviceId,
    _counter: Counter,
    _time_ms: TimeMs,
    text: &'a str,
}

/// A session on the native protocol.
pub(super) struct Native {
    index: u32,
    token: DeviceToken,
    payload_bytes: usize,
    memory: Rc<Memory>,
    input: Vec<u8>,
    epoch: Option<Epoch>,
    cursor: Offset,
    /// Newest message of the live stream, in which messages come in this order.
    seen: Offset,
    counter: Counter,
    unacked: VecDeque<(Counter, Stamp)>,
    newest: Option<(RoomId, Seq)>,
    ready: bool,
    syncing: bool,
}

impl Native {
    pub(super) fn new(
        index: u32,
        token: [u8; 32],
        payload_bytes: usize,
        memory: Rc<Memory>,
    ) -> Self {
        Self {
            index,
            token: DeviceToken(token),
            payload_bytes,
            memory,
            input: Vec::new(),
            epoch: None,
            cursor: Offset(0),
            seen: Offset(0),
            counter: Counter(0),
            unacked: VecDeque::new(),
            newest: None,
            ready: false,
            syncing: false,
        }
    }

    /// Takes whole frames off the front; tells how many bytes they had.
    fn take_frames(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<usize, Broken> {
        let mut used = 0;
        while let Some(header) = Header::read(&bytes[used..], SERVER_FRAME_BYTES_MAX)
            .map_err(|error| Broken(error.to_string()))?
        {
            let end = used + header.frame_bytes();
            let Some(body) = bytes.get(used + HEADER_BYTES..end) else { break };
            self.take_frame(header, body, out, events)?;
            used = end;
        }
        Ok(used)
    }

    fn take_frame(
        &mut self,
        header: Header,
        body: &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        if header.kind == MESSAGE {
            return self.take_message(body, events);
        }
        if SKIPPED.contains(&header.kind) {
            return Ok(());
        }
        match ServerMessage::read_postcard(header.kind, body) {
            Ok(Some(message)) => self.take(message, out, events),
            Ok(None) if header.flags & FLAG_CRITICAL == 0 => Ok(()),
            Ok(None) => Err(Broken(format!("unknown critical kind {:#06x}", header.kind.0))),
            Err(error) => Err(Broken(error.to_string())),
        }
    }

    fn take_message(&mut self, body: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
        let (view, rest) = postcard::take_from_bytes::<MessageView<'_>>(body)
            .map_err(|error| Broken(format!("a message can't be read: {error}")))?;
        if !rest.is_empty() {
            return Err(Broken("a message has bytes left over".to_owned()));
        }
        self.newest = Some((view.room, view.seq));
        let live = self.ready && !self.syncing;
        if live {
            self.seen = view.offset;
        } else if view.offset <= self.seen {
            return Ok(()); // catching up begins at the cursor, which may be behind what came live
        }
        if let Some(stamp) = Stamp::read(view.text.as_bytes()) {
            events.push(Event::Delivered { room: view.room.0, stamp });
        }
        Ok(())
    }

    fn take(
        &mut self,
        message: ServerMessage,
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        match message {
            ServerMessage::Greeting(greeting) => self.say_hello(greeting.epoch, out),
            ServerMessage::Welcome(welcome) => self.counter = welcome.last_counter,
            ServerMessage::Ack(ack) => events.push(self.acked(ack.counter)?),
            ServerMessage::CaughtUp(body) => self.caught_up(body.cursor, events),
            ServerMessage::RoomAt(_) => self.sync(out),
            ServerMessage::Pong(_) => events.push(Event::Pong),
            ServerMessage::Refused(it) => return Err(refusal("refused", it.reason, &it.text)),
            ServerMessage::Error(it) => return Err(refusal("error", it.reason, &it.text)),
            ServerMessage::Closing(it) => return Err(refusal("closing", it.reason, &it.text)),
            ServerMessage::AlreadyApplied(it) => {
                return Err(Broken(format!("command {} was already applied", it.counter)));
            }
            _ => {}
        }
        Ok(())
    }

    fn say_hello(&mut self, epoch: Epoch, out: &mut Vec<u8>) {
        self.epoch = Some(epoch);
        let copy = self.memory.recall(self.index).filter(|copy| copy.epoch == epoch);
        self.cursor = copy.map_or(Offset(0), |copy| copy.cursor);
        self.seen = copy.map_or(Offset(0), |copy| copy.seen);
        let hello = Hello {
            token: self.token,
            epoch: copy.map(|copy| copy.epoch),
            cursor: self.cursor,
            client: CLIENT_NAME.to_owned(),
        };
        write_client(&ClientMessage::Hello(hello), 1, out);
    }

    fn acked(&mut self, counter: Counter) -> Result<Event, Broken> {
        match self.unacked.pop_front() {
            Some((expected, stamp)) if expected == counter => {
                Ok(Event::Acked { stamp: Some(stamp) })
            }
            _ => Err(Broken(format!("an ack of command {counter} came out of turn"))),
        }
    }

    fn caught_up(&mut self, cursor: Offset, events: &mut Vec<Event>) {
        self.cursor = cursor;
        self.syncing = false;
        self.seen = self.seen.max(cursor);
        if !self.ready {
            self.ready = true;
            let epoch = self.epoch.expect("the greeting came first");
            self.memory.reached(Known { epoch, cursor, seen: cursor });
            events.push(Event::Ready);
        }
    }

    /// The session fell behind: pulls, once until it has caught up.
    fn sync(&mut self, out: &mut Vec<u8>) {
        if !self.syncing {
            self.syncing = true;
            write_client(&ClientMessage::Sync(SyncFrom { cursor: self.cursor }), 2, out);
        }
    }
}

fn refusal(what: &str, reason: wire::server::Reason, text: &str) -> Broken {
    Broken(format!("the server said {what} ({reason:?}): {text}"))
}

impl Session for Native {
    fn start(&mut self, _out: &mut Vec<u8>) {}

    fn receive(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        if self.input.is_empty() {
            let used = self.take_frames(input, out, events)?;
            self.input.extend_from_slice(&input[used..]);
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut self.input);
        bytes.extend_from_slice(input);
        let used = self.take_frames(&bytes, out, events)?;
        if used < bytes.len() {
            bytes.drain(..used);
            self.input = bytes;
        }
        Ok(())
    }

    fn publish(&mut self, room: u32, stamp: Stamp, out: &mut Vec<u8>) {
        self.counter = self.counter.next();
        self.unacked.push_back((self.counter, stamp));
        let text = stamp.text(self.payload_bytes);
        let send = SendText { counter: self.counter, room: RoomId(room), text };
        write_client(&ClientMessage::Send(send), 0, out);
    }

    fn ping(&mut self, out: &mut Vec<u8>) -> bool {
        write_client(&ClientMessage::Ping(Ping {}), 3, out);
        true
    }

    fn mark_read(&mut self, room: u32, out: &mut Vec<u8>) {
        if let Some((newest, seq)) = self.newest
            && newest == RoomId(room)
        {
            write_client(&ClientMessage::Read(Read { room: newest, seq }), 0, out);
        }
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        if let Some(epoch) = self.epoch
            && self.ready
        {
            self.memory.keep(self.index, Known { epoch, cursor: self.cursor, seen: self.seen });
        }
    }
}

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
