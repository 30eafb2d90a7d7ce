//! A question to a server of ours, over loopback.

use std::net::{SocketAddr, UdpSocket};

use super::packet::tests::{NOW_S, answer};
use super::*;

/// Answers one request with what `reply` makes of its number.
fn serve(reply: impl Fn(u64) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 100];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(length, 48);
        let nonce = u64::from_be_bytes(buffer[40..48].try_into().unwrap());
        for packet in reply(nonce) {
            socket.send_to(&packet, from).unwrap();
        }
    });
    address
}

#[test]
fn answer_is_taken_and_forged_ones_before_it_are_not() {
    let address = serve(|nonce| {
        let forged = answer(nonce.wrapping_add(1), NOW_S + 1_000_000).to_vec();
        vec![vec![], forged, vec![0xff; 600], answer(nonce, NOW_S).to_vec()]
    });
    let (sent_ns, took_ns, answer) = exchange(address).unwrap();
    let sample = answer.sample("test", sent_ns, took_ns).unwrap();
    assert_eq!(sample.now_s, NOW_S);
}

#[test]
fn flood_of_wrong_answers_and_silence_end_in_an_error() {
    let flood = serve(|nonce| vec![answer(nonce.wrapping_add(1), 0).to_vec(); 40]);
    assert!(matches!(exchange(flood), Err(AskError::Io(_))));
    let silent = serve(|_| Vec::new());
    assert!(matches!(exchange(silent), Err(AskError::Io(_))));
}

#[test]
fn kiss_of_death_is_obeyed_and_each_trouble_is_told_once() {
    let mut keeper = Keeper::new(Tiers::new(vec!["a".into(), "b".into()]), Bounds::new(1));
    keeper.on_error("a", &AskError::Wrong(Wrong::KissOfDeath(*b"DENY")));
    assert_eq!(keeper.tiers.to_ask()[0], ["b"]);
    let before = keeper.pace.pause();
    keeper.on_error("b", &AskError::Wrong(Wrong::KissOfDeath(*b"RATE")));
    assert!(keeper.pace.pause() > before);
    keeper.on_error("a", &AskError::Wrong(Wrong::Unsynchronized));
    assert_eq!(keeper.complained, ["a"]);
}

#[test]
fn silent_name_server_holds_up_one_name_and_no_address() {
    let mut keeper = Keeper::new(Tiers::new(vec![]), Bounds::new(1));
    assert_eq!(keeper.resolve("10.0.0.1").unwrap(), ([10, 0, 0, 1], PORT).into());
    keeper.resolver_silent = true;
    assert!(keeper.resolve("ntp.example").is_err());
    assert_eq!(keeper.resolve("fd00::1").unwrap().port(), PORT);
}

#[test]
fn main_thread_never_waits_for_the_time_thread() {
    let (news, receiver) = sync_channel(NEWS_MAX);
    let mut handle = Handle { news, known: (None, Vec::new()), pending: false };
    for last in 1..200 {
        handle.on_network(Some([10, 0, 0, last].into()), vec![[10, 0, 0, 1].into()]);
    }
    assert_eq!(receiver.try_iter().count(), NEWS_MAX);
    handle.on_network(Some([10, 0, 0, 199].into()), vec![[10, 0, 0, 1].into()]);
    assert_eq!(receiver.try_iter().count(), 1, "what did not fit is said later");
    handle.on_network(Some([10, 0, 0, 199].into()), vec![[10, 0, 0, 1].into()]);
    assert_eq!(receiver.try_iter().count(), 0);
}
