//! Sessions over QUIC (RFC 9000) on one thread: the native frames of `wire` on one stream per
//! connection, which the server opens because it speaks first.
//!
//! It is to the core what a ring is: [`Event`]s leave by a bounded channel that this thread never
//! waits for, frames come in by [`Outbox`] in batches. A connection survives a change of the
//! client's address. The thread runs a `current_thread` tokio; one task holds one connection.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod admission;
mod config;
mod error;
mod event;
mod events;
mod frame;
mod hall;
pub mod limits;
mod outbound;
mod outbox;
mod parting;
mod server;
mod talk;
mod transport;

pub use config::{Admit, Door, QuicConfig};
pub use error::StartError;
pub use event::{CloseReason, Event};
pub use frame::Frame;
pub use outbox::{Orders, Outbox, QuicHandle, queue};
pub use parting::close_code;
pub use server::Quic;
pub use transport::ALPN;
