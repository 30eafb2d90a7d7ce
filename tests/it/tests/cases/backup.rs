//! Backup and restore: everything comes back in a new incarnation; nothing broken is accepted.

use linnet_it::person::{Person, whole_history};
use linnet_it::process::{Linnetd, run};
use linnet_it::session::Door;
use wire::server::SyncMode;

#[test]
fn a_backup_restores_everything_into_a_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(&folder.path().join("old"));
    let mut ann = server.claim("ann");
    let ben = ann.add(&server, "ben");
    let (mut session, _) = ann.enter(&server, Door::Binary);
    let room = ann.open_direct(&mut session, ben.user);
    for number in 0..120 {
        ann.say(&mut session, room, &format!("keep {number}"));
    }
    let (before, _) = whole_history(&mut session, room);
    let backup = download(&server, &ann);
    assert_eq!(backup.status, 200, "{}", backup.text());
    let facts = server.request("GET", "/api/facts", &[], None).json();
    assert!(server.stop().success());

    let file = folder.path().join("box.linnet-backup");
    std::fs::write(&file, &backup.body).unwrap();
    let (new, file) = (folder.path().join("new"), file.to_str().unwrap().to_owned());
    let new_text = new.to_str().unwrap();
    let (status, output) = run(&["--data", new_text, "--restore", &file]);
    assert!(status.success(), "{output}");
    let (status, output) = run(&["--data", new_text, "--restore", &file]);
    assert!(!status.success() && output.contains("not empty"), "{output}");

    let server = Linnetd::start(&new);
    let restored = server.request("GET", "/api/facts", &[], None).json();
    assert_eq!(restored["box_id"], facts["box_id"]);
    assert_ne!(restored["epoch"], facts["epoch"]);
    let (mut session, caught) = ann.enter(&server, Door::Json);
    assert_eq!(caught.welcome.sync, SyncMode::Reset, "another epoch drops the copy");
    let (after, damaged) = whole_history(&mut session, room);
    assert_eq!((after.len(), damaged), (before.len(), 0));
    assert!(before.iter().zip(&after).all(|(one, other)| {
        (one.seq, &one.text, one.author, one.time_ms)
            == (other.seq, &other.text, other.author, other.time_ms)
    }));
    ann.say(&mut session, room, "and on");
}

#[test]
fn a_restore_that_was_cut_short_is_no_box_and_can_be_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(&folder.path().join("old"));
    let ann = server.claim("ann");
    let file = folder.path().join("box.linnet-backup");
    std::fs::write(&file, download(&server, &ann).body).unwrap();
    // What a cut in the middle leaves: part of the log, beside its place.
    let new = folder.path().join("new");
    let half = new.join("log.restoring");
    std::fs::create_dir_all(&half).unwrap();
    for entry in std::fs::read_dir(folder.path().join("old/log")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), half.join(entry.file_name())).unwrap();
    }
    let arguments = ["--data", new.to_str().unwrap(), "--restore", file.to_str().unwrap()];
    let (status, output) = run(&arguments);
    assert!(status.success(), "{output}");
    assert!(!half.exists());
    let restored = Linnetd::start(&new);
    let facts = restored.request("GET", "/api/facts", &[], None).json();
    assert_eq!(facts["claimed"], true, "{facts}");
}

#[test]
fn a_broken_backup_is_refused_and_leaves_no_data_behind() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(&folder.path().join("old"));
    let ann = server.claim("ann");
    let good = download(&server, &ann).body;
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let cases: [(&str, &[u8]); 5] = [
        ("cut", &good[..good.len() - 1]),
        ("short", &good[..40]),
        ("flipped", &flipped),
        ("foreign", b"PK\x03\x04 this is a zip file, which is something else altogether, is it"),
        ("empty", b""),
    ];
    for (name, bytes) in cases {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        let new = folder.path().join(format!("new-{name}"));
        let (status, output) =
            run(&["--data", new.to_str().unwrap(), "--restore", file.to_str().unwrap()]);
        assert!(!status.success(), "{name}: {output}");
        assert!(output.contains("can't be restored"), "{name}: {output}");
        assert!(!new.exists(), "{name}");
    }
}

#[test]
fn only_the_owner_gets_a_backup() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let ann = server.claim("ann");
    let ben = ann.add(&server, "ben");
    assert_eq!(download(&server, &ben).status, 403);
    assert_eq!(server.request("GET", "/api/backup", &[], None).status, 401);
}

fn download(server: &Linnetd, by: &Person) -> linnet_it::http::Answer {
    let bearer = by.bearer();
    server.request("GET", "/api/backup", &[("Authorization", bearer.as_str())], None)
}
