//! A time server of the network (RFC 5905, what a client of RFC 4330 asks for): true, lying or
//! silent, as the test wants it at the moment.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

const PORT: u16 = 123;
/// Seconds from 1900, where NTP begins, to 1970.
const NTP_TO_UNIX_S: i64 = 2_208_988_800;
const PACKET_BYTES: usize = 48;
/// Mode of a client, in the lowest three bits of the first byte.
const MODE_CLIENT: u8 = 3;
const MODE_SERVER: u8 = 4;
/// A server next to a reference clock.
const STRATUM: u8 = 1;

/// What a time server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// The host's time.
    Truth,
    /// The host's time and so many seconds more (or less).
    Lie(i64),
    /// Nothing.
    Nothing,
}

/// A server on the host's address; it ends with the process.
#[derive(Debug, Clone)]
pub struct TimeServer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    silent: AtomicBool,
    lie_s: AtomicI64,
    asked: AtomicU64,
}

impl TimeServer {
    pub fn start(address: Ipv4Addr, says: Says) -> Result<Self> {
        let socket = UdpSocket::bind((address, PORT)).context("the time server's port")?;
        let shared = Shared {
            silent: AtomicBool::new(false),
            lie_s: AtomicI64::new(0),
            asked: AtomicU64::new(0),
        };
        let server = Self(Arc::new(shared));
        server.say(says);
        let own = server.clone();
        std::thread::spawn(move || own.serve(&socket));
        Ok(server)
    }

    /// What it says from now on.
    pub fn say(&self, says: Says) {
        let lie_s = if let Says::Lie(lie_s) = says { lie_s } else { 0 };
        self.0.lie_s.store(lie_s, Ordering::SeqCst);
        self.0.silent.store(says == Says::Nothing, Ordering::SeqCst);
    }

    /// How often it was asked, answered or not.
    pub fn asked(&self) -> u64 {
        self.0.asked.load(Ordering::SeqCst)
    }

    fn serve(&self, socket: &UdpSocket) {
        let mut packet = [0; 512];
        while let Ok((bytes, from)) = socket.recv_from(&mut packet) {
            if bytes < PACKET_BYTES || packet[0] & 7 != MODE_CLIENT {
                continue;
            }
            self.0.asked.fetch_add(1, Ordering::SeqCst);
            if self.0.silent.load(Ordering::SeqCst) {
                continue;
            }
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = since_1970.expect("the host's clock is past 1970");
            let sent = packet[40..].first_chunk().expect("the packet has 48 bytes");
            let answer = answer(packet[0], sent, now, self.0.lie_s.load(Ordering::SeqCst));
            socket.send_to(&answer, from).ok();
        }
    }
}

/// The answer to a request whose transmit time stamp was `sent`.
fn answer(first: u8, sent: &[u8; 8], now: Duration, lie_s: i64) -> [u8; PACKET_BYTES] {
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX) + NTP_TO_UNIX_S + lie_s;
    let fraction = (u64::from(now.subsec_nanos()) << 32) / 1_000_000_000;
    // The seconds of an era, in which 2036 follows 1900 again.
    let stamp = ((seconds as u64 & 0xffff_ffff) << 32) | fraction;
    let version = first & 0b0011_1000;
    let mut packet = [0; PACKET_BYTES];
    packet[0] = version | MODE_SERVER;
    packet[1] = STRATUM;
    packet[3] = 0xec; // a precision of 2^-20 s
    packet[12..16].copy_from_slice(b"GPS\0");
    for at in [16, 32, 40] {
        packet[at..at + 8].copy_from_slice(&stamp.to_be_bytes());
    }
    packet[24..32].copy_from_slice(sent);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_carries_the_clients_stamp_and_the_time_or_a_lie() {
        let now = Duration::from_millis(1_800_000_000_500);
        let sent = [1, 2, 3, 4, 5, 6, 7, 8];
        let truth = answer(0x23, &sent, now, 0);
        assert_eq!((truth[0], truth[1], &truth[24..32]), (0x24, 1, &sent[..]));
        let stamp = |packet: &[u8]| u64::from_be_bytes(*packet[40..].first_chunk().unwrap());
        assert_eq!(stamp(&truth) >> 32, 1_800_000_000 + NTP_TO_UNIX_S as u64);
        assert_eq!(stamp(&truth) & 0xffff_ffff, 1 << 31);
        let lie = answer(0x23, &sent, now, -86_400);
        assert_eq!((stamp(&truth) - stamp(&lie)) >> 32, 86_400);
    }
}
