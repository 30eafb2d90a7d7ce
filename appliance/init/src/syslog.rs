//! The log to a server of the owner's choice, as RFC 5424 messages over UDP (RFC 5426). A child of
//! its own, `linnet-init syslog HOST:PORT NAME`: it looks names up, which is not for pid 1. Lines
//! come on stdin; what is too much for the network or for a name server that is silent is left out
//! and counted. The time is left to the receiver: this board may not know it.

use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};

use crate::clock::boot_ms;
use crate::limits::{SYSLOG_LINES_PER_SECOND, SYSLOG_RESOLVE_MS, SYSLOG_RETRY_MS};

/// Facility "system daemons" (3), severity "informational" (6): RFC 5424 section 6.2.1.
const PRIORITY: u8 = 3 * 8 + 6;

/// Sends until stdin closes.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let [server, host_name] = arguments else {
        return Err("usage: linnet-init syslog HOST:PORT NAME".to_owned());
    };
    let mut sender = Sender::new(server.clone(), host_name.clone());
    let lines = BufReader::new(io::stdin().lock()).lines();
    // A line that is no text was not written by init.
    for line in lines.map_while(Result::ok) {
        sender.send(&line, boot_ms());
    }
    Ok(())
}

/// Where the lines go, and how many may.
struct Sender {
    server: String,
    host_name: String,
    way: Option<(UdpSocket, SocketAddr)>,
    look_up_at_ms: u64,
    allowance: Allowance,
}

impl Sender {
    fn new(server: String, host_name: String) -> Self {
        let allowance = Allowance::default();
        Self { server, host_name, way: None, look_up_at_ms: 0, allowance }
    }

    fn send(&mut self, line: &str, now_ms: u64) {
        if now_ms >= self.look_up_at_ms {
            self.look_up(now_ms);
        }
        let Some((socket, address)) = &self.way else { return self.allowance.leave_out() };
        let Some(left_out) = self.allowance.take(now_ms) else { return };
        if left_out > 0 {
            let text = format!("linnet-init: {left_out} lines were left out here.");
            let _ = socket.send_to(&render(&self.host_name, &text), address);
        }
        if socket.send_to(&render(&self.host_name, line), address).is_err() {
            // No network, or another one: look again soon.
            self.look_up_at_ms = now_ms + SYSLOG_RETRY_MS;
            self.way = None;
        }
    }

    fn look_up(&mut self, now_ms: u64) {
        let found = self.server.to_socket_addrs().ok().and_then(|mut found| found.next());
        self.way = found.and_then(open);
        let pause = if self.way.is_some() { SYSLOG_RESOLVE_MS } else { SYSLOG_RETRY_MS };
        self.look_up_at_ms = now_ms + pause;
    }
}

fn open(address: SocketAddr) -> Option<(UdpSocket, SocketAddr)> {
    let any = if address.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    UdpSocket::bind(any).ok().map(|socket| (socket, address))
}

/// One message. A line of the log is `who: text`; without that it is init's.
fn render(host_name: &str, line: &str) -> Vec<u8> {
    let named = line.split_once(": ").filter(|(who, _)| is_name(who));
    let (who, text) = named.unwrap_or(("linnet-init", line));
    format!("<{PRIORITY}>1 - {host_name} {who} - - - {text}").into_bytes()
}

/// APP-NAME: 1 to 48 printable characters without a space (RFC 5424 section 6).
fn is_name(who: &str) -> bool {
    (1..=48).contains(&who.len()) && who.bytes().all(|byte| byte.is_ascii_graphic())
}

/// How many lines may still go in this second, and how many did not.
#[derive(Debug, Default)]
struct Allowance {
    second: u64,
    used: u32,
    left_out: u64,
}

impl Allowance {
    /// The number of lines left out since the last one that went, if this one may go.
    fn take(&mut self, now_ms: u64) -> Option<u64> {
        let second = now_ms / 1_000;
        if second != self.second {
            (self.second, self.used) = (second, 0);
        }
        if self.used >= SYSLOG_LINES_PER_SECOND {
            self.leave_out();
            return None;
        }
        self.used += 1;
        Some(std::mem::take(&mut self.left_out))
    }

    fn leave_out(&mut self) {
        self.left_out = self.left_out.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn message_is_one_of_rfc_5424() {
        let message = |line| String::from_utf8(render("school", line)).unwrap();
        assert_eq!(message("linnetd: all well"), "<30>1 - school linnetd - - - all well");
        assert_eq!(message("two words: x"), "<30>1 - school linnet-init - - - two words: x");
    }

    #[test]
    fn flood_is_cut_each_second_and_what_was_left_out_is_counted() {
        let mut allowance = Allowance::default();
        let went = (0..1_000).filter(|_| allowance.take(5_000).is_some()).count();
        assert_eq!(went, SYSLOG_LINES_PER_SECOND as usize);
        assert_eq!(allowance.take(6_000), Some(1_000 - u64::from(SYSLOG_LINES_PER_SECOND)));
        assert_eq!(allowance.take(6_001), Some(0));
    }

    #[test]
    fn lines_arrive_at_a_server_that_is_named() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let name = format!("localhost:{}", server.local_addr().unwrap().port());
        let mut sender = Sender::new(name, "box".into());
        // "localhost" may be the newer protocol's first; the server listens on the older one.
        sender.look_up(0);
        sender.way = open(server.local_addr().unwrap());
        sender.send("net: hello", 1);
        let mut buffer = [0; 128];
        let length = server.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"<30>1 - box net - - - hello");
    }

    #[test]
    fn server_that_is_not_found_is_looked_for_seldom_and_costs_only_the_lines() {
        let mut sender = Sender::new("without-a-port".into(), "box".into());
        sender.send("a: b", 1);
        assert!(sender.way.is_none());
        assert_eq!((sender.look_up_at_ms, sender.allowance.left_out), (1 + SYSLOG_RETRY_MS, 1));
        sender.send("a: b", 2);
        assert_eq!(sender.look_up_at_ms, 1 + SYSLOG_RETRY_MS);
    }
}
