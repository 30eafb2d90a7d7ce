//! SIGKILL under load: everything acked is there once and in order, nothing else doubled.

use std::collections::BTreeMap;
use std::time::Duration;

use linnet_it::person::{Person, whole_history};
use linnet_it::process::{Linnetd, binary};
use linnet_it::session::{Door, Session};
use wire::ServerMessage;
use wire::client::{ClientMessage, SendText};
use wire::ids::{Counter, RoomId, Seq};

/// Commands of one device that were sent and not answered.
struct Outbox {
    person: Person,
    room: RoomId,
    waiting: BTreeMap<u64, String>,
    acked: BTreeMap<u64, (Seq, String)>,
}

impl Outbox {
    fn command(&self, counter: u64) -> ClientMessage {
        let text = self.waiting[&counter].clone();
        SendText { counter: Counter(counter), room: self.room, text }.into()
    }

    /// Sends everything that waits, oldest first, then new texts up to the window.
    fn push(&mut self, session: &mut Session, new: usize) -> std::io::Result<()> {
        let old: Vec<u64> = self.waiting.keys().copied().collect();
        for counter in old {
            session.try_send(&self.command(counter))?;
        }
        for _ in 0..new {
            let counter = self.person.number().0;
            self.waiting.insert(counter, format!("{} says {counter}", self.person.name));
            session.try_send(&self.command(counter))?;
        }
        Ok(())
    }

    /// Takes answers until `left` commands wait or the server is silent.
    fn pull(&mut self, session: &mut Session, left: usize) {
        while self.waiting.len() > left {
            let Ok(Some(frame)) = session.poll(Duration::from_secs(10)) else { return };
            if let Some(ServerMessage::Ack(ack)) = frame.message
                && let Some(text) = self.waiting.remove(&ack.counter.0)
            {
                self.acked.insert(ack.counter.0, (ack.seq, text));
            }
        }
    }
}

#[test]
fn nothing_acked_is_lost_and_nothing_is_doubled_by_three_kills() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Linnetd::start(folder.path());
    let mut ann = server.claim("ann");
    let ben = ann.add(&server, "ben");
    let (mut session, _) = ann.enter(&server, Door::Native);
    let room = ann.open_direct(&mut session, ben.user);
    let mut outbox = Outbox { person: ann, room, waiting: BTreeMap::new(), acked: BTreeMap::new() };
    for _ in 0..3 {
        outbox.push(&mut session, 60).unwrap();
        outbox.pull(&mut session, 30);
        let data = server.kill();
        server = Linnetd::start(&data);
        let next = outbox.person.counter;
        let (reopened, caught) = outbox.person.enter(&server, Door::Native);
        session = reopened;
        assert!(caught.welcome.last_counter <= next);
        outbox.person.counter = next;
        outbox.push(&mut session, 0).unwrap();
        outbox.pull(&mut session, 0);
        assert!(outbox.waiting.is_empty(), "{:?}\n{}", outbox.waiting, server.log());
    }
    let (messages, damaged) = whole_history(&mut session, room);
    assert_eq!(damaged, 0);
    assert_eq!(messages.len(), outbox.acked.len());
    for (message, (counter, (seq, text))) in messages.iter().zip(&outbox.acked) {
        assert_eq!((message.counter.0, message.seq, &message.text), (*counter, *seq, text));
    }
}

#[test]
fn a_client_that_was_away_gets_what_it_missed_exactly_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let mut ann = server.claim("ann");
    let mut ben = ann.add(&server, "ben");
    let (mut at_ann, _) = ann.enter(&server, Door::Json);
    let room = ann.open_direct(&mut at_ann, ben.user);
    ann.say(&mut at_ann, room, "before");
    let (at_ben, first) = ben.enter(&server, Door::Json);
    drop(at_ben);
    assert_eq!(first.rooms.len(), 1);
    for number in 0..300 {
        ann.say(&mut at_ann, room, &format!("missed {number}"));
    }
    let data = server.kill();
    let server = Linnetd::start(&data);
    let (_session, caught) = ben.enter(&server, Door::Binary);
    let missed: Vec<_> = caught.messages.iter().map(|message| message.text.clone()).collect();
    let wanted: Vec<_> = (0..300).map(|number| format!("missed {number}")).collect();
    assert_eq!(missed, wanted);
    let (_session, caught) = ben.enter(&server, Door::Binary);
    assert!(caught.messages.is_empty(), "{:?}", caught.messages);
}

#[test]
fn a_terminated_server_ends_cleanly_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let mut ann = server.claim("ann");
    let ben = ann.add(&server, "ben");
    let (mut session, _) = ann.enter(&server, Door::Json);
    let room = ann.open_direct(&mut session, ben.user);
    ann.say(&mut session, room, "good night");
    let data = server.data.clone();
    assert!(server.stop().success());
    let server = Linnetd::start(&data);
    let (mut session, _) = ann.enter(&server, Door::Json);
    let (messages, _) = whole_history(&mut session, room);
    assert_eq!(messages.len(), 1);
    assert_eq!(server.request("GET", "/api/facts", &[], None).json()["claimed"], true);
}

#[test]
fn a_failed_write_acks_nothing_ends_with_its_code_and_recovery_decides() {
    let folder = tempfile::tempdir().unwrap();
    // A limit on file size makes writes fail; without the trap it would be a deadly signal.
    let mut command = std::process::Command::new("sh");
    command.args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#]).arg(binary());
    let mut server = Linnetd::start_by(command, folder.path(), &[]);
    let mut ann = server.claim("ann");
    let ben = ann.add(&server, "ben");
    let (mut session, _) = ann.enter(&server, Door::Json);
    let room = ann.open_direct(&mut session, ben.user);
    ann.say(&mut session, room, "safe");
    let pid = rustix::process::Pid::from_raw(i32::try_from(server.pid()).unwrap());
    let none = rustix::process::Rlimit { current: Some(0), maximum: None };
    rustix::process::prlimit(pid, rustix::process::Resource::Fsize, none).unwrap();
    let counter = ann.number();
    let command = SendText { counter, room, text: "in doubt".into() };
    session.send(&command.clone().into());
    let acked = session.drain().iter().any(|message| matches!(message, ServerMessage::Ack(_)));
    assert!(!acked);
    assert_eq!(server.wait_end().code(), Some(74), "{}", server.log());
    assert!(server.log().contains("the card failed"), "{}", server.log());

    let server = Linnetd::start(folder.path());
    let (mut session, _) = ann.enter(&server, Door::Json);
    assert!(matches!(session.ask(&command.into()), ServerMessage::Ack(_)));
    let (messages, damaged) = whole_history(&mut session, room);
    let texts: Vec<_> = messages.iter().map(|message| message.text.as_str()).collect();
    assert_eq!((texts, damaged), (vec!["safe", "in doubt"], 0));
}
