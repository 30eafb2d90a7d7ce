//! Too many at once: connections, handshakes that never end, logins. Memory, descriptors and
//! processor time stay bounded, and whoever is signed in gets their acks.

use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use linnet_it::attack::{connect_from, is_closed, source};
use linnet_it::http::{self, Answer};
use linnet_it::process::Linnetd;
use linnet_it::tls;
use linnet_it::watch::{Meter, Witness, descriptors};
use serde_json::json;

/// Connections that nobody signed in on, all addresses together and of one: the web crate's limits.
const PLACES: usize = 256;
const PLACES_PER_ADDRESS: usize = 96;

/// Connections that one address may open at once, and each second after that: likewise.
const NEWCOMERS_AT_ONCE: usize = 256;
const NEWCOMERS_PER_SECOND: usize = 64;

/// Descriptors beside those of connections that may come and go during a test.
const DESCRIPTORS_SPARE: usize = 16;

/// What all places may take beyond an idle server, in KiB: 60 KB each, and the allocator's slack.
const PLACES_KIB_MAX: u64 = 24 * 1024;

/// Two hashes of 19 MiB, beside the places.
const LOGINS_KIB_MAX: u64 = PLACES_KIB_MAX + 2 * 19 * 1024;

#[test]
fn a_flood_through_both_doors_takes_all_places_and_no_more_and_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let ann = server.claim("ann");
    let witness = Witness::start(&server, &ann);
    let meter = Meter::of(&server);
    let door = |number| if number % 2 == 0 { server.https } else { server.native };
    let held: Vec<_> =
        (0..1_000).map(|number| connect_from(source(number), door(number)).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(500));
    let cost = meter.end();
    assert!(cost.descriptors > PLACES / 2, "the flood came in: {cost:?}");
    assert!(cost.descriptors <= PLACES + DESCRIPTORS_SPARE, "{cost:?}");
    assert!(cost.grown_kib < PLACES_KIB_MAX, "{cost:?}");
    drop(held);
    println!("flood: {cost:?}; {:?}", witness.end());
    assert!(server.request("GET", "/api/facts", &[], None).status == 200, "the places are free");
}

#[test]
fn an_address_that_connects_too_often_is_closed_at_once_and_others_get_in() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let ann = server.claim("ann");
    let witness = Witness::start(&server, &ann);
    let start = Instant::now();
    // Held ones meet the limit on places first.
    let held: Vec<_> = (0..2 * PLACES_PER_ADDRESS)
        .map(|_| connect_from(source(1), server.https).unwrap())
        .collect();
    wait_until("those without a place are closed", || open(&held) <= PLACES_PER_ADDRESS);
    assert_eq!(open(&held), PLACES_PER_ADDRESS);
    drop(held);
    // Then those that come and go meet the limit on their number.
    let mut served = 0;
    for _ in 0..1_000 {
        let stream = connect_from(source(1), server.http).unwrap();
        served += usize::from(answers(stream, server.http));
    }
    let seconds = usize::try_from(start.elapsed().as_secs()).unwrap() + 1;
    let most = NEWCOMERS_AT_ONCE + seconds * NEWCOMERS_PER_SECOND - 2 * PLACES_PER_ADDRESS;
    assert!(served <= most, "{served} of 1,000 were served in {seconds} s");
    assert!(answers(connect_from(source(2), server.http).unwrap(), server.http), "a neighbour");
    server.wait_line("this address opens too many");
    println!("one address: {served} of 1,000 served in {seconds} s; {:?}", witness.end());
}

#[test]
fn thirty_thousand_connections_that_never_log_in_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let ann = server.claim("ann");
    let witness = Witness::start(&server, &ann);
    let meter = Meter::of(&server);
    let idle = descriptors(server.pid());
    let native = server.tls(&[b"linnet"]);
    let mut greeted = 0;
    for wave in 0..300_u16 {
        let held: Vec<_> = (0..98_u16)
            .map(|at| connect_from(source(wave % 10 * 100 + at), server.native).unwrap())
            .collect();
        // Two of each hundred go as far as anybody can without a token.
        for at in 98..100 {
            let socket = connect_from(source(wave % 10 * 100 + at), server.native).unwrap();
            let session = tls::over(&native, socket).map(linnet_it::session::Session::native);
            greeted += usize::from(session.is_ok_and(|mut session| session.receive().is_ok()));
        }
        drop(held);
    }
    assert!(greeted > 500, "{greeted} of 600 were greeted\n{}", server.log());
    let cost = meter.end();
    assert!(cost.descriptors <= PLACES + DESCRIPTORS_SPARE, "{cost:?}");
    assert!(cost.grown_kib < PLACES_KIB_MAX, "{cost:?}");
    let back = || descriptors(server.pid()) <= idle + DESCRIPTORS_SPARE;
    wait_until("all descriptors are back", back);
    println!("30,000 connections: {greeted} greeted, {cost:?}; {:?}", witness.end());
}

#[test]
fn of_five_hundred_logins_at_once_some_are_done_and_the_rest_told_when_to_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let ann = server.claim("ann");
    let witness = Witness::start(&server, &ann);
    let meter = Meter::of(&server);
    let answers = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for number in 0..500 {
            let (server, answers) = (&server, &answers);
            threads.spawn(move || {
                let answer = login(server, number);
                answers.lock().unwrap().push(answer);
            });
        }
    });
    let cost = meter.end();
    let answers = answers.into_inner().unwrap();
    let of = |status| answers.iter().flatten().filter(move |answer| answer.status == status);
    let (refused, busy) = (of(403).count(), of(503).count());
    assert_eq!(refused + busy, 500, "everybody got an answer");
    assert!(refused >= 66, "{refused}: those that ran and waited at first");
    for answer in of(503) {
        assert_eq!(answer.json()["reason"], "busy");
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
    assert!(busy > 0, "the queue has an end");
    assert!(cost.grown_kib < LOGINS_KIB_MAX, "{cost:?}");
    println!("logins: {refused} checked, {busy} busy, {cost:?}; {:?}", witness.end());
}

/// A login from one of a hundred addresses, under a name of its own.
fn login(server: &Linnetd, number: u16) -> Option<Answer> {
    let body = json!({"name": format!("p{number}"), "password": "not the one", "device": "x"});
    let request = http::request("POST", "/api/login", &server.https.to_string(), &[], Some(&body));
    let socket = connect_from(source(number % 100), server.https).ok()?;
    http::exchange(tls::over(&server.tls(&[]), socket).ok()?, &request).ok()
}

/// Whether the plain door answers a request.
fn answers(mut stream: TcpStream, host: SocketAddr) -> bool {
    use std::io::{Read as _, Write as _};
    let request = http::request("GET", "/", &host.to_string(), &[], None);
    let (sent, mut text) = (stream.write_all(&request), Vec::new());
    sent.and_then(|()| stream.read_to_end(&mut text)).is_ok() && text.starts_with(b"HTTP/1.1 3")
}

fn open(streams: &[TcpStream]) -> usize {
    streams.iter().filter(|stream| !is_closed(stream)).count()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + linnet_it::PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
