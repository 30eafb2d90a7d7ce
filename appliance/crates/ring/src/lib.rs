//! The io_uring threads where connections live: WebSocket and native framing, TLS records,
//! queues and back-pressure. No futures: `user_data = kind | generation | slot`.
//!
//! [`Rings::start`] starts the threads; sockets that HTTP or TLS set up elsewhere come in through
//! [`RingHandle::adopt`], events leave by one bounded channel. All `unsafe` is in `uring` and
//! `buffers`. Frames with errors are answered here; a frame that was decoded is never dropped.
#![warn(missing_docs)]

mod buffers;
mod codec;
mod company;
mod config;
mod conn;
mod driver;
mod error;
mod event;
mod events;
mod handle;
mod heartbeat;
mod inbox;
pub mod limits;
mod outbound;
mod outbox;
mod rings;
mod shared;
mod staging;
mod stats;
mod table;
mod tls;
mod uring;
mod websocket;

pub use config::RingConfig;
pub use error::StartError;
pub use event::{CloseReason, Protocol, RingEvent, SessionId};
pub use handle::{Handover, RingHandle};
pub use outbox::Outbox;
pub use rings::Rings;
pub use session::pace::PaceConfig;
pub use shared::SharedFrame;
pub use stats::RingStats;
pub use tls::TlsState;
