//! One interface from its appearance to its end: cable, fixed address or DHCP, kernel settings.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use smoltcp::phy::{Device, Medium, RawSocket, RxToken, TxToken};
use smoltcp::time::Instant;
use update::control::{LinkKind, NetSettings};

use super::dhcp::{Dhcp, News, Wire};
use super::files::Files;
use super::fixed::{Act, Failure, Fixed};
use super::keeper::{Keeper, Lease, Step};
use super::limits::{METRIC_ETHERNET, METRIC_WIFI, REFUSED_LEASE_MS, SILENCE_MS};
use super::link::Link;
use super::netlink::Netlink;
use super::{filter, ipv6};

/// One interface.
pub(super) struct Follower {
    pub(super) link: Link,
    files: Files,
    dhcp: Dhcp<Wire>,
    fixed: Option<Fixed>,
    arp: Option<RawSocket>,
    keeper: Keeper,
    up: bool,
    up_at_ms: u64,
    told: bool,
    ask_anew_at_ms: Option<u64>,
}

impl Follower {
    /// Switches the interface on and takes over what an earlier process of this boot had set.
    pub(super) fn open(
        link: Link,
        netlink: &mut Netlink,
        files: Files,
        host_name: &'static str,
        settings: &NetSettings,
        now_ms: u64,
    ) -> io::Result<Self> {
        ipv6::prepare(&link.name).iter().for_each(|complaint| eprintln!("{complaint}"));
        netlink.set_up(link.index)?;
        let dhcp = Dhcp::open(&link, host_name)?;
        // A fixed address is meant for the cable; a radio may be in several networks.
        let wish = settings.fixed_address.clone().filter(|_| link.kind == LinkKind::Ethernet);
        let fixed = wish.map(|wish| Fixed::new(wish, link.hardware));
        let keeper = Keeper::new(files.held(&link.name), now_ms);
        let (up, told, ask_anew_at_ms) = (false, false, None);
        Ok(Self {
            link,
            files,
            dhcp,
            fixed,
            arp: None,
            keeper,
            up,
            up_at_ms: 0,
            told,
            ask_anew_at_ms,
        })
    }

    /// Does what is due; `false` when the interface is gone.
    pub(super) fn turn(&mut self, netlink: &mut Netlink, now_ms: u64) -> bool {
        let Some(up) = self.link.carrier() else {
            eprintln!("The interface {} went away.", self.link.name);
            return false;
        };
        self.on_carrier(up, now_ms);
        let steps = self.steps(now_ms);
        steps.iter().for_each(|step| self.apply(step, netlink));
        self.tell_silence(now_ms);
        true
    }

    /// What to wait on for packets.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let arp = self.arp.as_ref().map(filter::borrow);
        [Some(self.dhcp.descriptor()), arp].into_iter().flatten()
    }

    /// How long until there is something to send by itself.
    pub(super) fn pause(&mut self, now_ms: u64) -> Option<Duration> {
        self.dhcp.pause(now_ms)
    }

    /// Whether a cable or access point is there.
    pub(super) fn is_up(&self) -> bool {
        self.up
    }

    /// The address in use and what came with it.
    pub(super) fn lease(&self) -> Option<&Lease> {
        self.keeper.held()
    }

    /// What the owner should correct.
    pub(super) fn complaint(&self) -> Option<String> {
        let fixed = self.fixed.as_ref()?;
        let address = fixed.wish().address;
        match fixed.failure()? {
            Failure::Taken => Some(format!(
                "The address {address} of linnet.toml is in use by another device; choose another \
                 one. Until then the box asks the router for an address."
            )),
            Failure::Unreachable => Some(format!(
                "The router of linnet.toml does not answer, so {address} seems to be an address of \
                 another network; correct it. Until then the box takes what a router offers."
            )),
        }
    }

    fn on_carrier(&mut self, up: bool, now_ms: u64) {
        if up && !self.up {
            eprintln!("The network is connected at {}.", self.link.name);
            // Perhaps another network: ask anew, and keep the old address until the answer.
            self.keeper.on_link_up(now_ms);
            self.dhcp.restart();
            self.begin_fixed(now_ms);
            self.up_at_ms = now_ms;
            self.told = false;
        } else if !up && self.up {
            eprintln!("The network is disconnected at {}.", self.link.name);
        }
        self.up = up;
    }

    fn begin_fixed(&mut self, now_ms: u64) {
        let Some(fixed) = &mut self.fixed else { return };
        let socket = RawSocket::new(&self.link.name, Medium::Ethernet);
        let socket = socket.and_then(|socket| filter::attach_arp(&socket).map(|()| socket));
        match socket {
            Ok(socket) => {
                self.arp = Some(socket);
                fixed.restart(now_ms);
            }
            Err(error) => {
                eprintln!("The fixed address cannot be checked ({error}); DHCP is asked instead.");
                self.fixed = None;
            }
        }
    }

    fn steps(&mut self, now_ms: u64) -> Vec<Step> {
        let act = self.look_at_fixed(now_ms);
        match act {
            Some(Act::Send(frame)) => self.send(&frame),
            Some(Act::Use(lease)) => return self.keeper.on_lease(lease),
            Some(Act::Fail(_)) => {
                self.complaint().iter().for_each(|complaint| eprintln!("{complaint}"));
                self.dhcp.restart();
            }
            None => {}
        }
        match self.fixed.as_ref().map(Fixed::failure) {
            // The fixed address holds, or is still looked at.
            Some(None) => Vec::new(),
            Some(Some(Failure::Unreachable)) => self.ask_dhcp(now_ms, true),
            Some(Some(Failure::Taken)) | None => self.ask_dhcp(now_ms, false),
        }
    }

    /// `keep`: an address that DHCP did not give stays while DHCP gives none.
    fn ask_dhcp(&mut self, now_ms: u64, keep: bool) -> Vec<Step> {
        if self.ask_anew_at_ms.is_some_and(|at| now_ms >= at) {
            self.ask_anew_at_ms = None;
            self.dhcp.restart();
        }
        match self.dhcp.poll(now_ms) {
            Some(News::Lease(lease)) => self.keeper.on_lease(lease),
            Some(News::Refused) => {
                eprintln!(
                    "A DHCP server offers an unusable address; correct the router's settings."
                );
                self.ask_anew_at_ms = Some(now_ms + REFUSED_LEASE_MS);
                self.keeper.on_lost(now_ms)
            }
            Some(News::Lost) if keep => Vec::new(),
            Some(News::Lost) => self.keeper.on_lost(now_ms),
            None => self.keeper.on_tick(now_ms),
        }
    }

    fn look_at_fixed(&mut self, now_ms: u64) -> Option<Act> {
        let fixed = self.fixed.as_mut()?;
        if !fixed.listens() {
            self.arp = None;
            return None;
        }
        while let Some((received, _)) = self.arp.as_mut()?.receive(Instant::ZERO) {
            if let Some(act) = received.consume(|frame| fixed.on_frame(frame)) {
                return Some(act);
            }
        }
        fixed.on_tick(now_ms)
    }

    fn send(&mut self, frame: &[u8]) {
        let token = self.arp.as_mut().and_then(|arp| arp.transmit(Instant::ZERO));
        if let Some(token) = token {
            token.consume(frame.len(), |buffer| buffer.copy_from_slice(frame));
        }
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

    fn apply(&self, step: &Step, netlink: &mut Netlink) {
        let (index, metric) = (self.link.index, metric(self.link.kind));
        let result = match step {
            Step::RemoveAddress(address, prefix) => {
                eprintln!("The box gave up the address {address} on {}.", self.link.name);
                netlink.remove_address(index, *address, *prefix)
            }
            Step::SetAddress(address, prefix) => {
                let (name, ours) = (&self.link.name, format!("{address}/{prefix}"));
                eprintln!("The box has the address {ours} on {name}.");
                netlink.set_address(index, *address, *prefix)
            }
            Step::SetRouter(router) => netlink.set_default_route(index, *router, metric),
            Step::RemoveRouter(router) => netlink.remove_default_route(index, *router, metric),
            Step::Store(lease) => self.files.hold(&self.link.name, lease.as_ref()),
        };
        if let Err(error) = result {
            eprintln!("A network setting was not made ({step:?}): {error}.");
        }
    }
}

fn metric(kind: LinkKind) -> u32 {
    match kind {
        LinkKind::Ethernet => METRIC_ETHERNET,
        LinkKind::Wifi => METRIC_WIFI,
    }
}
