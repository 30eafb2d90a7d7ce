//! Power cuts at every operation of a checkpoint: the store is at the one before or the new one.

use wire::ids::{RoomId, Seq};

use super::CACHE;
use super::fault::Media;
use super::model::Model;
use crate::Store;

/// A medium with one checkpoint on it, cleanly closed, and the box that wrote it.
fn prepared() -> (Media, Model) {
    let media = Media::default();
    let mut model = Model::new();
    let mut store = Store::open_backend(media.backend(), CACHE).unwrap();
    model.post(RoomId(1), 50);
    model.checkpoint(&mut store).unwrap();
    (media, model)
}

/// Operations that one more checkpoint takes, opening included.
fn operations_of_a_checkpoint() -> u64 {
    let (media, mut model) = prepared();
    let before = media.operations();
    let mut store = Store::open_backend(media.backend(), CACHE).unwrap();
    model.post(RoomId(2), 50);
    model.checkpoint(&mut store).unwrap();
    std::mem::forget(store);
    media.operations() - before
}

#[test]
fn a_cut_at_any_operation_leaves_the_old_or_the_new_checkpoint_whole() {
    let operations = operations_of_a_checkpoint();
    assert!(operations > 10, "{operations}");
    let (mut old, mut new) = (0, 0);
    for cut in 0..=operations {
        for seed in 0..3 {
            let (media, mut model) = prepared();
            let before = model.state.clone();
            media.die_after(cut);
            let acked = Store::open_backend(media.backend(), CACHE).is_ok_and(|mut store| {
                model.post(RoomId(2), 50);
                let written = model.checkpoint(&mut store).is_ok();
                // A dead process closes nothing.
                std::mem::forget(store);
                written
            });
            media.cut_power(cut * 3 + seed);
            let store = Store::open_backend(media.backend(), CACHE).unwrap();
            let (state, applied) = store.load().unwrap();
            assert_eq!(state.head(), applied);
            let is_old = state == before;
            assert!(is_old || state == model.state, "cut {cut} seed {seed}");
            assert!(!(acked && is_old), "cut {cut} seed {seed}: an acked checkpoint is gone");
            let found = store.index().range(RoomId(2), Seq(1), Seq(100)).unwrap().len();
            assert_eq!(found as u64, state.room_head(RoomId(2)).0);
            if is_old { old += 1 } else { new += 1 }
        }
    }
    assert!(old > 0 && new > 0, "{old} cuts before, {new} after the commit");
}

#[test]
fn checkpoints_go_on_after_a_cut() {
    let (media, mut model) = prepared();
    media.die_after(12);
    if let Ok(mut store) = Store::open_backend(media.backend(), CACHE) {
        let mut lost = Model::new();
        lost.post(RoomId(1), 60);
        assert!(lost.checkpoint(&mut store).is_err());
        std::mem::forget(store);
    }
    media.cut_power(7);
    let mut store = Store::open_backend(media.backend(), CACHE).unwrap();
    model.post(RoomId(1), 10);
    model.checkpoint(&mut store).unwrap();
    assert_eq!(store.load().unwrap().0, model.state);
    assert_eq!(model.seq(RoomId(1)), Seq(60));
}
