//! HTTPS and plain HTTP of the box: claim, login, REST, the web client, certificates, and the
//! hand-over of established sockets (WebSocket and native) to whoever serves sessions.
//!
//! One thread, one tokio runtime: [`start`]. The shell passes in the sockets, the clock, a [`Core`]
//! that answers questions about accounts, and an [`Adopt`] callback that takes the sockets.
//! Bytes of a TLS record that is not whole at the hand-over go along (see [`TlsState`]).

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod admission;
mod api;
mod app;
mod claim;
mod config;
mod core;
mod errors;
mod guard;
mod handover;
pub mod limits;
mod pages;
mod passwords;
mod server;
mod site;
mod tap;
mod throttle;
mod trust;
mod upgrade;

pub use config::{Claimable, Clock, Config, Listeners, Network, StaticFile};
pub use core::{
    Account, Answer, ApplianceReport, Backup, Caller, Card, ClockReport, Core, CoreError,
    Credentials, DeviceEntry, Facts, Figures, HealthItem, HealthReport, Order, Wifi,
};
pub use handover::{Adopt, Handover, Protocol, TlsState};
pub use server::{Addresses, Admit, StartError, Web, start};
pub use trust::{ALPN_HTTP, ALPN_NATIVE, Fingerprint, Trust, TrustError};
pub use upgrade::{SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON};
