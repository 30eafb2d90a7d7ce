//! What the integration tests share: a real `linnetd` process on free loopback ports, a small
//! HTTPS client, WebSocket and native sessions, and people who chat through them. Every wait has a
//! deadline and panics with the server's own log when it passes.
#![forbid(unsafe_code)]

pub mod attack;
pub mod http;
pub mod person;
pub mod process;
pub mod quic;
pub mod session;
pub mod tls;
pub mod watch;

use std::time::Duration;

/// Longest wait for anything that ought to happen; two busy processors are slow.
pub const PATIENCE: Duration = Duration::from_secs(30);
