//! The name on the cable: `NAME.local` and the box's services by multicast DNS (RFC 6762, 6763).
//! A library probes, announces, answers and says goodbye; here lives what the name is. Two boxes of
//! one name end with two: while probing the library adds a number, and if networks join later the
//! box with the lower address steps aside.

use std::net::{IpAddr, Ipv4Addr};

use mdns_sd::{DaemonEvent, HostnameResolutionEvent, Receiver, ServiceDaemon, ServiceInfo};
use update::provision::is_host_name;

use super::files::Files;
use super::limits::GOODBYE;

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
    failed: bool,
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
        let earlier = files.announced().filter(|name| is_numbered(name, wished));
        Self {
            wished: wished.to_owned(),
            name: earlier.unwrap_or_else(|| wished.to_owned()),
            confirmed: false,
            files,
            running: None,
            failed: false,
        }
    }

    /// The name that is ours on the cable, once that is certain.
    pub(super) fn announced(&self) -> Option<String> {
        self.confirmed.then(|| self.name.clone())
    }

    /// Handles what the library found out. `ours` are the box's own addresses.
    pub(super) fn turn(&mut self, ours: &[Ipv4Addr]) {
        if self.running.is_none() && !self.failed && !ours.is_empty() {
            self.start();
        }
        let Some(running) = &self.running else { return };
        let events: Vec<_> = running.events.try_iter().collect();
        let hosts: Vec<_> = running.hosts.try_iter().collect();
        events.into_iter().for_each(|event| self.on_event(event));
        if hosts.into_iter().any(|event| self.must_yield(ours, &event)) {
            self.rename(next_name(&self.name));
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

    fn start(&mut self) {
        match register(&self.name) {
            Ok(running) => self.running = Some(running),
            Err(error) => {
                self.failed = true;
                eprintln!("The name {}.local cannot be announced: {error}.", self.name);
            }
        }
    }

    fn on_event(&mut self, event: DaemonEvent) {
        match event {
            DaemonEvent::Announce(..) if !self.confirmed => self.confirm(),
            DaemonEvent::NameChange(change) => {
                // Changes of service names do not matter to anybody; hosts are what links name.
                let new = change.new_name.strip_suffix(DOMAIN).filter(|name| is_host_name(name));
                if let Some(new) = new.map(str::to_owned)
                    && new != self.name
                {
                    self.rename(new);
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
    fn rename(&mut self, new: String) {
        eprintln!(
            "Another device is called {}.local; this box becomes {new}.local. To choose a name \
             yourself, set another host name.",
            self.name
        );
        self.end();
        self.name = if is_host_name(&new) { new } else { self.wished.clone() };
        self.confirmed = false;
        self.start();
    }

    /// Whether somebody else answers to our name and has the higher address.
    fn must_yield(&self, ours: &[Ipv4Addr], event: &HostnameResolutionEvent) -> bool {
        let HostnameResolutionEvent::AddressesFound(_, addresses) = event else { return false };
        self.confirmed
            && addresses.iter().any(|found| match found.to_ip_addr() {
                IpAddr::V4(theirs) => yields_to(ours, theirs),
                IpAddr::V6(_) => false,
            })
    }
}

/// Both boxes ask this about each other and come to opposite answers.
fn yields_to(ours: &[Ipv4Addr], theirs: Ipv4Addr) -> bool {
    let highest = ours.iter().max();
    !theirs.is_loopback() && !ours.contains(&theirs) && highest.is_some_and(|own| *own < theirs)
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
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_up() {
        assert_eq!(next_name("linnet"), "linnet-2");
        assert_eq!(next_name("linnet-2"), "linnet-3");
        assert_eq!(next_name("class-4b"), "class-4b-2");
        assert!(is_numbered("linnet-2", "linnet"));
        assert!(!is_numbered("linnet", "linnet") && !is_numbered("linnet-b", "linnet"));
    }

    #[test]
    fn of_two_boxes_of_one_name_exactly_one_steps_aside() {
        let at = |last| Ipv4Addr::new(10, 0, 0, last);
        assert!(yields_to(&[at(9)], at(10)) && !yields_to(&[at(10)], at(9)));
        assert!(!yields_to(&[at(9), at(10)], at(10)), "our own answer");
        let (two, one) = ([at(5), at(20)], [at(10)]);
        assert!(two.iter().any(|theirs| yields_to(&one, *theirs)) && !yields_to(&two, at(10)));
        assert!(!yields_to(&[], at(1)) && !yields_to(&[at(1)], Ipv4Addr::LOCALHOST));
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
