//! The WebSocket wrapper against a server's bytes written by hand, split at every byte.

use std::rc::Rc;

use wire::binary::{read_client, write_server};
use wire::ids::{BoxId, Epoch, TimeMs};
use wire::server::Greeting;
use wire::{ClientMessage, ServerMessage};

use super::super::memory::Memory;
use super::*;
use crate::layout::token;

fn socket() -> WebSocket {
    WebSocket::new(Native::new(5, token(5), 64, Rc::new(Memory::new(false))), 5, "box:1")
}

fn answer(socket: &WebSocket) -> Vec<u8> {
    let accept = &socket.accept;
    format!("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {accept}\r\n\r\n").into()
}

fn from_server(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126);
    [&[0x80 | opcode, length], payload].concat()
}

fn greeting() -> Vec<u8> {
    let (box_id, epoch) = (BoxId([1; 16]), Epoch([7; 16]));
    let greeting = Greeting { box_id, epoch, version: "0".to_owned(), time_ms: TimeMs(5) };
    let mut bytes = Vec::new();
    write_server(&ServerMessage::Greeting(greeting), 0, &mut bytes);
    from_server(2, &bytes)
}

/// Opcode and unmasked payload of the only message; lengths below 126 only.
fn only_message(bytes: &[u8]) -> (u8, Vec<u8>) {
    let (head, rest) = bytes.split_first_chunk::<6>().unwrap();
    let [first, length, mask @ ..] = head;
    assert_eq!((first & 0xf0, usize::from(length & 0x7f)), (0x80, rest.len()));
    assert_ne!(length & 0x80, 0, "clients mask");
    let plain = rest.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    (first & 0x0f, plain.collect())
}

fn feed(socket: &mut WebSocket, bytes: &[u8], piece: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in bytes.chunks(piece) {
        socket.receive(piece, &mut out, &mut Vec::new()).unwrap();
    }
    out
}

#[test]
fn the_upgrade_is_asked_for_and_hello_follows_however_the_input_is_split() {
    let mut request = Vec::new();
    socket().start(&mut request);
    let request = String::from_utf8(request).unwrap();
    assert!(request.starts_with("GET /ws HTTP/1.1\r\nHost: box:1\r\n"), "{request}");
    assert!(request.contains("Sec-WebSocket-Protocol: linnet.binary\r\n"), "{request}");
    let input = [answer(&socket()), greeting()].concat();
    for piece in 1..=input.len() {
        let mut socket = socket();
        let (opcode, payload) = only_message(&feed(&mut socket, &input, piece));
        let (frame, used) = read_client(&payload).unwrap().unwrap();
        assert_eq!((opcode, used), (2, payload.len()), "{piece}");
        assert!(matches!(frame.message, Some(ClientMessage::Hello(_))));
    }
}

#[test]
fn every_frame_is_a_message_of_its_own() {
    let mut socket = socket();
    let input = answer(&socket);
    feed(&mut socket, &input, 1_000);
    let mut out = Vec::new();
    socket.ping(&mut out);
    let one = out.len();
    let (_, payload) = only_message(&out);
    socket.native.ping(&mut socket.inner_out);
    socket.ping(&mut out);
    assert_eq!(out.len(), 3 * one);
    assert_eq!(only_message(&out[2 * one..]).1, payload);
}

#[test]
fn a_ping_is_answered_and_a_close_ends_it_with_its_reason() {
    let mut socket = socket();
    let input = [answer(&socket), from_server(9, b"tick")].concat();
    let out = feed(&mut socket, &input, 3);
    assert_eq!(only_message(&out), (10, b"tick".to_vec()));
    let close = from_server(8, b"\x03\xe9going away");
    let error = socket.receive(&close, &mut Vec::new(), &mut Vec::new()).unwrap_err();
    assert!(error.0.ends_with("going away"), "{error}");
}

#[test]
fn another_answer_than_the_right_one_breaks_it() {
    let wrong = [
        "HTTP/1.1 429 Too Many Requests\r\n\r\n".to_owned(),
        "HTTP/1.1 101 x\r\nSec-WebSocket-Accept: AAAA\r\n\r\n".to_owned(),
        "x".repeat(ANSWER_BYTES_MAX + 1),
    ];
    for answer in wrong {
        let outcome = socket().receive(answer.as_bytes(), &mut Vec::new(), &mut Vec::new());
        assert!(outcome.is_err(), "{answer}");
    }
}
