//! Ports of the box on the host's loopback.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use anyhow::{Result, bail};

/// One port of the box as seen from the host, TCP and UDP alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    pub host: u16,
    pub guest: u16,
}

/// How many ports above the wished one are tried.
const TRIED_MAX: u16 = 100;

/// The wished host port, or the next free one above it.
pub fn forward(guest: u16, wished: u16) -> Result<Forward> {
    for host in wished..=wished.saturating_add(TRIED_MAX) {
        let address = (Ipv4Addr::LOCALHOST, host);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return Ok(Forward { host, guest });
        }
    }
    bail!("no free port on loopback from {wished} on; stop what uses them");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_stepped_over() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let found = forward(443, port).unwrap();
        assert_ne!(found.host, port);
        assert_eq!(found.guest, 443);
    }
}
