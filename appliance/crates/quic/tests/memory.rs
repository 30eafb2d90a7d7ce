//! What an idle session costs, after it received and sent 4 KB. The clients are a process of their
//! own: this test once more, told by a variable.
#![allow(clippy::unwrap_used, dead_code)] // the rig is shared, and not all of it is used here

#[path = "sockets/rig.rs"]
mod rig;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use linnet_quic::limits::CONNECTION_BYTES;
use linnet_quic::{Event, Frame, QuicConfig};
use rig::{Client, Newcomer, Server, client_endpoint, news, welcome};
use wire::Targets;
use wire::client::SendText;
use wire::ids::{Counter, RoomId};
use wire::server::Message;

const SESSIONS: usize = 300;
const TEXT_BYTES: usize = 4_000;

/// Tells the child where the server is and whom to trust, in hexadecimal.
const VARIABLE: &str = "LINNET_QUIC_CLIENTS_OF";

#[test]
fn an_idle_session_costs_no_more_than_the_budget_counts() {
    if let Ok(of) = std::env::var(VARIABLE) {
        return be_the_clients(&of);
    }
    let mut server = Server::start(QuicConfig::default());
    drop(server.welcomed()); // whatever is made once
    while !matches!(server.next(), Event::Closed { .. }) {}
    let before = proportional_bytes();
    let authority: String = server.authority.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut clients = Command::new(std::env::current_exe().unwrap())
        .args(["an_idle_session", "--nocapture"])
        .env(VARIABLE, format!("{} {authority}", server.quic.address()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    serve(&mut server);
    let mut lines = BufReader::new(clients.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("idle")), "the clients failed");
    std::thread::sleep(Duration::from_secs(2));
    let each = proportional_bytes().saturating_sub(before) / SESSIONS as u64;
    println!("{each} bytes for an idle session (PSS, {SESSIONS} sessions)");
    assert!(each <= CONNECTION_BYTES, "{each}");
    drop(clients.stdin.take());
    assert!(clients.wait().unwrap().success());
}

/// Welcomes everybody, and takes and sends everybody's text.
fn serve(server: &mut Server) {
    let (welcome, text) = (Frame::new(welcome(), 0), Frame::new(text(), 0));
    let mut texts = 0;
    while texts < SESSIONS {
        match server.next() {
            Event::Connected { session, .. } => {
                server.outbox.send(Targets::One(session), welcome.clone(), false);
                server.outbox.send(Targets::One(session), text.clone(), false);
                server.outbox.flush();
            }
            Event::Frame { .. } => texts += 1,
            other => panic!("{other:?}"),
        }
    }
}

fn text() -> Message {
    Message { text: "x".repeat(TEXT_BYTES), ..news() }
}

fn be_the_clients(of: &str) {
    let (address, authority) = of.split_once(' ').unwrap();
    let byte = |at| u8::from_str_radix(&authority[at..at + 2], 16).unwrap();
    let authority: Vec<u8> = (0..authority.len()).step_by(2).map(byte).collect();
    let (endpoint, authority) = (client_endpoint(), authority.into());
    let say = SendText { counter: Counter(1), room: RoomId(1), text: "y".repeat(TEXT_BYTES) };
    let clients: Vec<Client> = (0..SESSIONS)
        .map(|_| {
            let newcomer =
                Newcomer::connect(&endpoint, address.parse().unwrap(), &authority).unwrap();
            let mut client = newcomer.session();
            assert_eq!((client.next(), client.next()), (welcome().into(), text().into()));
            client.say(say.clone(), 1);
            client
        })
        .collect();
    println!("idle");
    // Until the parent has measured.
    let _ = std::io::stdin().read(&mut [0]);
    drop(clients);
}

/// Memory of this process, shared pages by their share, in bytes (proc(5), smaps_rollup).
fn proportional_bytes() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}
