//! Tests of the index: what goes in comes back, also after cuts at every operation.

mod crash;
mod fault;
mod files;
mod model;

use log::Position;
use wire::ids::{DeviceId, Offset, RoomId, Seq};

use crate::{Store, StoreError};
use fault::Media;
use model::Model;

/// Enough for the tests, small enough that pages are evicted.
const CACHE: usize = 1024 * 1024;

fn fresh() -> Store {
    Store::open_backend(Media::default().backend(), CACHE).unwrap()
}

#[test]
fn the_state_that_was_written_is_the_state_that_comes_back() {
    let (mut store, mut model) = (fresh(), Model::new());
    for _ in 0..5 {
        model.post(RoomId(1), 40);
        model.post(RoomId(2), 3);
        model.checkpoint(&mut store).unwrap();
        let (state, applied) = store.load().unwrap();
        assert_eq!((&state, applied), (&model.state, model.state.head()));
    }
}

#[test]
fn a_new_store_holds_the_state_before_the_first_record() {
    let (state, applied) = fresh().load().unwrap();
    assert_eq!((state, applied), (chat::State::new(), Offset(0)));
}

#[test]
fn a_removed_device_does_not_come_back() {
    let (mut store, mut model) = (fresh(), Model::new());
    model.checkpoint(&mut store).unwrap();
    assert!(store.load().unwrap().0.device(DeviceId(2)).is_some());
    model.remove_device(DeviceId(2));
    model.checkpoint(&mut store).unwrap();
    let (state, _) = store.load().unwrap();
    assert!(state.device(DeviceId(2)).is_none());
    assert_eq!(state, model.state);
}

#[test]
fn a_range_is_ascending_and_of_one_room_only() {
    let (mut store, mut model) = (fresh(), Model::new());
    model.post(RoomId(1), 30);
    model.post(RoomId(2), 30);
    model.post(RoomId(1), 30);
    model.checkpoint(&mut store).unwrap();
    let index = store.index();
    let entries = index.range(RoomId(1), Seq(20), Seq(45)).unwrap();
    let seqs: Vec<u64> = entries.iter().map(|entry| entry.seq.0).collect();
    assert_eq!(seqs, (20..=45).collect::<Vec<_>>());
    for entry in entries {
        assert_eq!(Some(entry.position), model.position(entry.offset));
    }
    assert!(index.range(RoomId(3), Seq(1), Seq(9)).unwrap().is_empty());
    assert!(index.range(RoomId(1), Seq(9), Seq(1)).unwrap().is_empty());
}

#[test]
fn a_message_without_a_position_fails_and_changes_nothing() {
    let (mut store, mut model) = (fresh(), Model::new());
    model.checkpoint(&mut store).unwrap();
    let before = store.load().unwrap();
    model.post(RoomId(1), 1);
    let changes = model.take_changes();
    let result = store.checkpoint(model.state.head(), &changes, |_| None::<Position>);
    assert!(matches!(result, Err(StoreError::NoPosition(_))), "{result:?}");
    assert_eq!(store.load().unwrap(), before);
}
