//! The whole server over real sockets: a rustls client that trusts only the box's CA, and a core
//! kept in memory.

mod claiming;
mod fake;
mod refusals;
mod rest;
mod sessions;
mod support;
