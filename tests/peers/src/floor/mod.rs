//! The kernel's floor: servers that do nothing but pass fixed-size frames on, one send for each
//! receiver, nothing coalesced, nothing kept. What Linnet costs above them is Linnet's.
//!
//! A connection's first frame says which session it is and comes back unchanged; every further one
//! goes to all connections, its own included, or to the other half of its pair only. A receiver
//! that does not keep up ends the floor with an error: it has no queues.

mod hub;
mod polled;
mod ring;
mod ringed;

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::net::sockopt::set_tcp_nodelay;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use crate::limits::{FLOOR_BACKLOG, FLOOR_FRAME_BYTES, FLOOR_SUBMISSIONS};
use hub::Hub;

/// Which floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// `io_uring`, every frame to all: the ring floor.
    UringBroadcast,
    /// `io_uring`, every frame to the other half of its pair.
    UringPairs,
    /// epoll and `send(2)`, every frame to all.
    EpollBroadcast,
    /// epoll and `send(2)`, every frame to the other half of its pair.
    EpollPairs,
    /// A plain loop of blocking `send(2)` over all sockets.
    BlockingSend,
}

impl Mode {
    /// Whether every frame goes to all.
    #[must_use]
    pub const fn is_broadcast(self) -> bool {
        matches!(self, Self::UringBroadcast | Self::EpollBroadcast | Self::BlockingSend)
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        let value = clap::ValueEnum::to_possible_value(&self);
        value.expect("no mode is hidden").get_name().to_owned()
    }
}

/// What a floor is told.
#[derive(Clone, Debug, clap::Args)]
pub struct FloorOptions {
    /// Which floor.
    #[arg(value_enum)]
    pub mode: Mode,
    /// Where to listen.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9444")]
    pub listen: SocketAddr,
    /// Bytes of every frame.
    #[arg(long, value_name = "BYTES", default_value_t = FLOOR_FRAME_BYTES)]
    pub frame_bytes: usize,
    /// Submissions that the ring floors put together.
    #[arg(long, value_name = "N", default_value_t = FLOOR_SUBMISSIONS)]
    pub batch: u32,
    /// Seconds after which it ends.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub seconds_max: u64,
}

/// Serves until the time is up. It ends with the process that started it, too.
///
/// # Errors
/// An address that is taken, or a receiver that does not keep up.
pub fn serve(options: &FloorOptions) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    let listener = listen(options.listen)?;
    let hub = Hub::new(options.mode.is_broadcast(), options.frame_bytes);
    let time = Duration::from_secs(options.seconds_max);
    match options.mode {
        Mode::UringBroadcast | Mode::UringPairs => {
            ringed::serve(&listener, hub, options.batch, time)
        }
        Mode::EpollBroadcast | Mode::EpollPairs => polled::serve(&listener, hub, false, time),
        Mode::BlockingSend => polled::serve(&listener, hub, true, time),
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| format!("can't use {address}"))?;
    rustix::net::listen(&listener, FLOOR_BACKLOG)?; // the standard library asks for 128
    set_tcp_nodelay(&listener, true)?; // accepted sockets inherit it
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}
