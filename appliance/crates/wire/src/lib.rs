//! Message types of the sessions and the log, and their two encodings; no I/O.
//!
//! The same types are postcard in binary frames and JSON in text frames. FORMAT.md beside this
//! crate lets a stranger write a client. Body types are frozen once released: a change is a new
//! kind.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod binary;
mod body;
pub mod client;
pub mod ids;
pub mod json;
mod kind;
pub mod limits;
pub mod record;
pub mod server;
pub mod session;

pub use binary::{Frame, FrameError};
pub use body::BodyError;
pub use client::ClientMessage;
pub use kind::Kind;
pub use record::RecordBody;
pub use server::ServerMessage;
pub use session::{SessionId, Targets};
