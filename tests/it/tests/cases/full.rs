//! A full card: no ack, a clear error; sign-in and reads work; it recovers when space returns.

use std::process::Command;
use std::time::{Duration, Instant};

use linnet_it::PATIENCE;
use linnet_it::person::{Person, whole_history};
use linnet_it::process::{Linnetd, binary};
use linnet_it::session::{Door, Session};
use wire::ServerMessage;
use wire::client::SendText;
use wire::ids::RoomId;
use wire::server::Reason;

/// Mounts a small file system for the server alone, in a mount name space of its own, and starts
/// the server a second time there when the first one is gone.
const IN_SMALL_DISK: &str = r#"mount -t tmpfs -o size=52m linnet-it "$0" && { "$@"; exec "$@"; }"#;

fn on_small_disk(data: &std::path::Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", IN_SMALL_DISK]);
    command.arg(data).arg(binary());
    command
}

fn can_mount() -> bool {
    let test = ["--mount", "--propagation", "private", "mount", "-t", "tmpfs", "t", "/mnt"];
    Command::new("unshare").args(test).output().is_ok_and(|output| output.status.success())
}

#[test]
fn a_full_card_refuses_messages_serves_the_rest_and_recovers() {
    if !can_mount() {
        eprintln!("skipped: mounting a small disk needs root and a mount name space");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start_inside(on_small_disk(folder.path()), folder.path());
    let mut ann = server.claim("ann");
    let ben = ann.add(&server, "ben");
    let (mut session, _) = ann.enter(&server, Door::Native);
    let room = ann.open_direct(&mut session, ben.user);
    let filler = server.data.join("filler");
    std::fs::write(&filler, vec![1; 14 << 20]).unwrap();

    let (acked, refused) = fill(&mut ann, &mut session, room);
    assert!(acked > 100, "{acked}");
    assert_eq!(refused, Reason::CardFull);
    let facts = server.request("GET", "/api/facts", &[], None);
    assert_eq!(facts.status, 200);
    let mut again = Person::login(&server, "ann");
    let (mut other, caught) = again.enter(&server, Door::Json);
    assert_eq!(caught.rooms.len(), 1);
    let (messages, damaged) = whole_history(&mut other, room);
    assert_eq!((messages.len(), damaged), (acked, 0), "acked is there, refused is not");

    std::fs::remove_file(&filler).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !says(&mut ann, &mut session, room) {
        assert!(Instant::now() < deadline, "it never recovers\n{}", server.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    let (messages, _) = whole_history(&mut other, room);
    assert_eq!(messages.len(), acked + 1);
}

#[test]
fn a_box_that_starts_on_a_full_card_answers_and_knows_everything() {
    if !can_mount() {
        eprintln!("skipped: mounting a small disk needs root and a mount name space");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start_inside(on_small_disk(folder.path()), folder.path());
    let mut ann = server.claim("ann");
    let ben = ann.add(&server, "ben");
    let (mut session, _) = ann.enter(&server, Door::Native);
    let room = ann.open_direct(&mut session, ben.user);
    std::fs::write(server.data.join("filler"), vec![1; 14 << 20]).unwrap();
    let (acked, _) = fill(&mut ann, &mut session, room);
    // Not a byte is left for anybody.
    let mut rest = std::fs::File::create(server.data.join("rest")).unwrap();
    while std::io::Write::write_all(&mut rest, &[1; 4096]).is_ok() {}

    let children = format!("/proc/{0}/task/{0}/children", server.pid());
    let child = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
    let child = rustix::process::Pid::from_raw(child).unwrap();
    rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
    session.drain();
    server.wait_until_ready();
    let mut again = Person::login(&server, "ann");
    let (mut session, caught) = again.enter(&server, Door::Json);
    assert_eq!(caught.rooms.len(), 1);
    let (messages, damaged) = whole_history(&mut session, room);
    assert_eq!((messages.len(), damaged), (acked, 0));
    assert!(!says(&mut again, &mut session, room), "still no space");
}

/// One more message; false when the card is still full, which uses no number.
fn says(ann: &mut Person, session: &mut Session, room: RoomId) -> bool {
    let counter = ann.counter.next();
    match session.ask(&SendText { counter, room, text: "space again".into() }.into()) {
        ServerMessage::Ack(_) => {
            ann.counter = counter;
            true
        }
        ServerMessage::Error(error) if error.reason == Reason::CardFull => {
            assert!(error.retry_after_ms.is_some() && !error.text.is_empty());
            false
        }
        other => panic!("{other:?}"),
    }
}

/// Posts until the box refuses; how many were acked, and why it stopped.
fn fill(ann: &mut Person, session: &mut Session, room: RoomId) -> (usize, Reason) {
    for acked in 0..4_000 {
        let counter = ann.counter.next();
        let text = "x".repeat(16_000);
        match session.ask(&SendText { counter, room, text }.into()) {
            ServerMessage::Ack(_) => ann.counter = counter,
            ServerMessage::Error(error) => return (acked, error.reason),
            other => panic!("{other:?}"),
        }
    }
    panic!("a disk of 52 MB took 64 MB");
}
