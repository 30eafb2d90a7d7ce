//! The DHCP server of the network: dnsmasq, started and stopped by the test, with its words read so
//! that a test can wait for a request or an answer.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{BRIDGE, HOST};
use crate::console::{Console, Waited};

/// It listens within this time or not at all.
const START_MAX: Duration = Duration::from_secs(30);
const SERVER_PORT: u16 = 67;
/// The option numbers of RFC 2132 that are used here.
const ROUTER: u8 = 3;
const TIME_SERVERS: u8 = 42;
const RENEWAL_TIME: u8 = 58;
const REBINDING_TIME: u8 = 59;

/// What the server tells its clients.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Where the addresses come from: the /24 around the host's address in it.
    pub host: Ipv4Addr,
    /// How long a lease is good; dnsmasq gives none below two minutes.
    pub lease: Duration,
    /// When to ask for it again, instead of the usual half of it, and when to ask anybody.
    pub renew: Option<(Duration, Duration)>,
    /// The option for time servers.
    pub time_server: Option<Ipv4Addr>,
}

impl Default for Offer {
    fn default() -> Self {
        let lease = Duration::from_secs(3600);
        Self { host: HOST, lease, renew: None, time_server: None }
    }
}

/// A running server; it ends with its value.
#[derive(Debug)]
pub struct DhcpServer {
    process: Child,
    console: Console,
}

impl DhcpServer {
    /// Starts one. Its memory of leases is in `folder`: a server that is started again there knows
    /// what it gave before.
    pub fn start(folder: &Path, offer: &Offer) -> Result<Self> {
        let mut process = Command::new("/usr/sbin/dnsmasq")
            .args(arguments(folder, offer))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("dnsmasq is missing; install the package dnsmasq-base")?;
        let stderr = process.stderr.take().expect("stderr was asked for as a pipe");
        let mut server = Self { process, console: Console::read(stderr) };
        server.wait_for("DHCP, IP range", START_MAX)?;
        Ok(server)
    }

    /// Waits for a line of its log that contains `words`, such as `DHCPACK`.
    pub fn wait_for(&mut self, words: &str, at_most: Duration) -> Result<String> {
        let deadline = Instant::now() + at_most;
        loop {
            match self.console.next(deadline) {
                Waited::Line(line) if line.text.contains(words) => return Ok(line.text),
                Waited::Line(line) => println!("  dhcp: {}", line.text),
                Waited::Closed => bail!("the DHCP server ended before \"{words}\""),
                Waited::TimedOut => bail!("the DHCP server did not say \"{words}\" in time"),
            }
        }
    }

    /// Ends it; nobody answers any more.
    pub fn stop(self) {}
}

impl Drop for DhcpServer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Waits until a box asks a server that is not there: the host listens and keeps silent.
pub fn wait_for_unanswered_request(at_most: Duration) -> Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, SERVER_PORT))?;
    socket.set_read_timeout(Some(at_most))?;
    let mut packet = [0; 2048];
    socket.recv_from(&mut packet).map(drop).context("no box asked for its lease in time")
}

fn arguments(folder: &Path, offer: &Offer) -> Vec<String> {
    let [a, b, c, _] = offer.host.octets();
    let lease = offer.lease.as_secs();
    let mut arguments = vec![
        "--keep-in-foreground".to_owned(),
        "--conf-file=/dev/null".to_owned(),
        // No name server, and no other user: inside a user namespace there is none.
        "--port=0".to_owned(),
        "--user=root".to_owned(),
        "--pid-file=".to_owned(),
        "--log-facility=-".to_owned(),
        "--log-dhcp".to_owned(),
        // Nobody else uses an address here; asking first takes three seconds.
        "--no-ping".to_owned(),
        "--dhcp-authoritative".to_owned(),
        format!("--interface={BRIDGE}"),
        format!("--dhcp-leasefile={}", folder.join("leases").display()),
        format!("--dhcp-range={a}.{b}.{c}.50,{a}.{b}.{c}.99,255.255.255.0,{lease}"),
    ];
    let mut option = |number: u8, value: String| {
        arguments.push(format!("--dhcp-option-force={number},{value}"));
    };
    option(ROUTER, offer.host.to_string());
    if let Some(server) = offer.time_server {
        option(TIME_SERVERS, server.to_string());
    }
    if let Some((renew, rebind)) = offer.renew {
        option(RENEWAL_TIME, renew.as_secs().to_string());
        option(REBINDING_TIME, rebind.as_secs().to_string());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offer_becomes_the_servers_words() {
        let seconds = Duration::from_secs;
        let offer = Offer {
            renew: Some((seconds(10), seconds(100))),
            time_server: Some(HOST),
            lease: seconds(120),
            ..Offer::default()
        };
        let line = arguments(Path::new("/f"), &offer).join(" ");
        for words in [
            "--dhcp-range=10.77.0.50,10.77.0.99,255.255.255.0,120",
            "--dhcp-option-force=42,10.77.0.1",
            "--dhcp-option-force=58,10 --dhcp-option-force=59,100",
            "--dhcp-leasefile=/f/leases",
        ] {
            assert!(line.contains(words), "{words} in {line}");
        }
    }
}
