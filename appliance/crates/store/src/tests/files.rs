//! The file on a real file system: missing, foreign, of another format, or the cause of a crash.

use std::fs;
use std::path::{Path, PathBuf};

use wire::ids::{Offset, RoomId};

use super::CACHE;
use super::model::Model;
use crate::{Opened, Store, StoreError, tables};

fn filled(folder: &Path) -> (PathBuf, Model) {
    let path = folder.join("index.redb");
    let (mut store, opened) = Store::open(&path, CACHE).unwrap();
    assert_eq!(opened, Opened::New);
    let mut model = Model::new();
    model.post(RoomId(1), 100);
    model.checkpoint(&mut store).unwrap();
    (path, model)
}

#[test]
fn the_file_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = filled(folder.path());
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    drop(Store::rebuild(&path, CACHE, "as asked").unwrap());
    assert_eq!(mode(), 0o600);
}

#[test]
fn an_empty_file_that_a_cut_left_behind_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.redb");
    fs::write(&path, b"").unwrap();
    let (store, _) = Store::open(&path, CACHE).unwrap();
    assert_eq!(store.applied().unwrap(), Offset(0));
}

#[test]
fn a_good_file_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (path, model) = filled(folder.path());
    let (store, opened) = Store::open(&path, CACHE).unwrap();
    assert_eq!(opened, Opened::Kept);
    assert_eq!(store.load().unwrap().0, model.state);
    assert!(!path.with_extension("opening").exists());
}

#[test]
fn a_file_that_cannot_be_used_is_moved_aside_with_a_reason() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage); 4] = [
        ("noise", |path| fs::write(path, vec![0x5a; 9_000]).unwrap()),
        ("cut", |path| {
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() / 3).unwrap();
        }),
        ("flipped", |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes.iter_mut().step_by(700).for_each(|byte| *byte ^= 0x40);
            fs::write(path, bytes).unwrap();
        }),
        ("crash", |path| fs::write(path.with_extension("opening"), b"").unwrap()),
    ];
    for (name, damage) in cases {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = filled(folder.path());
        damage(&path);
        let (store, opened) = Store::open(&path, CACHE).unwrap();
        let Opened::Replaced { reason, aside } = opened else { panic!("{name}: {opened:?}") };
        assert!(!reason.is_empty() && aside.exists(), "{name}");
        assert_eq!(store.applied().unwrap(), Offset(0), "{name}");
    }
}

#[test]
fn a_file_of_another_format_is_moved_aside() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = filled(folder.path());
    let (store, _) = Store::open(&path, CACHE).unwrap();
    store
        .with(|database| {
            tables::write(database, |transaction| {
                let mut about = transaction.open_table(tables::ABOUT).unwrap();
                about.insert(tables::FORMAT, 99).unwrap();
                Ok(())
            })
        })
        .unwrap();
    drop(store);
    let (_, opened) = Store::open(&path, CACHE).unwrap();
    assert!(matches!(&opened, Opened::Replaced { reason, .. } if reason.contains("format 99")));
}

#[test]
fn copies_of_broken_files_do_not_pile_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.redb");
    for _ in 0..5 {
        fs::write(&path, vec![0x5a; 9_000]).unwrap();
        drop(Store::open(&path, CACHE).unwrap());
    }
    let names = fs::read_dir(folder.path()).unwrap();
    let broken = names
        .filter(|name| name.as_ref().unwrap().file_name().to_string_lossy().contains("broken"))
        .count();
    assert_eq!(broken, crate::limits::ASIDE_FILES_MAX);
}

#[test]
fn a_file_in_use_is_not_taken_for_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (path, model) = filled(folder.path());
    let (store, _) = Store::open(&path, CACHE).unwrap();
    assert!(matches!(Store::open(&path, CACHE), Err(StoreError::InUse)));
    assert_eq!(store.load().unwrap().0, model.state);
}

#[test]
fn an_asked_for_rebuild_begins_an_empty_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = filled(folder.path());
    let (store, opened) = Store::rebuild(&path, CACHE, "as asked").unwrap();
    assert!(matches!(opened, Opened::Replaced { .. }));
    assert_eq!(store.load().unwrap().1, Offset(0));
}
