//! The `net` child: brings the interface up and keeps an address by DHCP. It is the same binary,
//! started as `linnet-init net HOSTNAME FOLDER`; all that comes from the network is parsed here,
//! without root. It reports to init with frames on stdout and writes resolv.conf into FOLDER.

mod dhcp;
mod filter;
mod keeper;
mod link;
mod netlink;
mod privileges;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use update::control::{FromNet, Network, write_frame};

use crate::clock::boot_ms;
use crate::smallfile;
use dhcp::{Dhcp, News, Wire};
use keeper::{Keeper, Lease, Step};
use link::Link;
use netlink::Netlink;

/// How often link state is looked at, and how long an interface is waited for at a time.
const LOOK: Duration = Duration::from_millis(500);

/// Without a lease for this long the owner is told, in milliseconds.
const SILENCE_MS: u64 = 20_000;

/// Why the child ends; init starts it again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetError {
    #[error("usage: linnet-init net HOSTNAME FOLDER")]
    Usage,
    #[error("root could not be given up: {0}")]
    Privileges(io::Error),
    #[error("the kernel's network settings cannot be reached: {0}")]
    Netlink(io::Error),
    #[error("the interface {0} cannot be used for DHCP: {1}")]
    Interface(String, io::Error),
    #[error("init does not listen any more")]
    Report,
}

/// Runs until something breaks.
pub(crate) fn run(arguments: &[String]) -> Result<(), NetError> {
    let [host_name, folder] = arguments else { return Err(NetError::Usage) };
    privileges::give_up().map_err(NetError::Privileges)?;
    let mut netlink = Netlink::open().map_err(NetError::Netlink)?;
    // Without loopback the server's own health check cannot work.
    netlink.set_up(link::LOOPBACK_INDEX).map_err(NetError::Netlink)?;
    // smoltcp keeps options by reference; one name for the life of the process.
    let host_name: &'static str = Box::leak(host_name.clone().into_boxed_str());
    let mut reported = None;
    loop {
        let Some(link) = link::choose(Path::new("/sys/class/net")) else {
            report(&mut reported, Network::default())?;
            std::thread::sleep(LOOK);
            continue;
        };
        netlink.set_up(link.index).map_err(NetError::Netlink)?;
        let dhcp = Dhcp::open(&link, host_name)
            .map_err(|error| NetError::Interface(link.name.clone(), error))?;
        let files = Files { folder: PathBuf::from(folder) };
        Follower::new(link, netlink, files).follow(dhcp, &mut reported)?;
        netlink = Netlink::open().map_err(NetError::Netlink)?;
    }
}

fn report(reported: &mut Option<Network>, now: Network) -> Result<(), NetError> {
    if reported.as_ref() != Some(&now) {
        // std buffers stdout by lines, and a frame is none.
        let mut stdout = io::stdout().lock();
        write_frame(&mut stdout, &FromNet::Network(now.clone())).map_err(|_| NetError::Report)?;
        stdout.flush().map_err(|_| NetError::Report)?;
        *reported = Some(now);
    }
    Ok(())
}

/// One interface from its appearance to its end.
struct Follower {
    link: Link,
    netlink: Netlink,
    files: Files,
    keeper: Keeper,
    up: bool,
    up_at_ms: u64,
    told: bool,
}

impl Follower {
    fn new(link: Link, netlink: Netlink, files: Files) -> Self {
        let keeper = Keeper::new(files.held(), boot_ms());
        Self { link, netlink, files, keeper, up: false, up_at_ms: 0, told: false }
    }

    fn follow(
        mut self,
        mut dhcp: Dhcp<Wire>,
        reported: &mut Option<Network>,
    ) -> Result<(), NetError> {
        while let Some(up) = self.link.carrier() {
            let now = boot_ms();
            self.on_carrier(up, now, &mut dhcp);
            let news = dhcp.poll(now);
            let steps = match news {
                Some(News::Lease(lease)) => self.keeper.on_lease(lease),
                Some(News::Lost) => self.keeper.on_lost(now),
                None => self.keeper.on_tick(now),
            };
            for step in steps {
                self.apply(&step);
            }
            self.tell_silence(now);
            report(reported, self.state())?;
            let failed = |error| NetError::Interface(self.link.name.clone(), error);
            dhcp.wait(LOOK, boot_ms()).map_err(failed)?;
        }
        eprintln!("The interface {} went away.", self.link.name);
        Ok(())
    }

    fn on_carrier(&mut self, up: bool, now_ms: u64, dhcp: &mut Dhcp<Wire>) {
        if up && !self.up {
            // Perhaps another network: ask anew, and keep the old address until the answer.
            self.keeper.on_link_up(now_ms);
            dhcp.restart();
            self.up_at_ms = now_ms;
            self.told = false;
        } else if !up && self.up {
            eprintln!("The network cable of {} was unplugged.", self.link.name);
        }
        self.up = up;
    }

    fn tell_silence(&mut self, now_ms: u64) {
        let silent = self.up && !self.keeper.is_confirmed();
        if silent && !self.told && now_ms.saturating_sub(self.up_at_ms) >= SILENCE_MS {
            self.told = true;
            let name = &self.link.name;
            eprintln!(
                "No DHCP server answers on {name} yet; check that the router gives addresses."
            );
        }
    }

    fn apply(&mut self, step: &Step) {
        let index = self.link.index;
        let result = match step {
            Step::RemoveAddress(address, prefix) => {
                self.netlink.remove_address(index, *address, *prefix)
            }
            Step::SetAddress(address, prefix) => {
                let (name, ours) = (&self.link.name, format!("{address}/{prefix}"));
                eprintln!("The box has the address {ours} on {name}.");
                self.netlink.set_address(index, *address, *prefix)
            }
            Step::SetRouter(router) => self.netlink.set_default_route(index, *router),
            Step::RemoveRouter(router) => self.netlink.remove_default_route(index, *router),
            Step::Store(lease) => self.files.store(lease.as_ref()),
        };
        if let Err(error) = result {
            eprintln!("A network setting was not made ({step:?}): {error}.");
        }
    }

    fn state(&self) -> Network {
        let held = self.keeper.held();
        Network {
            interface: Some(self.link.name.clone()),
            link: self.up,
            address: held.map(|lease| (lease.address, lease.prefix)),
            ..Network::default()
        }
    }
}

/// The files that outlive this process.
struct Files {
    folder: PathBuf,
}

impl Files {
    /// What an earlier process of this boot had set.
    fn held(&self) -> Option<Lease> {
        let text = smallfile::read_text(self.folder.join("lease"))?;
        let (address, prefix) = text.split_once('/')?;
        let (address, prefix) = (address.parse().ok()?, prefix.parse().ok()?);
        Some(Lease { address, prefix, router: None, name_servers: Vec::new() })
    }

    fn store(&self, lease: Option<&Lease>) -> io::Result<()> {
        let servers = lease.map(|lease| lease.name_servers.as_slice()).unwrap_or_default();
        let lines: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
        smallfile::replace(&self.folder.join("resolv.conf"), lines.as_bytes())?;
        let path = self.folder.join("lease");
        match lease {
            Some(lease) => {
                let text = format!("{}/{}\n", lease.address, lease.prefix);
                smallfile::replace(&path, text.as_bytes())
            }
            None => fs::remove_file(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_outlives_the_process_and_name_servers_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files { folder: folder.path().to_owned() };
        assert_eq!(files.held(), None);
        let lease = Lease {
            address: [10, 0, 2, 15].into(),
            prefix: 24,
            router: None,
            name_servers: vec![[10, 0, 2, 3].into(), [1, 1, 1, 1].into()],
        };
        files.store(Some(&lease)).unwrap();
        assert_eq!(files.held().map(|held| (held.address, held.prefix)), Some((lease.address, 24)));
        let text = fs::read_to_string(folder.path().join("resolv.conf")).unwrap();
        assert_eq!(text, "nameserver 10.0.2.3\nnameserver 1.1.1.1\n");
        files.store(None).unwrap();
        assert_eq!(files.held(), None);
    }
}
