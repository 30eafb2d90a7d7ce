//! The socket filter of the DHCP client. A packet socket sees every packet of the interface; on a
//! box that carries a school's chat, waking up for each would cost more than the chat itself.
//! It also keeps smoltcp from answering what the kernel answers already.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::sock_filter;
use smoltcp::phy::RawSocket;

/// linux/filter.h and linux/bpf_common.h.
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF_INDEXED: u16 = 0x48;
const LOAD_HEADER_LENGTH: u16 = 0xb1;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// More than any packet has.
const WHOLE_PACKET: u32 = 0x4_0000;

/// ARP replies and unfragmented UDP to port 68.
const PROGRAM: [sock_filter; 14] = [
    step(LOAD_HALF, 12, 0, 0),          // 0: Ethernet type
    step(JUMP_EQUAL, 0x0806, 0, 2),     // 1: ARP, or on to 4
    step(LOAD_HALF, 20, 0, 0),          // 2: ARP operation
    step(JUMP_EQUAL, 2, 8, 9),          // 3: reply: take it, else drop
    step(JUMP_EQUAL, 0x0800, 0, 8),     // 4: IPv4, else drop
    step(LOAD_BYTE, 23, 0, 0),          // 5: protocol
    step(JUMP_EQUAL, 17, 0, 6),         // 6: UDP, else drop
    step(LOAD_HALF, 20, 0, 0),          // 7: fragment offset
    step(JUMP_ANY_BIT, 0x1fff, 4, 0),   // 8: later fragment: drop
    step(LOAD_HEADER_LENGTH, 14, 0, 0), // 9: length of the IPv4 header
    step(LOAD_HALF_INDEXED, 16, 0, 0),  // 10: destination port
    step(JUMP_EQUAL, 68, 0, 1),         // 11: DHCP client, else drop
    step(RETURN, WHOLE_PACKET, 0, 0),   // 12: take it
    step(RETURN, 0, 0, 0),              // 13: drop
];

/// Every ARP packet, for the moments when an address is about to be used.
const ARP_ONLY: [sock_filter; 4] = [
    step(LOAD_HALF, 12, 0, 0),
    step(JUMP_EQUAL, 0x0806, 0, 1),
    step(RETURN, WHOLE_PACKET, 0, 0),
    step(RETURN, 0, 0, 0),
];

const fn step(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// Attaches the filter of the DHCP client to a packet socket.
pub(super) fn attach(socket: &impl AsRawFd) -> io::Result<()> {
    attach_program(socket, &mut PROGRAM.clone())
}

/// Lets only ARP through.
pub(super) fn attach_arp(socket: &impl AsRawFd) -> io::Result<()> {
    attach_program(socket, &mut ARP_ONLY.clone())
}

/// smoltcp's socket as something to wait on.
pub(super) fn borrow(socket: &RawSocket) -> BorrowedFd<'_> {
    // SAFETY: the socket owns the descriptor and closes it only when it is dropped, which the
    // borrow forbids. smoltcp offers the number alone.
    unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) }
}

fn attach_program(socket: &impl AsRawFd, program: &mut [sock_filter]) -> io::Result<()> {
    let description =
        libc::sock_fprog { len: program.len() as libc::c_ushort, filter: program.as_mut_ptr() };
    // SAFETY: the description points at program.len() instructions, which outlive the call; the
    // kernel copies them. No crate in use wraps this option.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const description).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel does with the program.
    fn takes(packet: &[u8]) -> bool {
        run(&PROGRAM, packet)
    }

    fn run(program: &[sock_filter], packet: &[u8]) -> bool {
        let (mut a, mut x, mut pc) = (0u32, 0usize, 0usize);
        let byte = |at: usize| packet.get(at).copied().map(u32::from);
        let half = |at: usize| Some(byte(at)? << 8 | byte(at + 1)?);
        loop {
            let step = program[pc];
            let k = step.k as usize;
            let mut jump = None;
            let loaded = match step.code {
                LOAD_HALF => half(k),
                LOAD_BYTE => byte(k),
                LOAD_HALF_INDEXED => half(x + k),
                LOAD_HEADER_LENGTH => {
                    x = byte(k).map_or(0, |b| (b as usize & 15) * 4);
                    Some(a)
                }
                JUMP_EQUAL => {
                    jump = Some(a == step.k);
                    Some(a)
                }
                JUMP_ANY_BIT => {
                    jump = Some(a & step.k != 0);
                    Some(a)
                }
                RETURN => return step.k > 0,
                other => panic!("{other}"),
            };
            let Some(loaded) = loaded else { return false };
            a = loaded;
            let skip = jump.map_or(0, |taken| if taken { step.jt } else { step.jf });
            pc += 1 + usize::from(skip);
        }
    }

    fn udp(port: u16, words: u8, fragment: u16) -> Vec<u8> {
        let mut packet = vec![0; 14 + usize::from(words) * 4 + 8];
        packet[12..14].copy_from_slice(&[8, 0]);
        packet[14] = 0x40 | words;
        packet[20..22].copy_from_slice(&fragment.to_be_bytes());
        packet[23] = 17;
        let at = 14 + usize::from(words) * 4 + 2;
        packet[at..at + 2].copy_from_slice(&port.to_be_bytes());
        packet
    }

    fn arp(operation: u8) -> Vec<u8> {
        let mut packet = vec![0; 42];
        packet[12..14].copy_from_slice(&[8, 6]);
        packet[21] = operation;
        packet
    }

    #[test]
    fn dhcp_answers_and_arp_replies_pass_and_all_else_is_dropped() {
        assert!(takes(&udp(68, 5, 0x4000)));
        assert!(takes(&udp(68, 15, 0)), "with IPv4 options");
        assert!(takes(&arp(2)));
        assert!(!takes(&arp(1)));
        assert!(!takes(&udp(67, 5, 0)));
        assert!(!takes(&udp(443, 5, 0)));
        assert!(!takes(&udp(68, 5, 1)), "a later fragment has no ports");
        let mut tcp = udp(68, 5, 0);
        tcp[23] = 6;
        assert!(!takes(&tcp));
        let mut ipv6 = udp(68, 5, 0);
        ipv6[12..14].copy_from_slice(&[0x86, 0xdd]);
        assert!(!takes(&ipv6));
        (0..30).for_each(|length| assert!(!takes(&vec![0xff; length])));
    }

    #[test]
    fn arp_filter_takes_requests_too_and_nothing_else() {
        assert!(run(&ARP_ONLY, &arp(1)) && run(&ARP_ONLY, &arp(2)));
        assert!(!run(&ARP_ONLY, &udp(68, 5, 0)));
        (0..14).for_each(|length| assert!(!run(&ARP_ONLY, &vec![8; length])));
    }

    #[test]
    fn kernel_accepts_the_programs() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        attach(&socket).unwrap();
        attach_arp(&socket).unwrap();
    }
}
