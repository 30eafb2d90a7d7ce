//! Rebuilding the state from the store's changes.

use wire::ids::{RoomId, UserId};

use super::{Change, Mark, Membership, Room, RoomFacts, SYSTEM_DEVICE, SYSTEM_ROOM, State};

/// Why the store's changes make no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// A membership or mark without its room.
    #[error("the store names room {0} but does not hold it: rebuild the store from the log")]
    NoRoom(RoomId),
    /// A device without its user.
    #[error("the store names user {0} but does not hold it: rebuild the store from the log")]
    NoUser(UserId),
}

pub(super) fn load(changes: impl IntoIterator<Item = Change>) -> Result<State, LoadError> {
    let mut state = State::new();
    let mut members: Vec<(RoomId, Membership)> = Vec::new();
    let mut marks: Vec<(RoomId, Mark)> = Vec::new();
    for change in changes {
        match change {
            Change::Meta(meta) => state.meta = meta,
            Change::User(account) => state.insert_user(account),
            Change::Device(device) => state.insert_device(device),
            Change::DeviceRemoved(device) => {
                state.remove_device(device);
            }
            Change::Room(facts) => insert_room(&mut state, facts),
            Change::Member { room, member } => members.push((room, member)),
            Change::Mark { room, mark } => marks.push((room, mark)),
            Change::Message { .. } => {}
        }
    }
    attach_members(&mut state, members)?;
    attach_marks(&mut state, marks)?;
    check_devices(&state)?;
    Ok(state)
}

/// Keeps the members of the hidden room, which exists before any change.
fn insert_room(state: &mut State, facts: RoomFacts) {
    if let Some(room) = state.rooms.get_mut(&facts.room) {
        room.facts = facts;
    } else {
        state.rooms.insert(facts.room, Room::new(facts));
    }
}

fn attach_members(state: &mut State, members: Vec<(RoomId, Membership)>) -> Result<(), LoadError> {
    for (id, member) in members {
        let room = state.rooms.get_mut(&id).ok_or(LoadError::NoRoom(id))?;
        let user = member.user;
        room.members.insert(member);
        if id != SYSTEM_ROOM {
            state.note_room_of(user, id);
        }
    }
    let ids: Vec<RoomId> = state.rooms.keys().copied().collect();
    for id in ids {
        if let Some(room) = state.rooms.get_mut(&id) {
            room.present = room.members.values().filter(|member| member.present).count();
        }
        state.note_direct(id);
    }
    Ok(())
}

fn attach_marks(state: &mut State, mut marks: Vec<(RoomId, Mark)>) -> Result<(), LoadError> {
    marks.sort_by_key(|(room, mark)| (*room, mark.seq));
    for (id, mark) in marks {
        let room = state.rooms.get_mut(&id).ok_or(LoadError::NoRoom(id))?;
        room.marks.push(mark);
    }
    Ok(())
}

fn check_devices(state: &State) -> Result<(), LoadError> {
    let orphan = state
        .devices
        .values()
        .find(|device| device.device != SYSTEM_DEVICE && !state.users.contains_key(&device.user));
    orphan.map_or(Ok(()), |device| Err(LoadError::NoUser(device.user)))
}
