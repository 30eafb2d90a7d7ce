//! The DHCP client (RFC 2131): smoltcp's, with its lease timers, renewal and rebinding, on a
//! filtered packet socket. This file only connects the two and checks what comes out.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RawSocket};
use smoltcp::socket::dhcpv4::{self, RetryConfig};
use smoltcp::time::Instant;
use smoltcp::wire::{DhcpOption, DhcpPacket, EthernetAddress, IpCidr, Ipv4Cidr};

use super::filter;
use super::keeper::Lease;
use super::limits::{DHCP_BYTES_MAX, DHCP_TIME_SERVERS_MAX};
use super::link::Link;

/// RFC 2132 sections 3.14 and 8.3.
const OPTION_HOST_NAME: u8 = 12;
const OPTION_TIME_SERVERS: u8 = 42;

/// What is asked for: subnet mask, router, name servers, time servers.
const REQUESTED: [u8; 4] = [1, 3, 6, OPTION_TIME_SERVERS];

/// First tries follow quickly: after power returns, the router is often the slower one.
const DISCOVER_RETRY: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(3);
const REQUEST_RETRY: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(2);

/// What the client found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// A usable lease, new or renewed.
    Lease(Lease),
    /// An offer that would harm the box; it was not taken.
    Refused,
    /// There is none.
    Lost,
}

/// The client on one interface.
pub(super) struct Dhcp<D> {
    wire: D,
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
}

impl Dhcp<Wire> {
    /// Opens the packet socket.
    pub(super) fn open(link: &Link, host_name: &'static str) -> io::Result<Self> {
        let raw = RawSocket::new(&link.name, Medium::Ethernet)?;
        filter::attach(&raw)?;
        let seed = getrandom::u64().map_err(io::Error::other)?;
        Ok(Self::new(Wire(raw), link.hardware, seed, host_name))
    }

    /// What to wait on for packets.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        filter::borrow(&self.wire.0)
    }
}

impl<D: Device> Dhcp<D> {
    fn new(mut wire: D, hardware: [u8; 6], seed: u64, host_name: &'static str) -> Self {
        let mut config = Config::new(EthernetAddress(hardware).into());
        config.random_seed = seed;
        let interface = Interface::new(config, &mut wire, instant(0));
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(socket(host_name));
        Self { wire, interface, sockets, handle }
    }

    /// Asks anew, as after a change of networks.
    pub(super) fn restart(&mut self) {
        self.sockets.get_mut::<dhcpv4::Socket<'_>>(self.handle).reset();
    }

    /// How long until there is something to send.
    pub(super) fn pause(&mut self, now_ms: u64) -> Option<Duration> {
        self.interface.poll_delay(instant(now_ms), &self.sockets).map(Duration::from)
    }

    /// Handles what came in and sends what is due.
    pub(super) fn poll(&mut self, now_ms: u64) -> Option<News> {
        self.interface.poll(instant(now_ms), &mut self.wire, &mut self.sockets);
        let lease = match self.sockets.get_mut::<dhcpv4::Socket<'_>>(self.handle).poll()? {
            dhcpv4::Event::Configured(config) => lease(&config).ok_or(News::Refused),
            dhcpv4::Event::Deconfigured => Err(News::Lost),
        };
        self.follow(lease.as_ref().ok());
        Some(lease.map_or_else(|news| news, News::Lease))
    }

    /// smoltcp must know our own address to renew by unicast.
    fn follow(&mut self, lease: Option<&Lease>) {
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            if let Some(lease) = lease {
                let cidr = IpCidr::Ipv4(Ipv4Cidr::new(lease.address, lease.prefix));
                addresses.push(cidr).expect("the list was cleared and holds at least one");
            }
        });
        let routes = self.interface.routes_mut();
        routes.remove_default_ipv4_route();
        if let Some(router) = lease.and_then(|lease| lease.router) {
            routes.add_default_ipv4_route(router).expect("the only route was removed above");
        }
    }
}

fn socket(host_name: &'static str) -> dhcpv4::Socket<'static> {
    let mut socket = dhcpv4::Socket::new();
    let mut retry = RetryConfig::default();
    retry.discover_timeout = DISCOVER_RETRY;
    retry.initial_request_timeout = REQUEST_RETRY;
    socket.set_retry_config(retry);
    let name = DhcpOption { kind: OPTION_HOST_NAME, data: host_name.as_bytes() };
    // Lives as long as the process: once per interface that appears.
    socket.set_outgoing_options(Box::leak(Box::new([name])));
    socket.set_receive_packet_buffer(Box::leak(Box::new([0; DHCP_BYTES_MAX])));
    socket.set_parameter_request_list(&REQUESTED);
    socket
}

fn lease(config: &dhcpv4::Config<'_>) -> Option<Lease> {
    let lease = Lease {
        address: config.address.address(),
        prefix: config.address.prefix_len(),
        router: config.router,
        name_servers: config.dns_servers.to_vec(),
        time_servers: config.packet.as_ref().map(time_servers).unwrap_or_default(),
    };
    lease.checked()
}

fn time_servers(packet: &DhcpPacket<&[u8]>) -> Vec<Ipv4Addr> {
    let option = packet.options().find(|option| option.kind == OPTION_TIME_SERVERS);
    let (addresses, _) = option.map(|option| option.data.as_chunks::<4>()).unwrap_or_default();
    addresses.iter().take(DHCP_TIME_SERVERS_MAX).map(|bytes| Ipv4Addr::from(*bytes)).collect()
}

fn instant(now_ms: u64) -> Instant {
    Instant::from_millis(i64::try_from(now_ms).unwrap_or(i64::MAX))
}

/// The packet socket, without checks that the hardware has done: packets of a virtual cable come
/// with unfinished checksums (see dnsmasq's and dhclient's notes on veth and virtio).
pub(super) struct Wire(RawSocket);

impl Device for Wire {
    type RxToken<'a> = <RawSocket as Device>::RxToken<'a>;
    type TxToken<'a> = <RawSocket as Device>::TxToken<'a>;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        self.0.receive(now)
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        self.0.transmit(now)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = self.0.capabilities();
        capabilities.checksum.udp = Checksum::Tx;
        capabilities
    }
}

#[cfg(test)]
mod tests;
