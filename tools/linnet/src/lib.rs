//! The client side of Linnet as a library: pinned TLS, REST, native sessions, outbox, profiles.
//!
//! The command-line tool is a thin layer over it; tests and the smoke harness use it as well.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod client;
pub mod link;
pub mod profile;
