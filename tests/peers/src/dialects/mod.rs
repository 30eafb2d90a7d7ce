//! How the generator talks to everything that is not Linnet.

mod floor;
mod mqtt;
mod nats;
mod rooms;
mod websocket;
mod xmpp;

pub use floor::Floor;
pub use mqtt::Mqtt;
pub use nats::Nats;
pub use rooms::Rooms;
pub use websocket::WebSocket;
pub use xmpp::Xmpp;

/// The script that Bun runs as this dialect's server.
pub const BUN_SCRIPT: &str = include_str!("bun.js");

#[cfg(test)]
pub(crate) mod testing {
    use super::Rooms;
    use clap::Parser;
    use load::{Dialect, Event, Layout, Scenario};

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        scenario: Scenario,
    }

    fn rooms(scenario: &str) -> Rooms {
        let line = Line::parse_from(["load", scenario]);
        Rooms::of(&line.scenario, &Layout::synthetic(10))
    }

    pub(crate) fn fanout_rooms() -> Rooms {
        rooms("fanout")
    }

    pub(crate) fn pairs_rooms() -> Rooms {
        rooms("pairs")
    }

    pub(crate) fn durable_rooms() -> Rooms {
        rooms("durable")
    }

    /// What session 0 makes of these bytes, whatever the pieces they come in.
    pub(crate) fn feed_in_pieces(dialect: &dyn Dialect, bytes: &[u8], wanted: &[Event]) {
        for size in 1..=bytes.len() {
            let mut session = dialect.session(0);
            let (mut out, mut events) = (Vec::new(), Vec::new());
            session.start(&mut out);
            for piece in bytes.chunks(size) {
                session.receive(piece, &mut out, &mut events).unwrap();
            }
            assert_eq!(events, wanted, "pieces of {size}");
        }
    }
}
