//! The pure chat core: users, rooms, sessions, delivery, limits. No I/O, clock, thread, randomness.
//!
//! `linnetd` and the simulator feed [`Chat::handle`] with what happened and drain
//! [`Chat::poll_output`] after each call. Only [`apply()`] gives records a meaning.
//! Invariant: nothing that reflects a record leaves before the log reported the record durable.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod api;
mod apply;
mod audience;
mod card;
mod catchup;
mod chat;
mod checkpoint;
mod commands;
mod config;
mod crowd;
mod cursor;
mod entry;
mod greet;
mod hot;
pub mod limits;
mod live;
mod pending;
mod port;
mod reads;
mod serve;
mod session;
pub mod state;
#[cfg(test)]
mod tests;
mod visibility;

pub use api::{ApiCall, ApiError, ApiReply};
pub use apply::apply;
pub use chat::Chat;
pub use config::Config;
#[cfg(feature = "mutants")]
pub use config::Mutant;
pub use entry::Entry;
pub use port::{Input, Output, SessionId, Targets, Ticket};
pub use state::{Change, State};
