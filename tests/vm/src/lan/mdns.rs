//! A neighbour who asks for names by multicast (RFC 6762), and shares no code with the box.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, Question, TYPE};

use super::HOST;

pub(crate) const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
pub(crate) const PORT: u16 = 5353;
/// Names are asked for again this often, as the first question may get lost.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Longest packet of RFC 6762, section 17.
const PACKET_BYTES_MAX: usize = 9000;

/// The one socket of this namespace on the port of multicast DNS.
#[derive(Debug)]
pub struct Neighbour(UdpSocket);

impl Neighbour {
    pub fn join() -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).context("port 5353")?;
        socket.join_multicast_v4(&GROUP, &HOST)?;
        socket.set_multicast_loop_v4(false)?;
        Ok(Self(socket))
    }

    /// The addresses that answer for `name`, such as `linnet.local`, from different senders too;
    /// waits until there is one or `at_most` is over.
    pub fn resolve(&self, name: &str, at_most: Duration) -> Result<Vec<Ipv4Addr>> {
        let deadline = Instant::now() + at_most;
        let mut found = Vec::new();
        while found.is_empty() && Instant::now() < deadline {
            self.0.send_to(&question(name)?, (GROUP, PORT))?;
            found = self.listen(name, Instant::now() + ASK_AGAIN)?;
        }
        Ok(found)
    }

    /// Waits until `name` leads to `address` and nowhere else.
    pub fn wait_until_resolved(
        &self,
        name: &str,
        address: Ipv4Addr,
        at_most: Duration,
    ) -> Result<()> {
        let deadline = Instant::now() + at_most;
        loop {
            let found = self.resolve(name, at_most)?;
            if found == [address] {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{name} leads to {found:?}, not to {address}");
        }
    }

    /// Everything that is said about `name` until `until`.
    fn listen(&self, name: &str, until: Instant) -> Result<Vec<Ipv4Addr>> {
        let mut found = Vec::new();
        let mut packet = [0; PACKET_BYTES_MAX];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(found);
            }
            self.0.set_read_timeout(Some(left))?;
            let Ok((bytes, from)) = self.0.recv_from(&mut packet) else { continue };
            let answers = if is_ours(from) { Vec::new() } else { answers(&packet[..bytes], name) };
            found.extend(answers);
            found.sort();
            found.dedup();
        }
    }
}

/// The group hears its own members.
fn is_ours(from: SocketAddr) -> bool {
    from.ip() == HOST
}

fn question(name: &str) -> Result<Vec<u8>> {
    let mut packet = Packet::new_query(0);
    let name = Name::new(name)?;
    packet.questions.push(Question::new(name, TYPE::A.into(), CLASS::IN.into(), false));
    Ok(packet.build_bytes_vec()?)
}

/// The addresses of `name` in a packet that comes from anywhere.
fn answers(packet: &[u8], name: &str) -> Vec<Ipv4Addr> {
    let Ok(packet) = Packet::parse(packet) else { return Vec::new() };
    let records = packet.answers.iter().chain(&packet.additional_records);
    records
        .filter(|record| record.name.to_string().eq_ignore_ascii_case(name))
        .filter_map(|record| match &record.rdata {
            RData::A(a) => Some(Ipv4Addr::from(a.address)),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::A;

    use super::*;

    #[test]
    fn addresses_of_the_name_are_taken_and_of_others_not() {
        let mut packet = Packet::new_reply(0);
        for (name, last) in [("linnet.local", 5), ("other.local", 6)] {
            let data = RData::A(A { address: Ipv4Addr::new(10, 0, 0, last).into() });
            let name = Name::new(name).unwrap();
            packet.answers.push(ResourceRecord::new(name, CLASS::IN, 120, data));
        }
        let bytes = packet.build_bytes_vec().unwrap();
        assert_eq!(answers(&bytes, "Linnet.local"), [Ipv4Addr::new(10, 0, 0, 5)]);
        assert!(answers(&bytes[..20], "linnet.local").is_empty());
        assert!(answers(&question("linnet.local").unwrap(), "linnet.local").is_empty());
    }
}
