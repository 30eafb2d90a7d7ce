//! An address of the owner's choice: looked for on the cable before it is used (RFC 5227), and its
//! router after. Pure; packets and time are passed in. What fails leads back to DHCP, with a
//! sentence, so that a typing mistake never makes a box unreachable.

use std::net::Ipv4Addr;

use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr,
};
use update::provision::FixedAddress;

use super::keeper::Lease;
use super::limits::{ARP_PAUSE_MS, ARP_PROBES, ROUTER_ASKS};

/// Why the address is not relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Somebody else has it.
    Taken,
    /// The router does not answer; the address is used until DHCP offers another.
    Unreachable,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Put this frame on the cable.
    Send(Vec<u8>),
    /// The address is free: use it.
    Use(Lease),
    /// Ask DHCP.
    Fail(Failure),
}

/// The way of one address.
#[derive(Debug)]
pub(super) struct Fixed {
    wish: FixedAddress,
    hardware: EthernetAddress,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Probing { sent: u32, due_ms: u64 },
    Asking { sent: u32, due_ms: u64 },
    Settled,
    Failed(Failure),
}

impl Fixed {
    /// To be started by [`Self::restart`] as soon as a cable is in.
    pub(super) fn new(wish: FixedAddress, hardware: [u8; 6]) -> Self {
        Self { wish, hardware: EthernetAddress(hardware), stage: Stage::Settled }
    }

    /// Perhaps another network: look again.
    pub(super) fn restart(&mut self, now_ms: u64) {
        self.stage = Stage::Probing { sent: 0, due_ms: now_ms };
    }

    /// Whether frames are of interest.
    pub(super) fn listens(&self) -> bool {
        matches!(self.stage, Stage::Probing { .. } | Stage::Asking { .. })
    }

    /// Why DHCP is asked instead.
    pub(super) fn failure(&self) -> Option<Failure> {
        match self.stage {
            Stage::Failed(failure) => Some(failure),
            Stage::Probing { .. } | Stage::Asking { .. } | Stage::Settled => None,
        }
    }

    /// What the owner asked for.
    pub(super) fn wish(&self) -> &FixedAddress {
        &self.wish
    }

    /// Time passes.
    pub(super) fn on_tick(&mut self, now_ms: u64) -> Option<Act> {
        match self.stage {
            Stage::Probing { sent, due_ms } if now_ms >= due_ms => Some(self.probe(sent, now_ms)),
            Stage::Asking { sent, due_ms } if now_ms >= due_ms => Some(self.ask(sent, now_ms)),
            _ => None,
        }
    }

    /// A frame came from the cable; anything may be in it.
    pub(super) fn on_frame(&mut self, frame: &[u8]) -> Option<Act> {
        let (sender, sender_ip, target_ip) = read(frame)?;
        if sender == self.hardware {
            return None;
        }
        match self.stage {
            Stage::Probing { .. } if self.is_conflict(sender_ip, target_ip) => {
                self.stage = Stage::Failed(Failure::Taken);
                Some(Act::Fail(Failure::Taken))
            }
            Stage::Asking { .. } if Some(sender_ip) == self.wish.router => {
                self.stage = Stage::Settled;
                None
            }
            _ => None,
        }
    }

    /// Somebody uses the address, or is about to as we are (RFC 5227 section 2.1.1).
    fn is_conflict(&self, sender_ip: Ipv4Addr, target_ip: Ipv4Addr) -> bool {
        let ours = self.wish.address;
        sender_ip == ours || (sender_ip.is_unspecified() && target_ip == ours)
    }

    fn probe(&mut self, sent: u32, now_ms: u64) -> Act {
        if sent < ARP_PROBES {
            self.stage = Stage::Probing { sent: sent + 1, due_ms: now_ms + ARP_PAUSE_MS };
            return Act::Send(self.request(Ipv4Addr::UNSPECIFIED, self.wish.address));
        }
        self.stage = match self.wish.router {
            Some(_) => Stage::Asking { sent: 0, due_ms: now_ms },
            None => Stage::Settled,
        };
        Act::Use(self.lease())
    }

    fn ask(&mut self, sent: u32, now_ms: u64) -> Act {
        match self.wish.router {
            Some(router) if sent < ROUTER_ASKS => {
                self.stage = Stage::Asking { sent: sent + 1, due_ms: now_ms + ARP_PAUSE_MS };
                Act::Send(self.request(self.wish.address, router))
            }
            _ => {
                self.stage = Stage::Failed(Failure::Unreachable);
                Act::Fail(Failure::Unreachable)
            }
        }
    }

    fn lease(&self) -> Lease {
        Lease {
            address: self.wish.address,
            prefix: self.wish.prefix,
            router: self.wish.router,
            name_servers: self.wish.name_servers.clone(),
            time_servers: Vec::new(),
        }
    }

    fn request(&self, from: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
        let repr = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: self.hardware,
            source_protocol_addr: from,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: target,
        };
        frame(self.hardware, EthernetAddress::BROADCAST, &repr)
    }
}

fn frame(src_addr: EthernetAddress, dst_addr: EthernetAddress, arp: &ArpRepr) -> Vec<u8> {
    let repr = EthernetRepr { src_addr, dst_addr, ethertype: EthernetProtocol::Arp };
    let mut bytes = vec![0; repr.buffer_len() + arp.buffer_len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    repr.emit(&mut frame);
    arp.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
    bytes
}

/// Sender's hardware address, sender's and target's addresses of an ARP frame.
fn read(frame: &[u8]) -> Option<(EthernetAddress, Ipv4Addr, Ipv4Addr)> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    if frame.ethertype() != EthernetProtocol::Arp {
        return None;
    }
    let packet = ArpPacket::new_checked(frame.payload()).ok()?;
    match ArpRepr::parse(&packet).ok()? {
        ArpRepr::EthernetIpv4 {
            source_hardware_addr,
            source_protocol_addr,
            target_protocol_addr,
            ..
        } => Some((source_hardware_addr, source_protocol_addr, target_protocol_addr)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
