//! The verbs of the tool, one file each.

mod account;
mod ask;
mod backup;
mod bench;
mod card;
mod chat;
pub(crate) mod failure;
mod feed;
mod flash;
mod history;
mod print;
mod provision;
mod rooms;
mod status;
mod system;
mod users;

use anyhow::Result;
use clap::{Parser, Subcommand};
use linnet::profile::{Profile, Profiles};

/// UDP port on which a box speaks QUIC.
const QUIC_PORT: &str = "7443";

/// Owns and uses a Linnet box from the command line.
///
/// Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 the box can't be reached, 4 the box refused,
/// 5 the other side is not the box it should be, 6 something was not delivered.
#[derive(Parser)]
#[command(version, about)]
pub(crate) struct Arguments {
    /// Which box: its host or the beginning of its id. Not needed while only one is known.
    #[arg(long = "box", global = true, value_name = "BOX")]
    which: Option<String>,
    /// Chat over QUIC to this UDP port (7443 when none is named): rooms, chat and history stay
    /// connected when this computer's address changes.
    #[arg(
        long,
        global = true,
        value_name = "PORT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = QUIC_PORT
    )]
    quic: Option<u16>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a card out of an image, and the link that makes you its owner.
    Flash(flash::Flash),
    /// Give an existing card a new claim link, other settings or a factory reset.
    Provision(provision::Provision),
    /// Become the first owner of a box, with its claim link.
    Claim(account::Claim),
    /// Sign this computer in on a box.
    Login(account::Login),
    /// Sign this computer out and forget the box.
    Logout,
    /// List users, or add one.
    Users(users::Users),
    /// List rooms, make one, or change its members.
    Rooms(rooms::Rooms),
    /// Follow rooms and send messages.
    Chat(chat::Chat),
    /// Show a room's past.
    History(history::History),
    /// Say how the box is.
    Status(status::Status),
    /// The system below the chat: show it, set clock and network, restart, factory reset.
    Box(system::System),
    /// Save everything on the box to a file.
    Backup(backup::Backup),
    /// Measure the box: messages a second, latencies, memory, bytes written to the card.
    Bench(bench::Bench),
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<()> {
        let profiles = Profiles::of_this_user()?;
        let (which, quic) = (self.which.as_deref(), self.quic);
        match self.verb {
            Verb::Flash(verb) => verb.run(),
            Verb::Provision(verb) => verb.run(),
            Verb::Claim(verb) => verb.run(&profiles).await,
            Verb::Login(verb) => verb.run(&profiles).await,
            Verb::Logout => account::logout(&profiles, which).await,
            Verb::Users(verb) => verb.run(&profiles.choose(which)?).await,
            Verb::Rooms(verb) => verb.run(&profiles, &over(profiles.choose(which)?, quic)).await,
            Verb::Chat(verb) => verb.run(&profiles, &over(profiles.choose(which)?, quic)).await,
            Verb::History(verb) => verb.run(&over(profiles.choose(which)?, quic)).await,
            Verb::Status(verb) => verb.run(&profiles.choose(which)?).await,
            Verb::Box(verb) => verb.run(&profiles.choose(which)?).await,
            Verb::Backup(verb) => verb.run(&profiles.choose(which)?).await,
            Verb::Bench(verb) => verb.run(&profiles, &profiles.choose(which)?).await,
        }
    }
}

/// The same box, its sessions over QUIC when that was asked for.
fn over(mut profile: Profile, quic: Option<u16>) -> Profile {
    if let Some(port) = quic {
        profile.host = profile.host.over_quic(port);
    }
    profile
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn quic_has_a_port_of_its_own_and_takes_no_word_that_follows() {
        let quic = |words: &[&str]| {
            let words = ["linnet", "chat"].into_iter().chain(words.iter().copied());
            Arguments::try_parse_from(words).unwrap().quic
        };
        assert_eq!(quic(&["--quic", "cellar"]), Some(7443));
        assert_eq!(quic(&["cellar", "--quic=9000"]), Some(9000));
        assert_eq!(quic(&["cellar"]), None);
    }
}
