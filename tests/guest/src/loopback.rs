//! Switches the loopback interface on by rtnetlink (RFC 3549); the kernel gives it 127.0.0.1/8.

use anyhow::{Context as _, Result, bail};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

/// Loopback is the first interface of every network namespace.
const LOOPBACK_INDEX: u32 = 1;

/// An acknowledgement repeats the request; both are well below.
const ANSWER_BYTES_MAX: usize = 4_096;

/// One request, one acknowledgement.
pub(crate) fn up() -> Result<()> {
    let mut socket = Socket::new(NETLINK_ROUTE).context("netlink")?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&request(), 0)?;
    let mut answer = vec![0; ANSWER_BYTES_MAX];
    let length = socket.recv(&mut &mut answer[..], 0)?;
    let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer[..length])
        .context("the kernel's answer")?;
    match message.payload {
        NetlinkPayload::Error(error) if error.code.is_none() => Ok(()),
        other => bail!("loopback stays down: {other:?}"),
    }
}

fn request() -> Vec<u8> {
    let mut link = LinkMessage::default();
    link.header.index = LOOPBACK_INDEX;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK;
    let payload = NetlinkPayload::from(RouteNetlinkMessage::SetLink(link));
    let mut message = NetlinkMessage::new(header, payload);
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}
