//! QUIC through real sockets on loopback, with quinn as the client.
#![allow(clippy::unwrap_used)]

mod closing;
mod hostile;
mod migration;
mod rig;
mod sessions;
mod slow;
