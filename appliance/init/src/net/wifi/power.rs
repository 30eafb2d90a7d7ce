//! Switching off the radio's power saving, by generic netlink (linux/nl80211.h). With it on, an
//! idle box answers seconds late. Two messages, written by hand: the crates for this interface are
//! larger than all the rest of the child.

use std::io;

use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{Socket, SocketAddr};

/// linux/genetlink.h: the controller's id, its request for a family, and the attributes of both.
const CONTROLLER: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;

/// linux/nl80211.h.
const SET_POWER_SAVE: u8 = 61;
const INTERFACE_INDEX: u16 = 3;
const POWER_SAVE_STATE: u16 = 93;

/// linux/netlink.h.
const REQUEST_WITH_ACK: u16 = 1 | 4;
const TYPE_ERROR: u16 = 2;
const HEADER_BYTES: usize = 16;
const GENERIC_BYTES: usize = 4;

/// The family's description lists all its commands; it has about 3 KB.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Switches it off on the interface with this index.
pub(super) fn save_off(index: u32) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_GENERIC)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let name = attribute(FAMILY_NAME, b"nl80211\0");
    let answer = exchange(&socket, &message(CONTROLLER, GET_FAMILY, &[name]))?;
    let family = family_id(&answer).ok_or_else(|| io::Error::other("the kernel has no Wi-Fi"))?;
    let index = attribute(INTERFACE_INDEX, &index.to_ne_bytes());
    let state = attribute(POWER_SAVE_STATE, &0u32.to_ne_bytes());
    let answer = exchange(&socket, &message(family, SET_POWER_SAVE, &[index, state]))?;
    match error_code(&answer) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        None => Err(io::Error::other("the kernel did not acknowledge")),
    }
}

fn exchange(socket: &Socket, request: &[u8]) -> io::Result<Vec<u8>> {
    socket.send(request, 0)?;
    let mut answer = vec![0; ANSWER_BYTES_MAX];
    let length = socket.recv(&mut &mut answer[..], 0)?;
    answer.truncate(length);
    if let Some(code) = error_code(&answer).filter(|code| *code != 0) {
        return Err(io::Error::from_raw_os_error(code.saturating_neg()));
    }
    Ok(answer)
}

fn message(family: u16, command: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
    // An acknowledgement of the first request would come before the second one's answer.
    let flags = if family == CONTROLLER { 1 } else { REQUEST_WITH_ACK };
    let body = attributes.concat();
    let length = (HEADER_BYTES + GENERIC_BYTES + body.len()) as u32;
    let mut bytes = Vec::from(length.to_ne_bytes());
    bytes.extend(family.to_ne_bytes());
    bytes.extend(u16::to_ne_bytes(flags));
    bytes.extend([0; 8]); // sequence and port: one request at a time
    bytes.extend([command, 1, 0, 0]);
    bytes.extend(body);
    bytes
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = (4 + value.len()) as u16;
    let mut bytes = Vec::from(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The code of an acknowledgement, negative as the kernel writes it.
fn error_code(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(*answer.get(4..)?.first_chunk()?);
    let code = i32::from_ne_bytes(*answer.get(HEADER_BYTES..)?.first_chunk()?);
    (kind == TYPE_ERROR).then_some(code)
}

fn family_id(answer: &[u8]) -> Option<u16> {
    let mut rest = answer.get(HEADER_BYTES + GENERIC_BYTES..)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?);
        if kind == FAMILY_ID {
            return Some(u16::from_ne_bytes(*rest.get(4..length)?.first_chunk()?));
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(attributes: &[Vec<u8>]) -> Vec<u8> {
        message(CONTROLLER, 1, attributes)
    }

    #[test]
    fn message_has_the_kernel_s_form() {
        let bytes = message(0x1c, SET_POWER_SAVE, &[attribute(POWER_SAVE_STATE, &[0; 4])]);
        assert_eq!(bytes.len(), 28);
        assert_eq!(bytes[..4], 28u32.to_ne_bytes());
        assert_eq!(bytes[4..8], [0x1cu16.to_ne_bytes(), 5u16.to_ne_bytes()].concat());
        assert_eq!(bytes[16..20], [61, 1, 0, 0]);
        assert_eq!(attribute(FAMILY_NAME, b"nl80211\0").len(), 12);
        assert_eq!(attribute(1, b"abcde").len(), 12, "padded to a multiple of four");
    }

    #[test]
    fn family_is_found_among_its_neighbours_and_cut_answers_are_none() {
        let name = attribute(FAMILY_NAME, b"nl80211\0");
        let whole = answer(&[name.clone(), attribute(FAMILY_ID, &27u16.to_ne_bytes())]);
        assert_eq!(family_id(&whole), Some(27));
        (0..whole.len() - 2).for_each(|length| assert_eq!(family_id(&whole[..length]), None));
        assert_eq!(family_id(&answer(&[name])), None);
        assert_eq!(family_id(&answer(&[vec![0; 4]])), None, "a length of nothing ends the search");
        assert_eq!(error_code(&whole), None);
    }

    #[test]
    fn kernel_answers_about_its_families() {
        let mut socket = Socket::new(NETLINK_GENERIC).unwrap();
        socket.bind_auto().unwrap();
        socket.connect(&SocketAddr::new(0, 0)).unwrap();
        let name = attribute(FAMILY_NAME, b"nlctrl\0");
        let answer = exchange(&socket, &message(CONTROLLER, GET_FAMILY, &[name])).unwrap();
        assert_eq!(family_id(&answer), Some(CONTROLLER));
        let name = attribute(FAMILY_NAME, b"no-such\0");
        let error = exchange(&socket, &message(CONTROLLER, GET_FAMILY, &[name])).unwrap_err();
        assert!(error.raw_os_error().is_some(), "{error}");
    }
}
