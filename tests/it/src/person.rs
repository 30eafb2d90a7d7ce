//! A person with a signed-in device: numbers commands as a real client does.

use serde_json::{Value, json};
use wire::client::{CreateRoom, Hello, History, OpenDirect, ReadHistory, SendText};
use wire::ids::{Counter, DeviceId, DeviceToken, Epoch, Offset, RoomId, Seq, UserId};
use wire::server::{Ack, HistoryPage, Message, Room, Welcome};
use wire::{ClientMessage, ServerMessage};

use crate::process::Linnetd;
use crate::session::{Door, Session};

/// Somebody who is signed in on one device.
#[derive(Clone, Debug)]
pub struct Person {
    /// Sign-in name.
    pub name: String,
    /// Who.
    pub user: UserId,
    /// Which device.
    pub device: DeviceId,
    /// The device's secret.
    pub token: DeviceToken,
    /// Last command number used.
    pub counter: Counter,
    /// Everything up to here was seen.
    pub cursor: Offset,
    /// Epoch of what was seen.
    pub epoch: Option<Epoch>,
}

/// What a session showed until it was caught up.
#[derive(Clone, Debug)]
pub struct Caught {
    /// The answer to `hello`.
    pub welcome: Welcome,
    /// Rooms as they were sent.
    pub rooms: Vec<Room>,
    /// Messages as they were sent.
    pub messages: Vec<Message>,
}

impl Person {
    /// The password that tests give to a name.
    pub fn password_of(name: &str) -> String {
        format!("a long password for {name}")
    }

    /// Reads the answer to a claim or login.
    pub fn from_answer(name: &str, answer: &Value) -> Self {
        let number = |key: &str| {
            let value = answer[key].as_u64().and_then(|value| u32::try_from(value).ok());
            value.unwrap_or_else(|| panic!("no {key} in {answer}"))
        };
        let token = answer["token"].as_str().and_then(DeviceToken::from_hex);
        Self {
            name: name.to_owned(),
            user: UserId(number("user")),
            device: DeviceId(number("device")),
            token: token.unwrap_or_else(|| panic!("no token in {answer}")),
            counter: Counter(0),
            cursor: Offset(0),
            epoch: None,
        }
    }

    /// The header that proves this device to the REST interface.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// Lets an owner add a person, who then signs in.
    pub fn add(&self, server: &Linnetd, name: &str) -> Self {
        let body = json!({"name": name, "password": Self::password_of(name), "role": "member"});
        let headers = [("Authorization", self.bearer())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let answer = server.request("POST", "/api/users", &headers, Some(&body));
        assert!(answer.status < 300, "{}", answer.text());
        Self::login(server, name)
    }

    /// Signs in on a new device.
    pub fn login(server: &Linnetd, name: &str) -> Self {
        let body = json!({"name": name, "password": Self::password_of(name), "device": "test"});
        let answer = server.request("POST", "/api/login", &[], Some(&body));
        assert_eq!(answer.status, 200, "{}", answer.text());
        Self::from_answer(name, &answer.json())
    }

    /// Opens a session, says hello and takes everything until `caught_up`.
    pub fn enter(&mut self, server: &Linnetd, door: Door) -> (Session, Caught) {
        let mut session = server.open(door);
        let caught = self.hello(&mut session);
        (session, caught)
    }

    /// Says hello on a fresh session and takes everything until `caught_up`.
    pub fn hello(&mut self, session: &mut Session) -> Caught {
        let epoch = session.wait_for("greeting", |frame| match &frame.message {
            Some(ServerMessage::Greeting(greeting)) => Some(greeting.epoch),
            _ => None,
        });
        let hello = Hello {
            token: self.token,
            epoch: self.epoch,
            cursor: self.cursor,
            client: "linnet-it".into(),
        };
        session.send(&hello.into());
        let caught = catch_up(self, session);
        self.epoch = Some(epoch);
        self.counter = caught.welcome.last_counter;
        caught
    }

    /// Takes the next command number.
    pub fn number(&mut self) -> Counter {
        self.counter = self.counter.next();
        self.counter
    }

    /// Posts a text and waits for its ack.
    pub fn say(&mut self, session: &mut Session, room: RoomId, text: &str) -> Ack {
        let counter = self.number();
        let command = SendText { counter, room, text: text.into() };
        expect_ack(session, &command.into())
    }

    /// Opens the direct room with somebody.
    pub fn open_direct(&mut self, session: &mut Session, with: UserId) -> RoomId {
        let counter = self.number();
        expect_ack(session, &OpenDirect { counter, user: with }.into()).room
    }

    /// Makes a group room.
    pub fn create_room(&mut self, session: &mut Session, name: &str, members: &[UserId]) -> RoomId {
        let counter = self.number();
        let command = CreateRoom {
            counter,
            name: name.into(),
            members: members.to_vec(),
            history: History::All,
        };
        expect_ack(session, &command.into()).room
    }
}

/// Takes frames until `caught_up` and moves the person's cursor.
pub fn catch_up(person: &mut Person, session: &mut Session) -> Caught {
    let (mut welcome, mut rooms, mut messages) = (None, Vec::new(), Vec::new());
    let cursor = session.wait_for("caught_up", |frame| match &frame.message {
        Some(ServerMessage::Welcome(body)) => {
            welcome = Some(body.clone());
            None
        }
        Some(ServerMessage::Room(body)) => {
            rooms.push(body.clone());
            None
        }
        Some(ServerMessage::Message(body)) => {
            messages.push(body.clone());
            None
        }
        Some(ServerMessage::CaughtUp(body)) => Some(body.cursor),
        Some(ServerMessage::Error(error)) => panic!("hello was refused: {error:?}"),
        Some(ServerMessage::Closing(closing)) => panic!("the server closes: {closing:?}"),
        _ => None,
    });
    person.cursor = cursor;
    Caught { welcome: welcome.expect("a welcome comes first"), rooms, messages }
}

/// Sends a command that must be done.
pub fn expect_ack(session: &mut Session, command: &ClientMessage) -> Ack {
    match session.ask(command) {
        ServerMessage::Ack(ack) => ack,
        other => panic!("{command:?} was answered by {other:?}"),
    }
}

/// Waits for the next message in a room.
pub fn next_message(session: &mut Session, room: RoomId) -> Message {
    session.wait_for("a message", |frame| match &frame.message {
        Some(ServerMessage::Message(message)) if message.room == room => Some(message.clone()),
        _ => None,
    })
}

/// Asks for one page of history.
pub fn history(session: &mut Session, room: RoomId, before: Option<Seq>) -> HistoryPage {
    let ask = ReadHistory { room, before, limit: wire::limits::HISTORY_PAGE_MAX };
    match session.ask(&ask.into()) {
        ServerMessage::HistoryPage(page) => page,
        other => panic!("history was answered by {other:?}"),
    }
}

/// Pages a room's whole history, oldest first; also the number of damaged messages.
pub fn whole_history(session: &mut Session, room: RoomId) -> (Vec<Message>, u32) {
    let (mut messages, mut damaged, mut before) = (Vec::new(), 0, None);
    loop {
        let page = history(session, room, before);
        damaged += page.damaged;
        messages.splice(0..0, page.messages);
        before = page.before;
        if before.is_none() {
            return (messages, damaged);
        }
    }
}
