//! Other boxes and other people's packets.

use std::net::{Ipv4Addr, UdpSocket};

use anyhow::{Context, Result, ensure};

use super::{Needs, Scenario};
use crate::lab::{ANSWER_MAX, Lab, Start};
use crate::lan::dhcp::{DhcpServer, Offer};
use crate::lan::mdns::{GROUP, Neighbour, PORT};
use crate::lan::sntp::{Says, TimeServer};
use crate::lan::{HOST, Lan};
use crate::owner::{page, wait_for_stranger};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "two_boxes_of_one_name",
        about: "the second takes another name, and each name leads to its box",
        needs: Needs::Image,
        run: two,
    },
    Scenario {
        name: "hostile_packets",
        about: "DHCP, multicast DNS and time packets of an attacker change nothing",
        needs: Needs::PreparedCard,
        run: hostile,
    },
];

/// Of each kind.
const PACKETS: u64 = 4000;
const PACKET_BYTES_MAX: u64 = 700;
const DHCP_CLIENT: u16 = 68;
const TIME: u16 = 123;

fn two(lab: &Lab) -> Result<()> {
    let lan = Lan::build()?;
    let _server = DhcpServer::start(&lab.folder, &Offer::default())?;
    let (first, _) = lab.new_card("first.img")?;
    let (second, _) = lab.new_card("second.img")?;
    let (one, at_one) = Start::on(&lan, 1, &first)?.boot()?;
    let neighbour = Neighbour::join()?;
    neighbour.wait_until_resolved("linnet.local", at_one, ANSWER_MAX)?;
    let (two, at_two) = Start::on(&lan, 2, &second)?.boot()?;
    ensure!(at_one != at_two, "both have {at_one}");
    neighbour.wait_until_resolved("linnet-2.local", at_two, ANSWER_MAX)?;
    neighbour.wait_until_resolved("linnet.local", at_one, ANSWER_MAX)?;
    for address in [at_one, at_two] {
        wait_for_stranger(address, ANSWER_MAX)?;
        page(address)?;
    }
    one.power_off()?;
    two.power_off()
}

fn hostile(lab: &Lab) -> Result<()> {
    let lan = Lan::build()?;
    let times = TimeServer::start(HOST, Says::Truth)?;
    let offer = Offer { time_server: Some(HOST), ..Offer::default() };
    let _server = DhcpServer::start(&lab.folder, &offer)?;
    let (card, owner) = lab.owned_card("card.img")?;
    let (station, address) = Start::on(&lan, 1, &card)?.boot()?;
    owner.say(address, "before")?;
    let socket = UdpSocket::bind((HOST, 0))?;
    socket.set_broadcast(true)?;
    let mut random = Random(1);
    for number in 0..PACKETS {
        let models = [dhcp_model(), mdns_model(), sntp_model()];
        let targets = [(address, DHCP_CLIENT), (GROUP, PORT), (address, TIME)];
        for (model, target) in models.iter().zip(targets) {
            socket.send_to(&random.spoil(model), target).ok();
            socket.send_to(&random.noise(), target).ok();
        }
        // The box works at its own speed; what its socket can't hold tests nothing.
        if number % 200 == 0 {
            owner.wait_for_answer(address, ANSWER_MAX)?;
        }
    }
    owner.say(address, "after")?;
    let texts = owner.texts(address)?;
    ensure!(texts.ends_with(&["before".to_owned(), "after".to_owned()]), "{texts:?}");
    let starts = owner.get(address, "/api/box")?["starts"].as_u64().context("no count")?;
    ensure!(starts == 1, "the server was started {starts} times");
    Neighbour::join()?.wait_until_resolved("linnet.local", address, ANSWER_MAX)?;
    ensure!(station.address == Some(address), "the address changed");
    println!("the time server was asked {} times", times.asked());
    station.power_off()
}

/// An answer that gives an address to somebody (RFC 2131): the magic, then a type and an end.
fn dhcp_model() -> Vec<u8> {
    let mut packet = vec![0; 236];
    packet[..4].copy_from_slice(&[2, 1, 6, 0]);
    packet[16..20].copy_from_slice(&Ipv4Addr::new(10, 77, 0, 66).octets());
    packet.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 5, 54, 4, 10, 77, 0, 1]);
    packet.extend([51, 4, 0, 0, 0, 60, 1, 4, 255, 255, 255, 0, 42, 4, 10, 77, 0, 1, 255]);
    packet
}

/// An answer that takes the box's name for another address, with a name that points at itself.
fn mdns_model() -> Vec<u8> {
    let mut packet = vec![0, 0, 0x84, 0, 0, 0, 0, 2, 0, 0, 0, 0];
    packet.extend(b"\x07_linnet\x04_tcp\x05local\0\0\x0c\x80\x01\0\0\0\x78\0\x02\xc0\x0c");
    packet.extend(b"\xc0\x2d\0\x10\x80\x01\0\0\0\x78\xff\xff\xc0\x2d");
    packet
}

fn sntp_model() -> Vec<u8> {
    let mut packet = vec![0xff; 48];
    packet[..4].copy_from_slice(&[0x24, 1, 6, 0xec]);
    packet
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// The packet with some bytes changed, or cut short.
    fn spoil(&mut self, model: &[u8]) -> Vec<u8> {
        let mut packet = model.to_vec();
        for _ in 0..self.below(8) {
            let at = self.below(packet.len());
            packet[at] = self.next() as u8;
        }
        if self.below(4) == 0 {
            packet.truncate(self.below(model.len()) + 1);
        }
        packet
    }

    fn noise(&mut self) -> Vec<u8> {
        let bytes = self.next() % PACKET_BYTES_MAX;
        (0..bytes).map(|_| self.next() as u8).collect()
    }
}
