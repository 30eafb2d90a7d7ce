//! What to do with the sessions. Each scenario is its options and how it drives a run.

mod announce;
mod busyday;
mod classic;
mod durable;
mod fanout;
mod herd;
mod idle;
mod lone;
mod pace;
mod pairs;
mod slow;
mod storm;

use anyhow::{Result, ensure};
use clap::Subcommand;

use crate::dialect::Dialect;
use crate::gate::Step;
use crate::layout::Layout;
use crate::limits::{MESSAGES_MAX, SESSIONS_MAX};
use crate::run::Run;

pub use announce::Announce;
pub use busyday::BusyDay;
pub use classic::Classic;
pub use durable::Durable;
pub use fanout::Fanout;
pub use idle::Idle;
pub use lone::Lone;
pub use pairs::Pairs;
pub use slow::Slow;
pub use storm::{Login, Storm};

/// Payload where a scenario is not known for another, in bytes: a sentence.
const PAYLOAD_BYTES: usize = 100;

/// All scenarios.
#[derive(Clone, Debug, Subcommand)]
pub enum Scenario {
    /// Sessions that exchanged 4 KB each and then are silent: memory per session.
    Idle(Idle),
    /// One-to-one: two people per room.
    Pairs(Pairs),
    /// One room with many members.
    Fanout(Fanout),
    /// Many senders that wait for acks only.
    Durable(Durable),
    /// One sender, one message at a time: bytes written to the disk for each.
    Lone(Lone),
    /// Everybody comes back at once, and has missed something.
    Storm(Storm),
    /// Sessions sign in one after another.
    Login(Login),
    /// The known claim: users that come slowly and write seldom.
    Classic4000(Classic),
    /// A mixed day: several kinds of rooms, receipts, reconnects.
    Busyday(BusyDay),
    /// One message to everybody, who all read it.
    Announce(Announce),
    /// Members that stop reading in a busy room.
    Slow(Slow),
}

/// What the runner needs to know of a scenario.
pub(crate) trait Drive {
    /// Name in reports.
    fn name(&self) -> &'static str;

    /// Sessions of all processes together.
    fn sessions(&self) -> u32;

    /// Messages of all processes together.
    fn messages(&self) -> u64;

    /// Sessions that must be in one process, as they count each other's messages.
    fn unit(&self) -> u32 {
        1
    }

    /// Bytes of a message unless asked for otherwise.
    fn payload_bytes(&self) -> usize {
        PAYLOAD_BYTES
    }

    /// Between which steps the server's use is reported.
    fn measured(&self) -> (Step, Step) {
        (Step::Ready, Step::Measured)
    }

    /// Whether sessions resume TLS sessions.
    fn resumes(&self) -> bool {
        false
    }

    /// Whether every session fetches everything, like a new device.
    fn syncs_afresh(&self) -> bool {
        false
    }

    /// Whether the server's use is per session instead of per message.
    fn per_session(&self) -> bool {
        false
    }

    /// Whether server, layout and options can do it.
    fn check(&self, layout: &Layout, dialect: &dyn Dialect) -> Result<()>;

    /// Does this process's part; passes every [`Step`] once.
    fn drive(&self, run: &mut Run<'_>) -> Result<()>;
}

impl Scenario {
    pub(crate) fn drive(&self) -> &dyn Drive {
        match self {
            Self::Idle(it) => it,
            Self::Pairs(it) => it,
            Self::Fanout(it) => it,
            Self::Durable(it) => it,
            Self::Lone(it) => it,
            Self::Storm(it) => it,
            Self::Login(it) => it,
            Self::Classic4000(it) => it,
            Self::Busyday(it) => it,
            Self::Announce(it) => it,
            Self::Slow(it) => it,
        }
    }

    /// Whether every session is to fetch everything, like a new device.
    #[must_use]
    pub fn syncs_afresh(&self) -> bool {
        self.drive().syncs_afresh()
    }

    /// Bytes of a message of this scenario unless asked for otherwise.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.drive().payload_bytes()
    }
}

/// Checks what all scenarios have in common.
pub(crate) fn check(drive: &dyn Drive, layout: &Layout, dialect: &dyn Dialect) -> Result<()> {
    let (sessions, messages) = (drive.sessions(), drive.messages());
    ensure!(sessions > 0, "no sessions, no load");
    ensure!(sessions <= SESSIONS_MAX, "at most {SESSIONS_MAX} sessions, not {sessions}");
    ensure!(messages <= MESSAGES_MAX, "at most {MESSAGES_MAX} messages, not {messages}");
    ensure!(
        sessions <= layout.sessions,
        "the layout has {} sessions; {sessions} are asked for",
        layout.sessions
    );
    drive.check(layout, dialect)
}
