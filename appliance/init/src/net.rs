//! The `net` child: interfaces, addresses, the announced name, the time. It is the same binary,
//! started as `linnet-init net FOLDER`; all that comes from the network is parsed here, without
//! root. It takes its settings from the file that init left, reports to init with frames on stdout
//! and writes resolv.conf into FOLDER. New settings mean a new process.

mod announce;
mod dhcp;
mod files;
mod filter;
mod fixed;
mod follower;
mod ipv6;
mod keeper;
mod limits;
mod link;
mod netlink;
mod privileges;
pub(crate) mod settings;
mod time;
mod wifi;

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use update::control::{FromNet, LinkKind, NetSettings, Network, write_frame};

use crate::clock::boot_ms;
use announce::Announcer;
use files::Files;
use follower::Follower;
use limits::{LINKS_LOOK_MS, LOOK};
use netlink::Netlink;
use wifi::Station;

/// Why the child ends; init starts it again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetError {
    #[error("usage: linnet-init net FOLDER")]
    Usage,
    #[error("root could not be given up: {0}")]
    Privileges(io::Error),
    #[error("the kernel's network settings cannot be reached: {0}")]
    Netlink(io::Error),
    #[error("signals cannot be watched: {0}")]
    Signals(io::Error),
    #[error("packets cannot be waited for: {0}")]
    Wait(io::Error),
    #[error("init does not listen any more")]
    Report,
}

/// Runs until init says stop or something breaks.
pub(crate) fn run(arguments: &[String]) -> Result<(), NetError> {
    let [folder] = arguments else { return Err(NetError::Usage) };
    privileges::give_up().map_err(NetError::Privileges)?;
    let settings = settings::load(Path::new(settings::PATH)).unwrap_or_else(|error| {
        eprintln!("The network settings cannot be read ({error}); DHCP is used.");
        NetSettings { host_name: "linnet".to_owned(), ..NetSettings::default() }
    });
    let mut child = Child::open(settings, Files::new(PathBuf::from(folder)))?;
    while !child.ended.load(Ordering::Relaxed) {
        child.turn()?;
        child.wait()?;
    }
    child.announcer.end();
    child.station.iter_mut().for_each(Station::end);
    Ok(())
}

/// Writes one report. Called by several threads; a frame goes out whole.
fn report(report: &FromNet) -> Result<(), NetError> {
    // std buffers stdout by lines, and a frame is none.
    let mut stdout = io::stdout().lock();
    write_frame(&mut stdout, report).map_err(|_| NetError::Report)?;
    stdout.flush().map_err(|_| NetError::Report)
}

/// Everything that the main thread keeps.
struct Child {
    settings: NetSettings,
    host_name: &'static str,
    files: Files,
    netlink: Netlink,
    followers: Vec<Follower>,
    announcer: Announcer,
    station: Option<Station>,
    time: time::Handle,
    ended: Arc<AtomicBool>,
    reported: Option<Network>,
    name_servers: Vec<Ipv4Addr>,
    looked_at_ms: Option<u64>,
}

impl Child {
    fn open(settings: NetSettings, files: Files) -> Result<Self, NetError> {
        let ended = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGTERM, ended.clone())
            .map_err(NetError::Signals)?;
        let mut netlink = Netlink::open().map_err(NetError::Netlink)?;
        // Without loopback the server's own health check cannot work.
        netlink.set_up(link::LOOPBACK_INDEX).map_err(NetError::Netlink)?;
        // smoltcp keeps options by reference; one name for the life of the process.
        let host_name: &'static str = Box::leak(settings.host_name.clone().into_boxed_str());
        Ok(Self {
            host_name,
            announcer: Announcer::new(&settings.host_name, files.clone()),
            station: Station::new(&settings, files.clone()),
            time: time::Handle::start(&settings),
            settings,
            files,
            netlink,
            followers: Vec::new(),
            ended,
            reported: None,
            name_servers: Vec::new(),
            looked_at_ms: None,
        })
    }

    fn turn(&mut self) -> Result<(), NetError> {
        let now = boot_ms();
        self.adopt(now);
        let netlink = &mut self.netlink;
        self.followers.retain_mut(|follower| follower.turn(netlink, now));
        if let Some(station) = &mut self.station {
            let links = self.followers.iter().map(|follower| &follower.link);
            station.turn(links.into_iter().find(|link| link.kind == LinkKind::Wifi), now);
        }
        let network = self.network();
        self.announcer.turn(network.address.is_some(), now);
        let network = Network { announced: self.announcer.announced(), ..network };
        self.pass_on_servers();
        if self.reported.as_ref() != Some(&network) {
            report(&FromNet::Network(network.clone()))?;
            self.reported = Some(network);
        }
        Ok(())
    }

    /// Looks for interfaces that are new.
    fn adopt(&mut self, now_ms: u64) {
        if self.looked_at_ms.is_some_and(|at| now_ms < at + LINKS_LOOK_MS) {
            return;
        }
        self.looked_at_ms = Some(now_ms);
        for link in link::list(Path::new("/sys/class/net")) {
            // Without a network to join, the radio stays off.
            let unwanted = link.kind == LinkKind::Wifi && self.station.is_none();
            if unwanted || self.followers.iter().any(|follower| follower.link == link) {
                continue;
            }
            let name = link.name.clone();
            let files = self.files.clone();
            let (netlink, settings) = (&mut self.netlink, &self.settings);
            match Follower::open(link, netlink, files, self.host_name, settings, now_ms) {
                Ok(follower) => self.followers.push(follower),
                Err(error) => eprintln!("The interface {name} cannot be used: {error}."),
            }
        }
    }

    /// The interface in use: one with an address before one without, a cable before a radio.
    fn preferred(&self) -> Option<&Follower> {
        let rank = |follower: &&Follower| {
            let usable = follower.is_up() && follower.lease().is_some();
            (!usable, !follower.is_up(), follower.link.kind as u8)
        };
        self.followers.iter().min_by_key(rank)
    }

    fn network(&self) -> Network {
        let complaints = self.followers.iter().filter_map(Follower::complaint);
        let complaints = complaints.chain(self.station.as_ref().and_then(Station::complaint));
        let complaints = complaints.collect();
        let wifi = self.station.as_ref().map(Station::state);
        let Some(follower) = self.preferred() else {
            return Network { complaints, wifi, ..Network::default() };
        };
        Network {
            interface: Some(follower.link.name.clone()),
            kind: Some(follower.link.kind),
            link: follower.is_up(),
            address: follower.lease().map(|lease| (lease.address, lease.prefix)),
            addresses_v6: ipv6::addresses(&follower.link.name),
            announced: None,
            wifi,
            complaints,
        }
    }

    /// Name and time servers of the interface in use.
    fn pass_on_servers(&mut self) {
        let lease = self.preferred().and_then(Follower::lease);
        let names = lease.map(|lease| lease.name_servers.clone()).unwrap_or_default();
        let times = lease.map(|lease| lease.time_servers.clone()).unwrap_or_default();
        let address = lease.map(|lease| lease.address);
        if names != self.name_servers {
            if let Err(error) = self.files.name_servers(&names) {
                eprintln!("The list of name servers could not be written: {error}.");
            }
            self.name_servers = names;
        }
        self.time.on_network(address, times);
    }

    /// Until a packet comes, something is due, or it is time to look at the links again.
    fn wait(&mut self) -> Result<(), NetError> {
        let now = boot_ms();
        let due = self.followers.iter_mut().filter_map(|follower| follower.pause(now)).min();
        let pause = due.map_or(LOOK, |due| due.min(LOOK)).max(Duration::from_millis(1));
        let words = self.station.as_ref().and_then(Station::descriptor);
        let fds = self.followers.iter().flat_map(Follower::descriptors).chain(words);
        let mut fds: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let pause = Timespec::try_from(pause).expect("half a second fits into a timespec");
        match poll(&mut fds, Some(&pause)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(NetError::Wait(error.into())),
        }
    }
}
