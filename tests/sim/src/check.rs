//! The promises, checked after every recovery and at the end.

use std::collections::{BTreeMap, BTreeSet};

use chat::State;
use wire::ids::{RoomId, Seq, UserId};
use wire::server::Message;

use crate::client::{Client, Outcome};
use crate::copy::CopyRoom;
use crate::record::to_message;
use crate::truth::{Truth, TruthRoom};
use crate::violation::{Checked, broken, ensure};
use crate::world::World;

/// Members up to which read marks are compared.
const READ_MARKS_MEMBERS_MAX: usize = 64;

/// Looks in a row, half a second apart, that must find nothing moving.
const CALM_LOOKS: u32 = 5;

impl World {
    /// What was durable is there, what was promised is there, and memory is what the log says.
    pub(crate) fn check_recovery(&mut self) -> Checked {
        let entries = self.machine.read_log()?;
        for (known, found) in self.truth.entries.iter().zip(&entries) {
            ensure(known == found, "durable survives", || format!("{known:?} became {found:?}"))?;
        }
        let durable = self.truth.entries.len();
        ensure(entries.len() >= durable, "durable survives", || {
            format!("{durable} records were durable, {} are left", entries.len())
        })?;
        for entry in entries.into_iter().skip(durable) {
            self.truth.add(entry)?;
        }
        self.check_promises()?;
        let mut state = State::new();
        for entry in &self.truth.entries {
            chat::apply(&mut state, entry);
        }
        let same = self.machine.chat().is_some_and(|chat| *chat.state() == state);
        ensure(same, "rows and replay agree", || "the recovered state is not the log's".to_owned())
    }

    fn check_promises(&self) -> Checked {
        for (offset, message) in &self.promised {
            let found = self.truth.entry(*offset).and_then(to_message);
            ensure(found.as_ref() == Some(message), "seen survives a cut", || {
                format!("{message:?} was seen, the log has {found:?}")
            })?;
        }
        for client in &self.clients {
            for result in &client.results {
                check_result(&self.truth, client, result)?;
            }
        }
        Ok(())
    }

    /// Ends all trouble.
    pub(crate) fn heal(&mut self) -> Checked {
        self.note(|| "all trouble ends".to_owned());
        self.active = false;
        self.machine.disk.set_capacity(u64::MAX);
        self.plan.network_ms_max = 5;
        self.plan.sync_ms_max = 3;
        for client in 0..self.clients.len() {
            self.connect(client)?;
        }
        Ok(())
    }

    /// Whether everything has come to rest and every client has paged all it may see.
    pub(crate) fn settled(&mut self) -> Checked<bool> {
        let head = self.truth.head();
        for _ in 0..CALM_LOOKS {
            let next = self.now + 500;
            self.run_until(next)?;
            if !self.machine.idle() || !self.clients_calm() || self.page_all() {
                return Ok(false);
            }
        }
        Ok(self.truth.head() == head)
    }

    fn clients_calm(&self) -> bool {
        self.clients.iter().filter(|client| !client.retired).all(|client| {
            client.ready
                && client.caught_up
                && client.outbox.is_empty()
                && client.asked_pages.is_empty()
        })
    }

    /// True when a client still had to ask.
    fn page_all(&mut self) -> bool {
        let mut asked = false;
        for client in 0..self.clients.len() {
            let rooms: Vec<RoomId> = self.clients[client].copy.rooms.keys().copied().collect();
            for room in rooms {
                let ask = self.clients[client].ask_page(room, 100);
                asked |= ask.is_some();
                self.send(client, ask.into_iter().collect());
            }
        }
        asked
    }

    pub(crate) fn unsettled(&self) -> String {
        let mut text = format!("up {}, idle {}", self.machine.up(), self.machine.idle());
        for (at, client) in self.clients.iter().enumerate() {
            if client.retired {
                continue;
            }
            let (ready, caught_up) = (client.ready, client.caught_up);
            let (outbox, pages) = (client.outbox.len(), client.asked_pages.len());
            text += &format!("; client {at}: {ready} {caught_up} {outbox} {pages}");
        }
        text
    }

    pub(crate) fn check_end(&self) -> Checked {
        self.check_promises()?;
        for client in self.clients.iter().filter(|client| !client.retired) {
            check_client(&self.truth, client)?;
        }
        Ok(())
    }
}

fn check_result(truth: &Truth, client: &Client, result: &Outcome) -> Checked {
    let device = client.device;
    let entry = truth.command(device, result.counter());
    let Some(entry) = entry else {
        return broken(
            "no acked command lost",
            format!("device {device}: {result:?} is not there"),
        );
    };
    let Outcome::Acked(ack) = result else { return Ok(()) };
    ensure(entry.offset == ack.offset, "no acked command lost", || {
        format!("device {device}: {ack:?} is at {}", entry.offset)
    })?;
    match to_message(entry) {
        Some(message) => ensure(
            (message.room, message.seq) == (ack.room, ack.seq),
            "no acked command lost",
            || format!("device {device}: {ack:?} is {message:?}"),
        ),
        None => Ok(()),
    }
}

/// The client shows what the log says this user may see, no more, no less, each once.
fn check_client(truth: &Truth, client: &Client) -> Checked {
    let user = client.user;
    let mine = |room: &TruthRoom| room.members.get(&user).is_some_and(|member| member.present);
    let expected: BTreeMap<RoomId, &TruthRoom> =
        truth.rooms.iter().filter(|(_, room)| mine(room)).map(|(id, room)| (*id, room)).collect();
    let shown: BTreeSet<RoomId> = client.copy.rooms.keys().copied().collect();
    ensure(shown.iter().eq(expected.keys()), "convergence", || {
        format!("user {user} shows rooms {shown:?}, is in {:?}", expected.keys())
    })?;
    let users: BTreeSet<UserId> = client.copy.users.keys().copied().collect();
    ensure(users == truth.users, "convergence", || format!("user {user} knows {users:?}"))?;
    for (id, room) in expected {
        check_room(user, id, room, &client.copy.rooms[&id])?;
    }
    Ok(())
}

fn check_room(user: UserId, id: RoomId, room: &TruthRoom, copy: &CopyRoom) -> Checked {
    let me = &room.members[&user];
    ensure(copy.head == room.head(), "convergence", || {
        format!("user {user}: room {id} is at {}, shown {}", room.head(), copy.head)
    })?;
    let seen: Vec<&Message> =
        room.messages.iter().filter(|message| me.seen.contains(&message.seq)).collect();
    ensure(copy.messages.values().eq(seen.iter().copied()), "convergence", || {
        let shown: Vec<u64> = copy.messages.keys().map(|seq| seq.0).collect();
        let seen: Vec<u64> = seen.iter().map(|message| message.seq.0).collect();
        format!("user {user}: room {id} shows {shown:?}, may see {seen:?}")
    })?;
    ensure(
        copy.read == me.read && copy.unread == room.head().0 - me.read.0,
        "convergence",
        || format!("user {user}: room {id} read {} of {}", copy.read, me.read),
    )?;
    let present = room.members.iter().filter(|(_, member)| member.present);
    let members: BTreeMap<UserId, Seq> =
        present.map(|(user, member)| (*user, member.read)).collect();
    let comparable = members.len() <= READ_MARKS_MEMBERS_MAX;
    let same =
        if comparable { copy.members == members } else { copy.members.keys().eq(members.keys()) };
    ensure(same, "convergence", || {
        format!("user {user}: room {id} shows {:?}, has {members:?}", copy.members)
    })
}
