//! The name on the cable: `NAME.local` and the box's services by multicast DNS (RFC 6762, 6763).
//! A library probes, announces, answers and says goodbye; here lives what the name is. Two boxes of
//! one name end with two: while probing the library adds a number, and if networks join later the
//! box with the lower address steps aside.

use std::net::{IpAddr, Ipv4Addr};

use mdns_sd::{DaemonEvent, HostnameResolutionEvent, Receiver, ServiceDaemon, ServiceInfo};
use update::provision::is_host_name;

use super::files::Files;
use super::limits::{ANNOUNCE_PAUSE_MS, ANNOUNCED_BYTES_MAX, GOODBYE, RENAMES_MAX};

/// What the box offers, and where.
const SERVICES: [(&str, u16); 3] =
    [("_https._tcp.local.", 443), ("_http._tcp.local.", 80), ("_linnet._tcp.local.", 7443)];

const DOMAIN: &str = ".local.";

const NO_PROPERTIES: &[(&str, &str)] = &[];

/// Keeps the name announced.
pub(super) struct Announcer {
    wished: String,
    name: String,
    confirmed: bool,
    files: Files,
    running: Option<Running>,
    renames: u32,
    start_at_ms: u64,
}

struct Running {
    daemon: ServiceDaemon,
    events: Receiver<DaemonEvent>,
    hosts: Receiver<HostnameResolutionEvent>,
}

impl Announcer {
    /// Nothing is announced before there is an address. A number that was added earlier in this
    /// boot is kept, so that links and certificates stay good.
    pub(super) fn new(wished: &str, files: Files) -> Self {
        let wished = with_room(wished);
        let earlier = files.announced().filter(|name| is_numbered(name, wished));
        Self {
            name: earlier.unwrap_or_else(|| wished.to_owned()),
            wished: wished.to_owned(),
            confirmed: false,
            files,
            running: None,
            renames: 0,
            start_at_ms: 0,
        }
    }

    /// The name that is ours on the cable, once that is certain.
    pub(super) fn announced(&self) -> Option<String> {
        self.confirmed.then(|| self.name.clone())
    }

    /// Handles what the library found out. Nothing is announced before there is an address.
    pub(super) fn turn(&mut self, has_address: bool, now_ms: u64) {
        if self.running.is_none() && has_address && now_ms >= self.start_at_ms {
            self.renames = 0;
            self.start(now_ms);
        }
        let Some(running) = &self.running else { return };
        let events: Vec<_> = running.events.try_iter().collect();
        let hosts: Vec<_> = running.hosts.try_iter().collect();
        events.into_iter().for_each(|event| self.on_event(event, now_ms));
        if self.confirmed && hosts.iter().any(must_yield) {
            self.rename(next_name(&self.name), now_ms);
        }
    }

    /// Says goodbye, so that nobody keeps the name of a box that is off.
    pub(super) fn end(&mut self) {
        if let Some(running) = self.running.take()
            && let Ok(ended) = running.daemon.shutdown()
        {
            let _ = ended.recv_timeout(GOODBYE);
        }
    }

    fn start(&mut self, now_ms: u64) {
        match register(&self.name) {
            Ok(running) => self.running = Some(running),
            Err(error) => {
                self.start_at_ms = now_ms + ANNOUNCE_PAUSE_MS;
                eprintln!("The name {}.local cannot be announced: {error}.", self.name);
            }
        }
    }

    fn on_event(&mut self, event: DaemonEvent, now_ms: u64) {
        match event {
            DaemonEvent::Announce(..) if !self.confirmed => self.confirm(),
            DaemonEvent::NameChange(change) => {
                // Changes of service names do not matter to anybody; hosts are what links name.
                let new = change.new_name.strip_suffix(DOMAIN).filter(|name| is_host_name(name));
                if let Some(new) = new.map(str::to_owned)
                    && new != self.name
                {
                    self.rename(new, now_ms);
                }
            }
            DaemonEvent::Error(error) => eprintln!("Announcing the name failed: {error}."),
            _ => {}
        }
    }

    fn confirm(&mut self) {
        self.confirmed = true;
        eprintln!("The box answers to the name {}.local.", self.name);
        if let Err(error) = self.files.announce(&self.name) {
            eprintln!("The announced name was not noted: {error}.");
        }
    }

    /// Everything is announced anew, so that all services and interfaces have the same name.
    fn rename(&mut self, new: String, now_ms: u64) {
        self.end();
        self.confirmed = false;
        self.renames += 1;
        if self.renames > RENAMES_MAX {
            self.start_at_ms = now_ms + ANNOUNCE_PAUSE_MS;
            self.name.clone_from(&self.wished);
            eprintln!(
                "Some device claims every name that this box tries; until it stops, reach the box \
                 by its address."
            );
            return;
        }
        let old = std::mem::replace(&mut self.name, new);
        eprintln!(
            "Another device is called {old}.local; this box becomes {}.local. To choose a name \
             yourself, set another host name.",
            self.name
        );
        self.start(now_ms);
    }
}

/// Whether somebody else answers to our name and has the higher address.
fn must_yield(event: &HostnameResolutionEvent) -> bool {
    let HostnameResolutionEvent::AddressesFound(_, addresses) = event else { return false };
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let ours: Vec<_> = interfaces.iter().filter_map(|interface| v4(interface.ip())).collect();
    addresses.iter().filter_map(|found| v4(found.to_ip_addr())).any(|at| yields_to(&ours, at))
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) if !address.is_loopback() => Some(address),
        _ => None,
    }
}

/// Both boxes ask this about each other and come to opposite answers.
fn yields_to(ours: &[Ipv4Addr], theirs: Ipv4Addr) -> bool {
    let highest = ours.iter().max();
    !ours.contains(&theirs) && highest.is_some_and(|own| *own < theirs)
}

fn register(name: &str) -> mdns_sd::Result<Running> {
    let daemon = ServiceDaemon::new()?;
    let events = daemon.monitor()?;
    let host = format!("{name}{DOMAIN}");
    for (kind, port) in SERVICES {
        let info = ServiceInfo::new(kind, name, &host, "", port, NO_PROPERTIES)?;
        daemon.register(info.enable_addr_auto())?;
    }
    let hosts = daemon.resolve_hostname(&host, None)?;
    Ok(Running { daemon, events, hosts })
}

/// The host name, or as much of it as leaves room for a number in one label of DNS.
fn with_room(wished: &str) -> &str {
    let most = ANNOUNCED_BYTES_MAX.min(wished.len());
    wished[..most].trim_end_matches('-')
}

/// `linnet` becomes `linnet-2`, `linnet-2` becomes `linnet-3`.
fn next_name(name: &str) -> String {
    let (base, number) = match name.rsplit_once('-') {
        Some((base, digits)) => match digits.parse::<u32>() {
            Ok(number) => (base, number.saturating_add(1)),
            Err(_) => (name, 2),
        },
        None => (name, 2),
    };
    format!("{base}-{number}")
}

/// Whether `name` is `wished` with a number.
fn is_numbered(name: &str, wished: &str) -> bool {
    let number = name.strip_prefix(wished).and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

#[cfg(test)]
mod packets;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_up() {
        assert_eq!(next_name("linnet"), "linnet-2");
        assert_eq!(next_name("linnet-2"), "linnet-3");
        assert_eq!(next_name("class-4b"), "class-4b-2");
        assert!(is_numbered("linnet-2", "linnet"));
        assert_eq!(with_room("linnet"), "linnet");
        assert!(is_host_name(&next_name(with_room(&"a-".repeat(31)))));
        assert!(is_host_name(&format!("{}-99999", with_room(&"a".repeat(63)))));
        assert!(!is_numbered("linnet", "linnet") && !is_numbered("linnet-b", "linnet"));
    }

    #[test]
    fn of_two_boxes_of_one_name_exactly_one_steps_aside() {
        let at = |last| Ipv4Addr::new(10, 0, 0, last);
        assert!(yields_to(&[at(9)], at(10)) && !yields_to(&[at(10)], at(9)));
        assert!(!yields_to(&[at(9), at(10)], at(10)), "our own answer");
        let (two, one) = ([at(5), at(20)], [at(10)]);
        assert!(two.iter().any(|theirs| yields_to(&one, *theirs)) && !yields_to(&two, at(10)));
        assert!(!yields_to(&[], at(1)));
        assert_eq!(v4(Ipv4Addr::LOCALHOST.into()), None);
    }

    #[test]
    fn neighbour_that_claims_every_name_ends_the_attempts_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path().to_owned());
        let mut announcer = Announcer::new("linnet", files);
        announcer.renames = RENAMES_MAX;
        announcer.name = "linnet-17".into();
        announcer.rename("linnet-18".into(), 5);
        assert!(announcer.running.is_none() && announcer.announced().is_none());
        assert_eq!(
            (announcer.name.as_str(), announcer.start_at_ms),
            ("linnet", 5 + ANNOUNCE_PAUSE_MS)
        );
        announcer.turn(true, 6);
        assert!(announcer.running.is_none());
    }

    #[test]
    fn number_of_an_earlier_process_is_kept_and_another_name_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path().to_owned());
        files.announce("linnet-2").unwrap();
        assert_eq!(Announcer::new("linnet", files.clone()).name, "linnet-2");
        assert_eq!(Announcer::new("school", files).name, "school");
    }
}
