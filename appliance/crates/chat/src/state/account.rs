//! People and their devices, with the window of results that makes commands idempotent for ever.

use core::fmt;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use wire::ids::{ContentHash, Counter, DeviceId, Offset, RoomId, Seq, TimeMs, TokenHash, UserId};
use wire::limits::COMMAND_WINDOW;
use wire::server::{Reason, Role};

use super::{SYSTEM_DEVICE, SYSTEM_USER};

/// Argon2id hash in PHC text form; `Debug` never prints it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(secret)")
    }
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Who.
    pub user: UserId,
    /// Sign-in name, also shown.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// What their password hashes to.
    pub password_hash: PasswordHash,
    /// Newest change that others see.
    pub changed: Offset,
}

/// One signed-in installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Which.
    pub device: DeviceId,
    /// Whose.
    pub user: UserId,
    /// Shown in the device list.
    pub label: String,
    /// What its token hashes to.
    pub token_hash: TokenHash,
    /// When it signed in.
    pub added: TimeMs,
    /// Highest command number that was accepted.
    pub last_counter: Counter,
    /// Results of the newest commands, ascending by number, at most [`COMMAND_WINDOW`].
    pub window: VecDeque<Settled>,
}

/// A command that used up its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Its number.
    pub counter: Counter,
    /// Its content.
    pub content: ContentHash,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Done; what an `ack` says.
    Done {
        /// The command's record.
        offset: Offset,
        /// The server's clock then.
        time: TimeMs,
        /// The room; 0 when none.
        room: RoomId,
        /// The message; 0 when none.
        seq: Seq,
    },
    /// Refused for good.
    Refused {
        /// Why.
        reason: Reason,
        /// The field at fault, or empty.
        field: String,
    },
}

/// How a command number relates to what a device has sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// The next number.
    Next,
    /// Done before, with this result.
    Known(&'a Settled),
    /// Done before, result forgotten.
    Forgotten,
    /// A number was skipped.
    Gap {
        /// The number that must come.
        expected: Counter,
    },
}

impl Device {
    pub(super) fn system() -> Self {
        Self {
            device: SYSTEM_DEVICE,
            user: SYSTEM_USER,
            label: "health".to_owned(),
            token_hash: TokenHash([0; 32]),
            added: TimeMs(0),
            last_counter: Counter(0),
            window: VecDeque::new(),
        }
    }

    /// What is known about a command number.
    #[must_use]
    pub fn lookup(&self, counter: Counter) -> Lookup<'_> {
        if counter == self.last_counter.next() {
            return Lookup::Next;
        }
        if counter > self.last_counter {
            return Lookup::Gap { expected: self.last_counter.next() };
        }
        let at = self.window.binary_search_by_key(&counter, |settled| settled.counter);
        at.map_or(Lookup::Forgotten, |at| Lookup::Known(&self.window[at]))
    }

    /// Notes the result of the newest command. Lower numbers (a log with damage) are ignored.
    pub(crate) fn settle(&mut self, settled: Settled) {
        if settled.counter <= self.last_counter {
            return;
        }
        self.last_counter = settled.counter;
        while self.window.len() as u64 >= COMMAND_WINDOW {
            self.window.pop_front();
        }
        if self.window.len() == self.window.capacity() {
            // Most devices send little: the first result takes no room for more.
            self.window.reserve_exact(self.window.len().max(1));
        }
        self.window.push_back(settled);
    }
}
