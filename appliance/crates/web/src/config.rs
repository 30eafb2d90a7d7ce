//! What the shell passes in at the start: sockets, folders, names, the clock, the web client.

use std::net::{IpAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use update::claim::TokenHash;
use wire::ids::{BoxId, ProvisionId, TimeMs};

use crate::core::Core;
use crate::handover::Adopt;

/// The wall clock, passed in so that tests own it.
pub type Clock = Arc<dyn Fn() -> TimeMs + Send + Sync>;

/// Everything [`crate::start`] needs.
pub struct Config {
    /// Bound sockets.
    pub listeners: Listeners,
    /// DATA: certificates live in `tls` below it.
    pub data: PathBuf,
    /// Version of the server program, for `/api/facts`.
    pub version: &'static str,
    /// Identity of the box; part of the CA's name.
    pub box_id: BoxId,
    /// Names and addresses the box answers to now.
    pub network: Network,
    /// The wall clock.
    pub clock: Clock,
    /// Time that the real time is known not to be before: certificates are back-dated to it.
    pub clock_floor: TimeMs,
    /// Whoever knows the accounts.
    pub core: Arc<dyn Core>,
    /// Takes established sessions.
    pub adopt: Adopt,
    /// What the first owner must prove; none when this box can't be claimed.
    pub claim: Option<Claimable>,
    /// The built web client; empty serves the explanation page at `/`.
    pub site: &'static [StaticFile],
}

/// Bound listening sockets; blocking or not does not matter.
pub struct Listeners {
    /// Web client, REST, WebSockets.
    pub https: TcpListener,
    /// Redirect, CA download, explanation. Optional on a developer's machine.
    pub http: Option<TcpListener>,
    /// Native sessions over TLS.
    pub native: Option<TcpListener>,
}

/// What the box is called. Certificates and the check of the `Host` header follow it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Host names without port, for example `linnet.local`; `localhost` is always added.
    pub names: Vec<String>,
    /// The box's own addresses; loopback is always added.
    pub addresses: Vec<IpAddr>,
}

/// The proof that makes somebody the first owner.
#[derive(Clone, Copy, Debug)]
pub struct Claimable {
    /// The provisioning that a claim spends.
    pub provision: ProvisionId,
    /// SHA-256 of the claim token. It keys the HMAC proof, so it is as secret as the card.
    pub token_hash: TokenHash,
}

/// One file of the web client, embedded in the server.
#[derive(Clone, Copy, Debug)]
pub struct StaticFile {
    /// Path from the root with the leading slash, for example `/index.html`.
    pub path: &'static str,
    /// Media type, with charset for text.
    pub mime: &'static str,
    /// The bytes.
    pub bytes: &'static [u8],
    /// The bytes compressed with gzip, when that is smaller.
    pub gzip: Option<&'static [u8]>,
    /// Entity tag without quotes: changes when the bytes do.
    pub etag: &'static str,
    /// True when the path changes with the content (Vite's hashed assets): cached for ever.
    pub immutable: bool,
}
