//! Commands that are not yet known to be done. Pure.
//!
//! The rule that nothing is lost or doubled: a command keeps its number from the first time it is
//! sent until it is settled; the server's `Welcome.last_counter` is the truth about all numbers.
//! Whoever stores an outbox stores it after [`Outbox::next_to_send`] and before the bytes leave.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use wire::client::{AddMember, CreateRoom, History, OpenDirect, RemoveMember, SendText};
use wire::ids::{Counter, RoomId, UserId};
use wire::limits::COMMAND_WINDOW;
use wire::server::{Ack, Reason, Refused};
use wire::{ClientMessage, ServerMessage};

/// Something durable to do, without its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Post a message.
    Send {
        /// Where.
        room: RoomId,
        /// What.
        text: String,
    },
    /// Open the direct room with somebody.
    OpenDirect {
        /// Whom.
        user: UserId,
    },
    /// Make a group room whose later members see everything.
    CreateRoom {
        /// Its name.
        name: String,
        /// Members besides oneself.
        members: Vec<UserId>,
    },
    /// Add somebody to a group room.
    AddMember {
        /// Which room.
        room: RoomId,
        /// Whom.
        user: UserId,
    },
    /// Remove somebody from a group room.
    RemoveMember {
        /// Which room.
        room: RoomId,
        /// Whom.
        user: UserId,
    },
}

impl Command {
    /// The wire message under a number.
    #[must_use]
    pub fn message(&self, counter: Counter) -> ClientMessage {
        match self.clone() {
            Self::Send { room, text } => ClientMessage::Send(SendText { counter, room, text }),
            Self::OpenDirect { user } => ClientMessage::OpenDirect(OpenDirect { counter, user }),
            Self::CreateRoom { name, members } => ClientMessage::CreateRoom(CreateRoom {
                counter,
                name,
                members,
                history: History::All,
            }),
            Self::AddMember { room, user } => {
                ClientMessage::AddMember(AddMember { counter, room, user })
            }
            Self::RemoveMember { room, user } => {
                ClientMessage::RemoveMember(RemoveMember { counter, room, user })
            }
        }
    }
}

/// A command with its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// Its number; final once it was sent.
    pub counter: Counter,
    /// What to do.
    pub command: Command,
    /// True from before its bytes leave for the first time.
    pub sent: bool,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is durable.
    Done(Pending, Ack),
    /// It was durable long ago; where is no longer known.
    DoneBefore(Pending),
    /// Refused for good.
    Refused(Pending, Refused),
    /// Not now: everything un-answered is sent again after this many milliseconds.
    Later(u32),
    /// Another program used this device's numbers: it needs a device of its own.
    Conflict,
}

/// Wait when the server names none.
const RETRY_MS: u32 = 500;

/// Commands in the order in which they were given.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbox {
    pending: VecDeque<Pending>,
    last: Counter,
    /// How many from the front are un-answered on this connection.
    #[serde(skip)]
    in_flight: usize,
}

impl Outbox {
    /// Adds a command at the end.
    pub fn push(&mut self, command: Command) {
        let newest = self.pending.back().map_or(self.last, |it| it.counter);
        self.pending.push_back(Pending {
            counter: newest.max(self.last).next(),
            command,
            sent: false,
        });
    }

    /// Everything that is not settled.
    #[must_use]
    pub fn pending(&self) -> &VecDeque<Pending> {
        &self.pending
    }

    /// A connection begins: `last` is the highest number the server accepted. What it accepted
    /// keeps its number and is asked for again; everything else is numbered on from there.
    pub fn welcomed(&mut self, last: Counter) {
        self.last = last;
        self.in_flight = 0;
        let mut newest = last;
        for pending in &mut self.pending {
            if pending.sent && pending.counter <= last {
                continue;
            }
            newest = newest.next();
            pending.counter = newest;
        }
    }

    /// The next command to put on the wire, as long as the window has room.
    pub fn next_to_send(&mut self) -> Option<Pending> {
        let window = usize::try_from(COMMAND_WINDOW).unwrap_or(1);
        if self.in_flight >= window {
            return None;
        }
        let pending = self.pending.get_mut(self.in_flight)?;
        pending.sent = true;
        self.in_flight += 1;
        Some(pending.clone())
    }

    /// Takes an answer of the server; none when it is not about a command.
    pub fn settle(&mut self, message: &ServerMessage) -> Option<Settled> {
        match message {
            ServerMessage::Ack(ack) => {
                let pending = self.remove(ack.counter)?;
                Some(Settled::Done(pending, ack.clone()))
            }
            ServerMessage::AlreadyApplied(body) => {
                self.remove(body.counter).map(Settled::DoneBefore)
            }
            ServerMessage::Refused(refused) => {
                let pending = self.remove(refused.counter)?;
                Some(Settled::Refused(pending, refused.clone()))
            }
            ServerMessage::Error(error) => self.trouble(error.reason, error.retry_after_ms),
            _ => None,
        }
    }

    fn trouble(&mut self, reason: Reason, retry_after_ms: Option<u32>) -> Option<Settled> {
        match reason {
            Reason::Conflict => Some(Settled::Conflict),
            Reason::Gap | Reason::Busy | Reason::CardFull if self.in_flight > 0 => {
                self.in_flight = 0;
                Some(Settled::Later(retry_after_ms.unwrap_or(RETRY_MS)))
            }
            _ => None,
        }
    }

    fn remove(&mut self, counter: Counter) -> Option<Pending> {
        let index = self.pending.iter().position(|it| it.counter == counter && it.sent)?;
        self.last = self.last.max(counter);
        if index < self.in_flight {
            self.in_flight -= 1;
        }
        self.pending.remove(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::ids::{Offset, Seq, TimeMs};
    use wire::server::{AlreadyApplied, Error};

    fn say(text: &str) -> Command {
        let room = RoomId(1);
        let text = text.to_owned();
        Command::Send { room, text }
    }

    fn ack(counter: u64) -> ServerMessage {
        ServerMessage::Ack(Ack {
            counter: Counter(counter),
            offset: Offset(9),
            room: RoomId(1),
            seq: Seq(1),
            time_ms: TimeMs(1),
        })
    }

    fn error(reason: Reason) -> ServerMessage {
        ServerMessage::Error(Error {
            reason,
            field: String::new(),
            text: String::new(),
            retry_after_ms: Some(70),
            expected: None,
        })
    }

    fn counters(outbox: &mut Outbox) -> Vec<u64> {
        std::iter::from_fn(|| outbox.next_to_send()).map(|pending| pending.counter.0).collect()
    }

    #[test]
    fn numbers_follow_the_servers_and_an_ack_settles_a_command_once() {
        let mut outbox = Outbox::default();
        outbox.push(say("a"));
        outbox.welcomed(Counter(10));
        outbox.push(say("b"));
        assert_eq!(counters(&mut outbox), [11, 12]);
        assert!(matches!(outbox.settle(&ack(11)), Some(Settled::Done(..))));
        assert_eq!(outbox.settle(&ack(11)), None);
        assert_eq!(outbox.pending().len(), 1);
    }

    #[test]
    fn after_a_broken_connection_the_same_number_carries_the_same_command() {
        let mut outbox = Outbox::default();
        outbox.welcomed(Counter(0));
        for text in ["a", "b", "c"] {
            outbox.push(say(text));
        }
        assert_eq!(counters(&mut outbox), [1, 2, 3]);
        // Stored, restarted; the server had accepted two, the acks were lost.
        let stored = serde_json::to_string(&outbox).unwrap();
        let mut outbox: Outbox = serde_json::from_str(&stored).unwrap();
        outbox.welcomed(Counter(2));
        outbox.push(say("d"));
        let sent: Vec<_> = std::iter::from_fn(|| outbox.next_to_send()).collect();
        let texts: Vec<_> = sent.iter().map(|it| (it.counter.0, it.command.clone())).collect();
        let expected = [(1, say("a")), (2, say("b")), (3, say("c")), (4, say("d"))];
        assert_eq!(texts, expected);
        let old = ServerMessage::AlreadyApplied(AlreadyApplied { counter: Counter(1) });
        assert!(matches!(outbox.settle(&old), Some(Settled::DoneBefore(_))));
    }

    #[test]
    fn a_command_that_was_never_sent_never_takes_a_number_that_is_used() {
        let mut outbox = Outbox::default();
        outbox.push(say("written offline"));
        outbox.welcomed(Counter(40));
        assert_eq!(counters(&mut outbox), [41]);
    }

    #[test]
    fn after_a_restore_to_an_older_state_unanswered_commands_are_numbered_anew() {
        let mut outbox = Outbox::default();
        outbox.welcomed(Counter(20));
        outbox.push(say("x"));
        assert_eq!(counters(&mut outbox), [21]);
        outbox.welcomed(Counter(5));
        assert_eq!(counters(&mut outbox), [6]);
    }

    #[test]
    fn the_window_bounds_what_is_unanswered() {
        let mut outbox = Outbox::default();
        outbox.welcomed(Counter(0));
        for _ in 0..100 {
            outbox.push(say("x"));
        }
        assert_eq!(counters(&mut outbox).len(), 64);
        outbox.settle(&ack(1));
        assert_eq!(counters(&mut outbox), [65]);
    }

    #[test]
    fn a_passing_trouble_sends_everything_again_and_a_conflict_is_final() {
        let mut outbox = Outbox::default();
        outbox.welcomed(Counter(0));
        outbox.push(say("a"));
        outbox.push(say("b"));
        counters(&mut outbox);
        assert_eq!(outbox.settle(&error(Reason::Busy)), Some(Settled::Later(70)));
        // The second one's gap is a consequence and changes nothing.
        assert_eq!(outbox.settle(&error(Reason::Gap)), None);
        assert_eq!(counters(&mut outbox), [1, 2]);
        assert_eq!(outbox.settle(&error(Reason::Conflict)), Some(Settled::Conflict));
    }
}
