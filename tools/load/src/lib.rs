//! The load generator: many sessions from one thread, any protocol behind the [`Dialect`] seam,
//! latency from the intended send time. Independent of the server's engine.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod dialect;
mod layout;
mod stamp;

pub use dialect::{Broken, Dialect, Event, Session};
pub use layout::{Big, Layout, token};
pub use stamp::{STAMP_BYTES, Stamp};
