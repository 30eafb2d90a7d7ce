//! Addresses and routes by rtnetlink: one request, one acknowledgement.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

/// An acknowledgement repeats the request; both are well below.
const ANSWER_BYTES_MAX: usize = 4096;

/// The kernel's network settings.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Connects to the kernel.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Switches an interface on.
    pub(super) fn set_up(&mut self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.request(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Adds an address, or confirms it.
    pub(super) fn set_address(&mut self, index: u32, at: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let mut message = address(index, at, prefix);
        message.attributes.push(AddressAttribute::Broadcast(broadcast(at, prefix)));
        self.request(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Takes an address away, and what the kernel routes by it.
    pub(super) fn remove_address(
        &mut self,
        index: u32,
        at: Ipv4Addr,
        prefix: u8,
    ) -> io::Result<()> {
        self.request(RouteNetlinkMessage::DelAddress(address(index, at, prefix)), 0)
    }

    /// Sets the default route; of several the one with the lowest metric is used.
    pub(super) fn set_default_route(
        &mut self,
        index: u32,
        router: Ipv4Addr,
        metric: u32,
    ) -> io::Result<()> {
        let message = RouteNetlinkMessage::NewRoute(default_route(index, router, metric));
        self.request(message, NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Takes the default route away.
    pub(super) fn remove_default_route(
        &mut self,
        index: u32,
        router: Ipv4Addr,
        metric: u32,
    ) -> io::Result<()> {
        self.request(RouteNetlinkMessage::DelRoute(default_route(index, router, metric)), 0)
    }

    fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut answer = vec![0; ANSWER_BYTES_MAX];
        let length = self.socket.recv(&mut &mut answer[..], 0)?;
        acknowledged(&answer[..length], self.sequence)
    }
}

fn acknowledged(answer: &[u8], sequence: u32) -> io::Result<()> {
    let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(answer)
        .map_err(|error| io::Error::other(error.to_string()))?;
    if message.header.sequence_number != sequence {
        return Err(io::Error::other("the kernel answered another question"));
    }
    match message.payload {
        NetlinkPayload::Error(error) if error.code.is_none() => Ok(()),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        _ => Err(io::Error::other("the kernel did not acknowledge")),
    }
}

fn address(index: u32, at: Ipv4Addr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = prefix;
    message.header.index = index;
    message.attributes.push(AddressAttribute::Local(IpAddr::V4(at)));
    message.attributes.push(AddressAttribute::Address(IpAddr::V4(at)));
    message
}

fn broadcast(at: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    let host_bits = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
    Ipv4Addr::from(u32::from(at) | host_bits)
}

fn default_route(index: u32, router: Ipv4Addr, metric: u32) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Dhcp;
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    message.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(router)));
    message.attributes.push(RouteAttribute::Oif(index));
    message.attributes.push(RouteAttribute::Priority(metric));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcast_address_is_the_last_of_the_network() {
        assert_eq!(broadcast([10, 0, 2, 15].into(), 24), Ipv4Addr::new(10, 0, 2, 255));
        assert_eq!(broadcast([10, 1, 2, 3].into(), 8), Ipv4Addr::new(10, 255, 255, 255));
        assert_eq!(broadcast([10, 1, 2, 3].into(), 32), Ipv4Addr::new(10, 1, 2, 3));
    }

    #[test]
    fn kernel_refuses_an_interface_that_is_not_there_with_its_own_words() {
        let mut netlink = Netlink::open().unwrap();
        let error = netlink.set_address(u32::MAX >> 1, [10, 9, 8, 7].into(), 24).unwrap_err();
        assert!(error.raw_os_error().is_some(), "{error}");
    }

    #[test]
    fn answers_that_are_none_are_errors() {
        assert!(acknowledged(&[], 1).is_err());
        assert!(acknowledged(&[0; 64], 1).is_err());
    }
}
