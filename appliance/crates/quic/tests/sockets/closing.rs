//! The end: by the core, by the server's stop, and when nobody listens any more.

use linnet_quic::{CloseReason, Event, Frame, QuicConfig};
use wire::server::{Closing, Reason};
use wire::{ServerMessage, Targets};

use crate::rig::{Server, pong};

fn closing(reason: Reason) -> Closing {
    Closing { reason, text: "over".to_owned(), retry_after_ms: Some(5) }
}

#[test]
fn the_last_frame_arrives_before_the_connection_is_closed() {
    let mut server = Server::start(QuicConfig::default());
    let (mut client, session) = server.welcomed();
    for request in 1..=50 {
        server.outbox.send(Targets::One(session), Frame::new(pong(), request), false);
    }
    server.outbox.close(session, Frame::new(closing(Reason::BadToken), 0));
    server.outbox.send(Targets::One(session), Frame::new(pong(), 99), false);
    server.outbox.flush();
    assert_eq!(server.next(), Event::Closed { session, reason: CloseReason::Asked });
    let received: Vec<_> = std::iter::from_fn(|| client.try_next()).collect();
    assert_eq!(received.len(), 51);
    assert_eq!(received[50], closing(Reason::BadToken).into());
    client.expect_close(CloseReason::Asked);
}

#[test]
fn when_the_server_stops_everybody_is_told_why_and_nobody_comes_in() {
    let mut server = Server::start(QuicConfig::default());
    let mut clients = [server.welcomed(), server.welcomed(), server.welcomed()];
    let Server { quic, events, .. } = server;
    quic.shutdown(closing(Reason::ShuttingDown));
    for (client, _) in &mut clients {
        assert_eq!(client.next(), closing(Reason::ShuttingDown).into());
        assert_eq!(client.try_next(), None);
        client.expect_close(CloseReason::ShuttingDown);
    }
    let mut ended: Vec<_> = events.iter().collect();
    ended.sort_by_key(|event| format!("{event:?}"));
    let expected =
        clients.map(|(_, session)| Event::Closed { session, reason: CloseReason::ShuttingDown });
    assert_eq!(ended, expected);
}

#[test]
fn a_client_that_ends_its_side_gets_what_waits_and_an_end() {
    let mut server = Server::start(QuicConfig::default());
    let (mut client, session) = server.welcomed();
    client.send.finish().unwrap();
    assert_eq!(server.next(), Event::Closed { session, reason: CloseReason::Peer });
    assert_eq!(client.try_next(), None);
    client.expect_close(CloseReason::Peer);
}

#[test]
fn without_anybody_who_listens_it_stops_by_itself() {
    let mut server = Server::start(QuicConfig::default());
    let (mut client, _) = server.welcomed();
    let (mut other, _) = server.welcomed();
    let Server { quic, events, .. } = server;
    drop(events);
    client.say(crate::rig::ping(), 1);
    assert!(matches!(other.next(), ServerMessage::Closing(_)));
    other.expect_close(CloseReason::ShuttingDown);
    drop(quic);
}
