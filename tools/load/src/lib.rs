//! The load generator: many sessions from one thread, any protocol behind the [`Dialect`] seam,
//! latency from the intended send time. Independent of the server's engine.
//!
//! [`run`] takes a [`Scenario`], a [`Dialect`] and what the server was seeded with, and gives a
//! [`Report`]. Nothing is retried and nothing is guessed: what was lost, came twice or broke is
//! counted.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod carrier;
mod dialect;
mod gate;
mod latency;
mod layout;
mod ledger;
mod limits;
mod link;
mod linnet;
mod options;
mod pool;
mod processes;
mod quic;
mod report;
mod run;
mod scenario;
mod server;
mod stamp;
mod tally;
mod tls;

pub use dialect::{Broken, Dialect, Event, Session};
pub use latency::Figures;
pub use layout::{Big, Layout, token};
pub use linnet::{Linnet, Transport};
pub use options::Options;
pub use processes::run;
pub use report::{Per, Report};
pub use scenario::{
    Announce, BusyDay, Classic, Durable, Fanout, Idle, Login, Lone, Pairs, Scenario, Slow, Storm,
};
pub use server::{ServerUse, ThreadUse};
pub use stamp::{STAMP_BYTES, Stamp};
