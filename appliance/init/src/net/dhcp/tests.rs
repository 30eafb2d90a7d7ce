//! The client against a scripted server on an imaginary cable, over hours of imaginary time.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use proptest::prelude::*;
use smoltcp::phy::{ChecksumCapabilities, RxToken, TxToken};
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, DhcpMessageType, DhcpPacket, DhcpRepr, EthernetFrame,
    EthernetProtocol, EthernetRepr, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

use super::*;

const BOX: [u8; 6] = [2, 0, 0, 0, 0, 1];
const SERVER: [u8; 6] = [2, 0, 0, 0, 0, 2];
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const LEASE_S: u32 = 3_600;

#[derive(Default)]
struct Cable {
    to_box: VecDeque<Vec<u8>>,
    from_box: VecDeque<Vec<u8>>,
}

struct Received(Vec<u8>);
struct Sending<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut frame = vec![0; length];
        let result = write(&mut frame);
        self.0.push_back(frame);
        result
    }
}

impl Device for Cable {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sending<'_>)> {
        let frame = self.to_box.pop_front()?;
        Some((Received(frame), Sending(&mut self.from_box)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        Some(Sending(&mut self.from_box))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

/// What the server does with requests.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Gives([u8; 4]),
    Refuses,
    Sleeps,
}

struct World {
    dhcp: Dhcp<Cable>,
    mood: Mood,
    now_ms: u64,
    names: Vec<Vec<u8>>,
    unicasts: u32,
}

impl World {
    fn new(mood: Mood) -> Self {
        let dhcp = Dhcp::new(Cable::default(), BOX, 7, "linnet");
        Self { dhcp, mood, now_ms: 0, names: Vec::new(), unicasts: 0 }
    }

    /// Lets time pass until there is news.
    fn until_news(&mut self, at_most_ms: u64) -> Option<News> {
        let end = self.now_ms + at_most_ms;
        while self.now_ms < end {
            let news = self.dhcp.poll(self.now_ms);
            while let Some(frame) = self.dhcp.wire.from_box.pop_front() {
                self.serve(&frame);
            }
            if news.is_some() {
                return news;
            }
            self.now_ms += 100;
        }
        None
    }

    fn serve(&mut self, frame: &[u8]) {
        let frame = EthernetFrame::new_checked(frame).unwrap();
        if frame.ethertype() == EthernetProtocol::Arp {
            return self.answer_arp(frame.payload());
        }
        let ip = Ipv4Packet::new_checked(frame.payload()).unwrap();
        self.unicasts += u32::from(ip.dst_addr() == ROUTER);
        let udp = UdpPacket::new_checked(ip.payload()).unwrap();
        let packet = DhcpPacket::new_checked(udp.payload()).unwrap();
        let request = DhcpRepr::parse(&packet).unwrap();
        let name = packet.options().find(|option| option.kind == OPTION_HOST_NAME);
        self.names.push(name.unwrap().data.to_vec());
        assert_eq!(request.client_identifier, Some(EthernetAddress(BOX)));
        assert_eq!(request.parameter_request_list, Some(&REQUESTED[..]));
        let kind = match (self.mood, request.message_type) {
            (Mood::Sleeps, _) => return,
            (Mood::Gives(_), DhcpMessageType::Discover) => DhcpMessageType::Offer,
            (Mood::Gives(_), _) => DhcpMessageType::Ack,
            (Mood::Refuses, DhcpMessageType::Discover) => return,
            (Mood::Refuses, _) => DhcpMessageType::Nak,
        };
        let address = if let Mood::Gives(address) = self.mood { address } else { [0; 4] };
        self.answer(&request, kind, address.into());
    }

    fn answer(&mut self, request: &DhcpRepr<'_>, kind: DhcpMessageType, your_ip: Ipv4Addr) {
        // The list type of smoltcp has no name of its own here; the request carries an empty one.
        let mut servers = request.dns_servers.clone().unwrap_or_default();
        servers.push(ROUTER).unwrap();
        let repr = DhcpRepr {
            message_type: kind,
            transaction_id: request.transaction_id,
            secs: 0,
            client_hardware_address: EthernetAddress(BOX),
            client_ip: Ipv4Addr::UNSPECIFIED,
            your_ip,
            server_ip: ROUTER,
            router: Some(ROUTER),
            subnet_mask: Some([255, 255, 255, 0].into()),
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            broadcast: false,
            requested_ip: None,
            client_identifier: None,
            server_identifier: Some(ROUTER),
            parameter_request_list: None,
            dns_servers: Some(servers),
            max_size: None,
            lease_duration: Some(LEASE_S),
            renew_duration: None,
            rebind_duration: None,
            additional_options: &[DhcpOption {
                kind: OPTION_TIME_SERVERS,
                data: &[10, 0, 0, 1, 127, 0, 0, 1, 10],
            }],
        };
        let frame = in_frame(&repr);
        self.dhcp.wire.to_box.push_back(frame);
    }

    fn answer_arp(&mut self, packet: &[u8]) {
        let packet = ArpPacket::new_checked(packet).unwrap();
        let ArpRepr::EthernetIpv4 { source_protocol_addr, target_protocol_addr, .. } =
            ArpRepr::parse(&packet).unwrap()
        else {
            return;
        };
        let repr = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Reply,
            source_hardware_addr: EthernetAddress(SERVER),
            source_protocol_addr: target_protocol_addr,
            target_hardware_addr: EthernetAddress(BOX),
            target_protocol_addr: source_protocol_addr,
        };
        let mut frame = ethernet(EthernetProtocol::Arp, repr.buffer_len());
        repr.emit(&mut ArpPacket::new_unchecked(&mut frame[14..]));
        self.dhcp.wire.to_box.push_back(frame);
    }
}

fn ethernet(ethertype: EthernetProtocol, payload_bytes: usize) -> Vec<u8> {
    let mut frame = vec![0; 14 + payload_bytes];
    let (src_addr, dst_addr) = (EthernetAddress(SERVER), EthernetAddress(BOX));
    let repr = EthernetRepr { src_addr, dst_addr, ethertype };
    repr.emit(&mut EthernetFrame::new_unchecked(&mut frame[..]));
    frame
}

fn in_frame(dhcp: &DhcpRepr<'_>) -> Vec<u8> {
    let udp = UdpRepr { src_port: 67, dst_port: 68 };
    let ip = Ipv4Repr {
        src_addr: ROUTER,
        dst_addr: Ipv4Addr::BROADCAST,
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + dhcp.buffer_len(),
        hop_limit: 64,
    };
    let checksums = ChecksumCapabilities::default();
    let mut frame = ethernet(EthernetProtocol::Ipv4, ip.buffer_len() + ip.payload_len);
    let mut packet = Ipv4Packet::new_unchecked(&mut frame[14..]);
    ip.emit(&mut packet, &checksums);
    udp.emit(
        &mut UdpPacket::new_unchecked(packet.payload_mut()),
        &ROUTER.into(),
        &Ipv4Addr::BROADCAST.into(),
        dhcp.buffer_len(),
        |bytes| dhcp.emit(&mut DhcpPacket::new_unchecked(bytes)).unwrap(),
        &checksums,
    );
    frame
}

fn lease(address: [u8; 4]) -> News {
    News::Lease(Lease {
        address: address.into(),
        prefix: 24,
        router: Some(ROUTER),
        name_servers: vec![ROUTER],
        time_servers: vec![ROUTER],
    })
}

/// The first news is always that there is no lease yet.
fn with_lease() -> World {
    let mut world = World::new(Mood::Gives([10, 0, 0, 9]));
    assert_eq!(world.until_news(1_000), Some(News::Lost));
    assert_eq!(world.until_news(10_000), Some(lease([10, 0, 0, 9])));
    world
}

#[test]
fn lease_comes_at_once_and_the_host_name_is_announced() {
    let world = with_lease();
    assert!(world.now_ms < 1_000, "{}", world.now_ms);
    assert!(!world.names.is_empty());
    assert!(world.names.iter().all(|name| name == b"linnet"));
}

#[test]
fn lease_is_renewed_by_unicast_for_days_without_any_change() {
    let mut world = with_lease();
    let end = 2 * 24 * 3_600 * 1_000;
    while world.now_ms < end {
        let news = world.until_news(end - world.now_ms);
        assert!(news.is_none_or(|news| news == lease([10, 0, 0, 9])));
        world.now_ms += 100;
    }
    assert!(world.unicasts >= 2 * 24, "a renewal at each half of an hour: {}", world.unicasts);
}

#[test]
fn sleeping_server_costs_the_address_only_when_the_lease_ends() {
    let mut world = with_lease();
    let got_at = world.now_ms;
    world.mood = Mood::Sleeps;
    assert_eq!(world.until_news(u64::from(LEASE_S) * 2_000), Some(News::Lost));
    let held_s = (world.now_ms - got_at) / 1_000;
    assert!(held_s >= u64::from(LEASE_S) - 1, "{held_s}");
    world.mood = Mood::Gives([10, 0, 0, 10]);
    assert_eq!(world.until_news(60_000), Some(lease([10, 0, 0, 10])));
}

#[test]
fn refused_renewal_ends_in_another_address() {
    let mut world = with_lease();
    world.mood = Mood::Refuses;
    assert_eq!(world.until_news(u64::from(LEASE_S) * 1_000), Some(News::Lost));
    world.mood = Mood::Gives([10, 0, 0, 11]);
    assert_eq!(world.until_news(60_000), Some(lease([10, 0, 0, 11])));
}

#[test]
fn restart_asks_anew_and_harmful_offers_give_nothing() {
    let mut world = with_lease();
    world.mood = Mood::Gives([10, 0, 0, 12]);
    world.dhcp.restart();
    assert_eq!(world.until_news(1_000), Some(News::Lost));
    assert_eq!(world.until_news(10_000), Some(lease([10, 0, 0, 12])));
    world.mood = Mood::Gives([127, 0, 0, 1]);
    world.dhcp.restart();
    assert_eq!(world.until_news(1_000), Some(News::Lost));
    assert_eq!(world.until_news(10_000), Some(News::Refused));
    world.mood = Mood::Gives([10, 0, 0, 13]);
    world.dhcp.restart();
    assert_eq!(world.until_news(1_000), Some(News::Lost));
    assert_eq!(world.until_news(10_000), Some(lease([10, 0, 0, 13])), "the honest server's turn");
}

fn is_harmless(news: Option<News>) -> bool {
    match news {
        Some(News::Lease(lease)) => lease.clone().checked() == Some(lease),
        Some(News::Refused | News::Lost) | None => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    /// A server's packets with bytes changed, at every stage of getting a lease: nothing panics,
    /// and no lease comes of it that would harm the box.
    #[test]
    fn mutated_answers_give_harmless_leases_or_none(
        address in any::<[u8; 4]>(),
        changes in prop::collection::vec((28usize..400, any::<u8>()), 0..4),
    ) {
        let mut world = World::new(Mood::Gives(address));
        for _ in 0..40 {
            let news = world.dhcp.poll(world.now_ms);
            prop_assert!(is_harmless(news));
            while let Some(frame) = world.dhcp.wire.from_box.pop_front() {
                world.serve(&frame);
            }
            for frame in &mut world.dhcp.wire.to_box {
                for (at, value) in &changes {
                    if let Some(byte) = frame.get_mut(*at) {
                        *byte = *value;
                    }
                }
            }
            world.now_ms += 250;
        }
    }
}

#[test]
fn garbage_on_the_cable_is_survived() {
    let mut world = World::new(Mood::Sleeps);
    let mut state = 1u32;
    for length in 0..400 {
        let mut frame = vec![0; length];
        for byte in &mut frame {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
        if length > 42 {
            frame[..6].copy_from_slice(&BOX);
            frame[12..15].copy_from_slice(&[8, 0, 0x45]);
            frame[23] = 17;
            frame[34..38].copy_from_slice(&[0, 67, 0, 68]);
        }
        world.dhcp.wire.to_box.push_back(frame);
        world.until_news(100);
    }
    world.mood = Mood::Gives([10, 0, 0, 9]);
    assert_eq!(world.until_news(10_000), Some(lease([10, 0, 0, 9])));
}
