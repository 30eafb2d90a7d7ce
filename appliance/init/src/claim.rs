//! How the box may be claimed in this boot: with the token of the provisioning file, unless that
//! was used before, else with a token that is minted now and shown on the console only.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write};
use std::net::Ipv6Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use update::claim::ClaimToken;
use update::control::{ClaimOffer, Network, sentence};
use update::provision::{self, ProvisionError, Provisioning};
use update::slots::SlotArea;
use update::{fingerprint, qr};

use crate::limits::{COMPLAINTS_MAX, SMALL_FILE_BYTES_MAX};
use crate::logs::{self, Logs};
use crate::mounts::DATA_LINNET;
use crate::smallfile::read_text;

/// The screen on HDMI. The console proper is the last one of the kernel's command line.
const SCREEN: &str = "/dev/tty1";
/// Names of the consoles in use, the one that gets programs' output last.
const CONSOLES: &str = "/sys/class/tty/console/active";
/// The box's CA below its data; its words are what people compare with their browser's.
const CERTIFICATE: &str = "tls/ca.crt";

/// What the provisioning file gave.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// The usable part.
    pub(crate) provisioning: Option<Provisioning>,
    /// Sentences for console and setup page.
    pub(crate) complaints: Vec<String>,
}

/// Reads the file's bytes; a box without a usable file comes up all the same.
pub(crate) fn read(file: Option<&[u8]>) -> Read {
    let Some(bytes) = file else {
        let complaint = format!("The card has no {}; the defaults apply.", provision::FILE_NAME);
        return Read { provisioning: None, complaints: vec![complaint] };
    };
    match provision::parse(bytes) {
        Ok(parsed) => Read {
            provisioning: Some(parsed.provisioning),
            complaints: bounded(&parsed.complaints),
        },
        Err(error) => Read { provisioning: None, complaints: vec![error.to_string()] },
    }
}

/// A file of nonsense has thousands of keys; console and setup page get the first of them.
fn bounded(complaints: &[ProvisionError]) -> Vec<String> {
    let shown = complaints.iter().take(COMPLAINTS_MAX);
    let mut lines: Vec<String> = shown.map(|complaint| sentence(&complaint.to_string())).collect();
    let more = complaints.len().saturating_sub(COMPLAINTS_MAX);
    if more > 0 {
        lines.push(format!("{} has {more} more mistakes.", provision::FILE_NAME));
    }
    lines
}

/// The offer, and the token that only the console may show.
#[derive(Debug)]
pub(crate) struct Offer {
    /// For `linnetd`.
    pub(crate) offer: ClaimOffer,
    console_token: Option<ClaimToken>,
    shown: Option<Whereabouts>,
}

/// Where the box is found and how it is told from others.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Whereabouts {
    /// As they stand in a link, best first.
    hosts: Vec<String>,
    fingerprint: Option<String>,
}

impl Offer {
    /// Decides. `random` is used only when a token has to be minted. Without a slot area nothing
    /// tells whether the file's token is spent, so it is not offered.
    pub(crate) fn new(
        provisioning: Option<&Provisioning>,
        area: Option<&SlotArea>,
        random: [u8; 16],
    ) -> Self {
        let (offer, console_token) = match (provisioning, area) {
            (Some(file), Some(area)) if !area.is_spent(&file.id) => {
                (ClaimOffer::Provisioned { id: file.id, hash: file.claim_token_hash }, None)
            }
            _ => {
                let token = ClaimToken::from_random(random);
                (ClaimOffer::Console { hash: token.hash() }, Some(token))
            }
        };
        Self { offer, console_token, shown: None }
    }

    /// Tells whoever stands in front of the box how to become its owner, again whenever its
    /// addresses change. It does not go through the log, which others can read.
    pub(crate) fn show(&mut self, network: &Network, logs: &Logs) {
        let fingerprint = fingerprint_of(&Path::new(DATA_LINNET).join(CERTIFICATE));
        self.announce(Whereabouts { hosts: hosts(network), fingerprint }, logs, put_up);
    }

    /// Puts the poster up, unless it hangs already.
    fn announce(&mut self, now: Whereabouts, logs: &Logs, put_up: impl FnOnce(&[String])) {
        if self.shown.as_ref() == Some(&now) {
            return;
        }
        put_up(&poster(self.console_token.as_ref(), &now));
        if self.console_token.is_some() && self.shown.is_none() {
            logs.say(
                "The box has no owner and its card no unused claim token; \
                 a token for this boot was shown on the console.",
            );
        }
        self.shown = Some(now);
    }
}

/// Addresses and name of the box, best first. Link-local addresses are of no use in a link.
fn hosts(network: &Network) -> Vec<String> {
    let is_usable = |address: &&Ipv6Addr| !address.is_unicast_link_local();
    let v4 = network.address.map(|(address, _)| address.to_string());
    let v6 = network.addresses_v6.iter().find(is_usable).map(|address| format!("[{address}]"));
    let name = network.announced.as_ref().map(|name| format!("{name}.local"));
    v4.into_iter().chain(v6).chain(name).collect()
}

/// The lines, the code for a telephone's camera last.
fn poster(token: Option<&ClaimToken>, at: &Whereabouts) -> Vec<String> {
    let mut lines = vec!["This box has no owner yet.".to_owned()];
    match token {
        Some(token) => lines.push(format!("claim token of this boot: {}", token.text())),
        None => lines.push("Its owner is who opens the claim link of its card.".to_owned()),
    }
    let links = at.hosts.iter().map(|host| match token {
        Some(token) => format!("Whoever opens it first owns the box: {}", token.link(host)),
        None => format!("It answers at https://{host}/"),
    });
    lines.extend(links);
    if at.hosts.is_empty() {
        lines.push("It has no address; plug in a network cable.".to_owned());
    }
    lines.extend(at.fingerprint.as_ref().map(|words| format!("Its fingerprint: {words}")));
    let mut lines: Vec<String> =
        lines.into_iter().map(|line| format!("linnet-init: {line}")).collect();
    let link = token.zip(at.hosts.first()).map(|(token, host)| token.link(host));
    lines.extend(link.and_then(|link| qr::lines(&link)).unwrap_or_default());
    lines
}

/// To the console, and to the screen if that is another one.
fn put_up(lines: &[String]) {
    lines.iter().for_each(|line| logs::console(line));
    let consoles = read_text(CONSOLES).unwrap_or_default();
    if consoles.split_whitespace().last().is_some_and(|last| SCREEN.ends_with(last)) {
        return;
    }
    // A board without a screen is no reason to complain, nor is one that takes nothing.
    let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
    if let Ok(mut screen) = OpenOptions::new().write(true).custom_flags(flags).open(SCREEN) {
        let _ = screen.write_all((lines.join("\r\n") + "\r\n").as_bytes());
    }
}

/// The words, once `linnetd` has made its certificate. The file is `linnetd`'s to replace by
/// anything, so only a short ordinary file is read, and nothing of it is shown but its digest.
fn fingerprint_of(certificate: &Path) -> Option<String> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(certificate).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    file.take(SMALL_FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(fingerprint::words_of_pem(&text)?.join(" "))
}

#[cfg(test)]
mod tests {
    use update::claim::ProvisioningId;

    use super::*;

    fn file() -> Provisioning {
        Provisioning {
            id: ProvisioningId::from_random([1; 16]),
            claim_token_hash: ClaimToken::from_random([2; 16]).hash(),
            host_name: None,
            country: None,
            time_zone: None,
            wifi: None,
            fixed_address: None,
            time_servers: Vec::new(),
            syslog: None,
            factory_reset: None,
        }
    }

    #[test]
    fn fresh_provisioning_is_offered_and_a_spent_one_never_again() {
        let mut area = SlotArea::fresh();
        let offer = Offer::new(Some(&file()), Some(&area), [9; 16]).offer;
        let hash = file().claim_token_hash;
        assert_eq!(offer, ClaimOffer::Provisioned { id: file().id, hash });
        area.spend(file().id).unwrap();
        let console = ClaimOffer::Console { hash: ClaimToken::from_random([9; 16]).hash() };
        assert_eq!(Offer::new(Some(&file()), Some(&area), [9; 16]).offer, console);
        assert_eq!(Offer::new(None, Some(&area), [9; 16]).offer, console);
        assert_eq!(Offer::new(Some(&file()), None, [9; 16]).offer, console);
    }

    fn network(address: [u8; 4]) -> Network {
        Network {
            link: true,
            address: Some((address.into(), 24)),
            addresses_v6: vec!["fe80::1".parse().unwrap(), "fd00::2".parse().unwrap()],
            announced: Some("linnet-2".to_owned()),
            ..Network::default()
        }
    }

    #[test]
    fn poster_is_put_up_anew_for_each_address_and_the_log_never_holds_the_token() {
        let (logs, token) = (Logs::default(), ClaimToken::from_random([9; 16]));
        let mut offer = Offer::new(None, None, [9; 16]);
        let at = |address| Whereabouts { hosts: hosts(&network(address)), fingerprint: None };
        for address in [[10, 0, 0, 1], [10, 0, 0, 2]] {
            let mut seen = Vec::new();
            offer.announce(at(address), &logs, |lines| seen = lines.to_vec());
            let link = token.link(&std::net::Ipv4Addr::from(address).to_string());
            assert!(seen.iter().any(|line| line.ends_with(&link)), "{seen:?}");
            offer.announce(at(address), &logs, |_| panic!("it hangs already"));
        }
        let told = Whereabouts { fingerprint: Some("zoo".into()), ..at([10, 0, 0, 2]) };
        let mut seen = Vec::new();
        offer.announce(told, &logs, |lines| seen = lines.to_vec());
        assert!(seen.contains(&"linnet-init: Its fingerprint: zoo".to_owned()));
        let log = logs.tail(99);
        assert_eq!(log.len(), 1, "said once: {log:?}");
        assert!(!log.concat().contains(&token.text()));
    }

    #[test]
    fn poster_has_links_fingerprint_and_a_code_of_the_best_link() {
        let token = ClaimToken::from_random([9; 16]);
        let fingerprint = Some("abandon zoo".to_owned());
        let at = Whereabouts { hosts: hosts(&network([10, 0, 0, 1])), fingerprint };
        assert_eq!(at.hosts, ["10.0.0.1", "[fd00::2]", "linnet-2.local"]);
        let lines = poster(Some(&token), &at);
        for host in &at.hosts {
            assert!(lines.iter().any(|line| line.ends_with(&token.link(host))), "{lines:?}");
        }
        assert!(lines.contains(&"linnet-init: Its fingerprint: abandon zoo".to_owned()));
        let end = format!("claim token of this boot: {}", token.text());
        assert!(lines[1].ends_with(&end));
        let code = qr::lines(&token.link("10.0.0.1")).unwrap();
        assert!(lines.ends_with(&code), "what is drawn is tested in crate update");
    }

    #[test]
    fn a_cards_own_link_is_not_known_here_and_a_box_without_address_says_so() {
        let at = Whereabouts { hosts: hosts(&network([10, 0, 0, 1])), fingerprint: None };
        let lines = poster(None, &at).join("\n");
        assert!(lines.contains("https://10.0.0.1/\n") && !lines.contains("#claim"), "{lines}");
        let lines = poster(Some(&ClaimToken::from_random([9; 16])), &Whereabouts::default());
        assert!(lines.last().unwrap().contains("plug in a network cable"), "{lines:?}");
    }

    #[test]
    fn only_an_ordinary_certificate_gives_a_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("ca.crt"), folder.path().join("link"));
        assert_eq!(fingerprint_of(&file), None);
        let pem = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";
        std::fs::write(&file, pem).unwrap();
        let words = fingerprint::words_of_pem(pem).unwrap().join(" ");
        assert_eq!(fingerprint_of(&file), Some(words));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(fingerprint_of(&link), None);
        assert_eq!(fingerprint_of(folder.path()), None);
    }

    #[test]
    fn unusable_file_is_said_and_gives_nothing() {
        for bytes in [None, Some(&b"version = 9"[..]), Some(&[0xff][..])] {
            let read = read(bytes);
            assert!(read.provisioning.is_none());
            assert_eq!(read.complaints.len(), 1);
        }
        let text = format!("{}\nx = 1\n", file().render());
        let read = read(Some(text.as_bytes()));
        assert_eq!((read.provisioning, read.complaints.len()), (Some(file()), 1));
    }
}
