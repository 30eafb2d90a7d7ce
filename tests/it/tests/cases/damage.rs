//! Damage to files: the box starts, says what it found, and loses nothing that was acked, or
//! shows the rescue page. Never a dead port.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use linnet_it::person::{Person, whole_history};
use linnet_it::process::{Linnetd, run};
use linnet_it::session::{Door, Session};
use serde_json::json;
use wire::ServerMessage;
use wire::client::SendText;
use wire::ids::{Counter, RoomId};

/// A box with some messages, stopped by SIGKILL.
struct Scene {
    _folder: tempfile::TempDir,
    data: PathBuf,
    ann: Person,
    room: RoomId,
}

fn scene(messages: usize, bytes: usize) -> Scene {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Linnetd::start(folder.path());
    let mut ann = server.claim("ann");
    let ben = ann.add(&server, "ben");
    let (mut session, _) = ann.enter(&server, Door::Native);
    let room = ann.open_direct(&mut session, ben.user);
    fill(&mut ann, &mut session, room, messages, bytes);
    let data = server.kill();
    Scene { _folder: folder, data, ann, room }
}

/// Posts texts of a size, many in flight.
fn fill(ann: &mut Person, session: &mut Session, room: RoomId, messages: usize, bytes: usize) {
    let (mut sent, mut acked) = (0, 0);
    while acked < messages {
        while sent < messages && sent - acked < 48 {
            let counter = ann.number();
            session.send(&SendText { counter, room, text: text(counter, bytes) }.into());
            sent += 1;
        }
        session.wait_for("an ack", |frame| match &frame.message {
            Some(ServerMessage::Ack(_)) => Some(()),
            Some(ServerMessage::Error(error)) => panic!("{error:?}"),
            _ => None,
        });
        acked += 1;
    }
}

fn text(counter: Counter, bytes: usize) -> String {
    let mut text = format!("{counter}:");
    while text.len() < bytes {
        text.push_str("a long story ");
    }
    text.truncate(bytes);
    text
}

impl Scene {
    /// The room's history after the box is back: messages and how many are damaged.
    fn history(&mut self, server: &Linnetd) -> (usize, u32) {
        let (mut session, _) = self.ann.enter(server, Door::Native);
        let (messages, damaged) = whole_history(&mut session, self.room);
        (messages.len(), damaged)
    }

    fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.data.join("log")).expect("the log's folder");
        let mut segments: Vec<_> = entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| {
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("seg-"))
            })
            .collect();
        segments.sort();
        segments
    }
}

/// First byte of the first sector from which on the file is blank.
fn end_of_data(path: &Path) -> u64 {
    let bytes = fs::read(path).expect("a segment");
    let sectors = bytes.chunks(512).rposition(|sector| sector.iter().any(|&byte| byte != 0));
    (sectors.expect("something was written") as u64 + 1) * 512
}

fn open(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).expect("the file is there")
}

fn flip(path: &Path, at: u64) {
    let file = open(path);
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("inside the file");
    file.write_all_at(&[byte[0] ^ 0x10], at).expect("inside the file");
}

#[test]
fn a_missing_index_is_rebuilt_from_the_log() {
    let mut scene = scene(300, 40);
    fs::remove_file(scene.data.join("index.redb")).expect("it was there");
    let server = Linnetd::start(&scene.data);
    assert_eq!(scene.history(&server), (300, 0));
}

#[test]
fn a_long_log_is_replayed_in_steps_without_an_index() {
    let mut scene = scene(9_000, 12);
    fs::remove_file(scene.data.join("index.redb")).expect("it was there");
    let server = Linnetd::start(&scene.data);
    assert_eq!(scene.history(&server), (9_000, 0));
    let (mut session, caught) = scene.ann.enter(&server, Door::Native);
    assert_eq!(caught.welcome.last_counter, scene.ann.counter);
    scene.ann.say(&mut session, scene.room, "and on it goes");
    let data = server.kill();
    let server = Linnetd::start(&data);
    assert_eq!(scene.history(&server), (9_001, 0));
}

#[test]
fn a_corrupt_index_is_moved_aside_with_a_reason_and_rebuilt() {
    for damage in ["cut", "noise", "flip"] {
        let mut scene = scene(60, 40);
        // An orderly stop and start first, so that the file is whole before it is hurt.
        assert!(Linnetd::start(&scene.data).stop().success());
        let path = scene.data.join("index.redb");
        let length = fs::metadata(&path).expect("it is there").len();
        match damage {
            "cut" => open(&path).set_len(length / 2).expect("it can be cut"),
            "noise" => fs::write(&path, vec![0xa5; 10_000]).expect("it can be written"),
            _ => (0..length).step_by(512).for_each(|at| flip(&path, at)),
        }
        let server = Linnetd::start(&scene.data);
        assert!(server.log().contains("rebuilt from the log"), "{damage}: {}", server.log());
        assert!(scene.data.join("index.broken-1").exists(), "{damage}");
        assert_eq!(scene.history(&server), (60, 0), "{damage}");
    }
}

#[test]
fn a_torn_batch_after_the_last_ack_is_dropped_and_said() {
    let mut scene = scene(50, 40);
    let tail = scene.segments().pop().expect("a segment");
    let end = end_of_data(&tail);
    // The first sectors of a batch whose rest never arrived.
    let file = open(&tail);
    let mut torn = vec![0; 1024];
    file.read_exact_at(&mut torn, end - 1024).expect("two sectors");
    file.write_all_at(&torn[..700], end).expect("inside the file");
    let server = Linnetd::start(&scene.data);
    assert!(server.log().contains("dropped"), "{}", server.log());
    assert_eq!(scene.history(&server), (50, 0));
    let (mut session, _) = scene.ann.enter(&server, Door::Json);
    scene.ann.say(&mut session, scene.room, "and on it goes");
}

#[test]
fn damage_in_the_last_batch_after_an_orderly_stop_is_never_taken_for_torn() {
    let scene = scene(50, 40);
    assert!(Linnetd::start(&scene.data).stop().success());
    let tail = scene.segments().pop().expect("a segment");
    flip(&tail, end_of_data(&tail) - 512);
    let server = Linnetd::start(&scene.data);
    let facts = server.request("GET", "/api/facts", &[], None).json();
    assert!(facts["rescue"].as_str().is_some_and(|text| text.contains("damaged")), "{facts}");
}

#[test]
fn a_record_that_crashed_replay_three_times_is_skipped_and_said() {
    let mut scene = scene(40, 40);
    // What a third crash at this record leaves behind (the log's FORMAT.md, replay guard).
    let (current, suspect, deaths) = (20_u64, 20_u64, 2_u32);
    let mut guard = [current.to_le_bytes(), suspect.to_le_bytes()].concat();
    guard.extend_from_slice(&deaths.to_le_bytes());
    guard.extend_from_slice(&crc32c::crc32c(&guard).to_le_bytes());
    fs::write(scene.data.join("log/replay-guard"), guard).expect("the folder is writable");
    let server = Linnetd::start(&scene.data);
    assert!(server.log().contains("Record 20 crashed replay"), "{}", server.log());
    let epoch = scene.ann.epoch;
    assert_eq!(scene.history(&server), (39, 1));
    assert_ne!(scene.ann.epoch, epoch, "lost records begin a new incarnation");
    let epoch = scene.ann.epoch;
    let (mut session, _) = scene.ann.enter(&server, Door::Json);
    scene.ann.say(&mut session, scene.room, "and on it goes");
    // It stays skipped, and no other record is.
    let data = server.kill();
    let server = Linnetd::start(&data);
    assert_eq!(scene.history(&server), (40, 1));
    assert_eq!(scene.ann.epoch, epoch, "only once");
}

#[test]
fn damage_in_a_sealed_segment_is_served_around_and_counted() {
    let mut scene = scene(620, 16_000);
    let segments = scene.segments();
    assert!(segments.len() >= 2, "{segments:?}");
    flip(&segments[0], 4 * 1024 * 1024);
    let server = Linnetd::start_with(&scene.data, &["--rebuild"]);
    assert!(server.log().contains("damaged"), "{}", server.log());
    let (messages, damaged) = scene.history(&server);
    assert!(damaged >= 1, "{damaged}");
    assert_eq!(messages + damaged as usize, 620);
    let health = server.request("GET", "/api/health", &[], None).json();
    assert_eq!(health["ok"], false);
}

#[test]
fn damage_in_the_tail_segment_leads_to_the_rescue_page_and_salvage_goes_on() {
    let mut scene = scene(80, 200);
    let tail = scene.segments().pop().expect("a segment");
    // The middle of what was acked: valid batches chain past it.
    flip(&tail, end_of_data(&tail) / 2);
    let epoch = {
        let server = Linnetd::start(&scene.data);
        let facts = server.request("GET", "/api/facts", &[], None).json();
        assert!(facts["rescue"].as_str().is_some_and(|text| text.contains("damaged")), "{facts}");
        let page = server.request("GET", "/", &[], None);
        assert!(page.status == 200 && page.text().contains("needs help"), "{}", page.text());
        let again = Person::login(&server, "ann");
        let bearer = again.bearer();
        let headers = [("Authorization", bearer.as_str())];
        let backup = server.request("GET", "/api/backup", &headers, None);
        assert_eq!(backup.status, 200, "{}", backup.text());
        assert!(backup.body.starts_with(b"LinnetBk"));
        let body = json!({"name": "eve", "password": "a long password", "role": "member"});
        let refused = server.request("POST", "/api/users", &headers, Some(&body));
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert!(server.stop().success());
        facts["epoch"].clone()
    };
    let (status, output) = run(&["--data", scene.data.to_str().expect("UTF-8"), "--salvage"]);
    assert!(status.success(), "{output}");
    let server = Linnetd::start(&scene.data);
    let facts = server.request("GET", "/api/facts", &[], None).json();
    assert!(facts["rescue"].is_null() && facts["epoch"] != epoch, "{facts}");
    let (messages, _) = scene.history(&server);
    assert!((1..80).contains(&messages), "{messages}");
}

#[test]
fn the_owner_salvages_from_the_rescue_page_and_nobody_else_does() {
    let mut scene = scene(80, 200);
    let tail = scene.segments().pop().expect("a segment");
    flip(&tail, end_of_data(&tail) / 2);
    let server = Linnetd::start(&scene.data);
    let script = server.request("GET", "/rescue.js", &[], None);
    assert!(script.status == 200 && script.text().contains("/api/salvage"));
    let salvage = |person: &Person| {
        let bearer = person.bearer();
        let headers = [("Authorization", bearer.as_str())];
        server.request("POST", "/api/salvage", &headers, Some(&json!({})))
    };
    assert_eq!(salvage(&Person::login(&server, "ben")).status, 403);
    let answer = salvage(&Person::login(&server, "ann"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    server.wait_line("salvaged");
    server.wait_until_ready();
    let facts = server.request("GET", "/api/facts", &[], None).json();
    assert!(facts["rescue"].is_null(), "{facts}");
    let (messages, _) = scene.history(&server);
    assert!((1..80).contains(&messages), "{messages}");
    // A box that is well has nothing to salvage.
    assert_eq!(salvage(&scene.ann).status, 409);
}

#[test]
fn init_s_reason_is_served_even_without_a_usable_data_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let reason = "DATA could not be mounted: the card is worn out";
    let server = Linnetd::start_with(folder.path(), &["--rescue", reason]);
    let facts = server.request("GET", "/api/facts", &[], None).json();
    assert_eq!(facts["rescue"], reason);
    assert!(server.stop().success());
}
