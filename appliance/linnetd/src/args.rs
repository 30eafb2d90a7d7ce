//! The command line: where data lives, where to listen, and the one-off jobs.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// Linnet's chat server.
#[derive(Clone, Debug, Parser)]
#[command(version, about, long_about = None)]
pub(crate) struct Args {
    /// Folder with everything that lasts: log, index, keys. It is made when missing.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,

    /// HTTPS: web client, REST and WebSocket.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8443")]
    pub(crate) listen: SocketAddr,

    /// HTTP: sends browsers to HTTPS and hands out the box's certificate. Off when left out.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen_http: Option<SocketAddr>,

    /// Native protocol (TCP with TLS, ALPN `linnet`). Off when left out.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen_native: Option<SocketAddr>,

    /// Native protocol over QUIC (UDP). Off when left out.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen_quic: Option<SocketAddr>,

    /// Native protocol without TLS, on loopback only: for measurements and tests.
    #[arg(long, value_name = "ADDR:PORT", hide = true)]
    pub(crate) listen_plain: Option<SocketAddr>,

    /// Makes the log wait for the card like a poor one does: for measurements and tests.
    #[arg(long, hide = true)]
    pub(crate) slow_disk: bool,

    /// Name under which people reach the box; it goes into the certificate and the claim link.
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Vec<String>,

    /// Socket of linnet-init; without it linnetd runs as a plain program.
    #[arg(long, value_name = "SOCKET")]
    pub(crate) control: Option<PathBuf>,

    /// Ring threads; default: processors minus one, at least one.
    #[arg(long, value_name = "N")]
    pub(crate) rings: Option<usize>,

    /// Plan as if the machine had this much memory, in MiB; default: what it has.
    #[arg(long, value_name = "MIB")]
    pub(crate) memory: Option<u64>,

    /// Make a new data folder from a backup file, then end. The folder must be empty.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rebuild", "salvage", "rescue"])]
    pub(crate) restore: Option<PathBuf>,

    /// Forget the index and build it anew from the log.
    #[arg(long, conflicts_with_all = ["salvage", "rescue"])]
    pub(crate) rebuild: bool,

    /// Rescue what a damaged log still holds into a new incarnation, then end.
    #[arg(long, conflicts_with = "rescue")]
    pub(crate) salvage: bool,

    /// Serve the rescue page only, stating this reason.
    #[arg(long, value_name = "REASON")]
    pub(crate) rescue: Option<String>,
}
