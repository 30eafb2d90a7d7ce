//! What is measured, and how each is started.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::Bench;
use super::card::Card;
use super::limits::BOARD_MIB;
use super::peers::Peer;
use super::server::{Launch, Server, free_address};
use crate::floor::Mode;
use crate::seed::{Amounts, seed};

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Linnet(Linnet),
    Floor(Mode),
    Peer(Peer),
}

/// How Linnet runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Linnet {
    pub(super) door: Door,
    pub(super) rings: u32,
    pub(super) disk: Disk,
}

/// How sessions come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// Native frames on TCP.
    Plain,
    /// WebSocket in TLS.
    Wss,
}

/// What the log lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disk {
    /// The folder for the run's data.
    Plain,
    /// The same, made as slow as a poor SD card.
    Slow,
    /// A device of its own, whose writes are counted.
    Counted,
}

/// What the data folder holds, and how large messages are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) users: u32,
    pub(super) members: u32,
    pub(super) frame_bytes: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self { users: 4_000, members: 1_000, frame_bytes: crate::limits::FLOOR_FRAME_BYTES }
    }
}

impl Target {
    /// Linnet without TLS, on one ring: what is compared with peers and floors.
    pub(super) const LINNET: Self =
        Self::Linnet(Linnet { door: Door::Plain, rings: 1, disk: Disk::Plain });

    /// The same with another number of rings.
    pub(super) const fn linnet_on(rings: u32) -> Self {
        Self::Linnet(Linnet { door: Door::Plain, rings, disk: Disk::Plain })
    }

    /// The same through another door.
    pub(super) const fn linnet_by(door: Door) -> Self {
        Self::Linnet(Linnet { door, rings: 1, disk: Disk::Plain })
    }

    /// The same on another disk.
    pub(super) const fn linnet_with(disk: Disk) -> Self {
        Self::Linnet(Linnet { door: Door::Plain, rings: 1, disk })
    }

    /// Its name in tables.
    pub(super) fn label(self) -> String {
        match self {
            Self::Linnet(linnet) => linnet.label(),
            Self::Floor(Mode::UringBroadcast | Mode::UringPairs) => "ring floor".to_owned(),
            Self::Floor(Mode::EpollBroadcast | Mode::EpollPairs) => "epoll floor".to_owned(),
            Self::Floor(Mode::BlockingSend) => "plain send(2) loop".to_owned(),
            Self::Peer(peer) => peer.label().to_owned(),
        }
    }

    /// What the generator speaks with it: a name of [`crate::loader::Protocol`].
    pub(super) fn protocol(self) -> &'static str {
        match self {
            Self::Linnet(Linnet { door: Door::Plain, .. }) => "linnet-plain",
            Self::Linnet(Linnet { door: Door::Wss, .. }) => "linnet-wss",
            Self::Floor(Mode::UringBroadcast) => "uring-broadcast",
            Self::Floor(Mode::UringPairs) => "uring-pairs",
            Self::Floor(Mode::EpollBroadcast) => "epoll-broadcast",
            Self::Floor(Mode::EpollPairs) => "epoll-pairs",
            Self::Floor(Mode::BlockingSend) => "blocking-send",
            Self::Peer(peer) => peer.protocol(),
        }
    }

    /// Starts it in a folder of its own.
    pub(super) fn start(self, bench: &Bench, setup: &Setup) -> Result<Server> {
        let folder = tempfile::Builder::new().prefix("server-").tempdir_in(bench.scratch())?.keep();
        let log = folder.join("log.txt");
        let launch = match self {
            Self::Linnet(linnet) => linnet.launch(bench, setup, folder)?,
            Self::Floor(mode) => floor(bench, setup, mode)?,
            Self::Peer(peer) => peer.launch(bench, folder)?,
        };
        launch.start(log)
    }
}

fn floor(bench: &Bench, setup: &Setup, mode: Mode) -> Result<Launch> {
    let address = free_address()?;
    let launch = Launch::new(bench.program("linnet-floor")?, address);
    let (listen, bytes) = (address.to_string(), setup.frame_bytes.to_string());
    Ok(launch.with(&[&mode.name(), "--listen", &listen, "--frame-bytes", &bytes]))
}

impl Linnet {
    fn label(self) -> String {
        let door = match self.door {
            Door::Plain => "Linnet",
            Door::Wss => "Linnet, TLS WebSocket",
        };
        let rings = if self.rings == 1 { "" } else { ", two rings" };
        let disk = match self.disk {
            Disk::Plain => "",
            Disk::Slow => ", slow card",
            Disk::Counted => ", own device",
        };
        format!("{door}{rings}{disk}")
    }

    fn launch(self, bench: &Bench, setup: &Setup, folder: PathBuf) -> Result<Launch> {
        let card = match self.disk {
            Disk::Counted => Some(Card::mount(&folder).context("no device of its own")?),
            Disk::Plain | Disk::Slow => None,
        };
        let data = card.as_ref().map_or(folder.as_path(), Card::folder).join("data");
        let layout = folder.join("layout.json");
        seed_folder(&data, &layout, setup)?;
        let [https, plain] = [free_address()?, free_address()?];
        let address = if self.door == Door::Plain { plain } else { https };
        let [data, layout] = [data, layout].map(|path| path.display().to_string());
        let mut launch = Launch::new(bench.program("linnetd")?, address)
            .with(&["--data", &data, "--listen", &https.to_string()])
            .with(&["--listen-plain", &plain.to_string(), "--rings", &self.rings.to_string()])
            .with(&["--memory", &BOARD_MIB.to_string()]);
        if self.disk == Disk::Slow {
            launch = launch.with(&["--slow-disk"]);
        }
        launch.environment.push(("LINNET_LOG".into(), "warn".into()));
        launch.load_arguments.extend(["--layout".to_owned(), layout]);
        launch.card = card;
        Ok(launch)
    }
}

fn seed_folder(data: &std::path::Path, layout: &std::path::Path, setup: &Setup) -> Result<()> {
    let Setup { users, members, .. } = *setup;
    let pairs = users.min(400) / 2;
    let amounts = Amounts { users, sessions: None, pairs, members: members.min(users), own: None };
    let made = amounts.layout()?;
    seed(data, &made).context("the data folder can't be seeded")?;
    Ok(std::fs::write(layout, serde_json::to_vec(&made)?)?)
}
