//! The one place that gives records a meaning: used live, in replay, by rebuilds and by tests.
//!
//! It never refuses and never panics: a record is a fact. Around damage (missing records) it keeps
//! what still makes sense.

use wire::RecordBody;
use wire::ids::{ContentHash, Counter, Offset, RoomId, Seq, UserId};
use wire::record::{
    Claimed, CommandSettled, CursorsMoved, DeviceAdded, EpochBegun, MemberAdded, MemberRemoved,
    MessagePosted, RoomAdded, UserAdded,
};
use wire::server::RoomKind;

use crate::entry::Entry;
use crate::limits::EPOCH_ID_GAP;
use crate::state::{
    Account, Device, Outcome, PasswordHash, Room, RoomFacts, Settled, State, Touched,
};

/// Moves the state past one record and names what changed. `Meta` always does.
pub fn apply(state: &mut State, entry: &Entry) -> Vec<Touched> {
    state.meta.head = state.meta.head.max(entry.offset);
    let mut touched = Vec::with_capacity(6);
    match &entry.body {
        RecordBody::EpochBegun(body) => epoch_begun(state, body),
        RecordBody::Claimed(body) => claimed(state, body),
        RecordBody::UserAdded(body) => user_added(state, entry, body, &mut touched),
        RecordBody::DeviceAdded(body) => device_added(state, entry, body, &mut touched),
        RecordBody::DeviceRemoved(body) => {
            state.remove_device(body.device);
            touched.push(Touched::Device(body.device));
        }
        RecordBody::RoomAdded(body) => room_added(state, entry, body, &mut touched),
        RecordBody::MemberAdded(body) => member_added(state, entry, body, &mut touched),
        RecordBody::MemberRemoved(body) => member_removed(state, entry, body, &mut touched),
        RecordBody::MessagePosted(body) => message_posted(state, entry, body, &mut touched),
        RecordBody::CursorsMoved(body) => cursors_moved(state, entry, body, &mut touched),
        RecordBody::CommandSettled(body) => settled(state, entry, body, &mut touched),
    }
    touched
}

/// After a restore the old incarnation's newest ids are unknown, and devices send commands again
/// that name them. Leaving a gap keeps such a command from reaching another room or person.
fn epoch_begun(state: &mut State, body: &EpochBegun) {
    let meta = &mut state.meta;
    if meta.begun() {
        meta.last_user.0 = meta.last_user.0.saturating_add(EPOCH_ID_GAP);
        meta.last_device.0 = meta.last_device.0.saturating_add(EPOCH_ID_GAP);
        meta.last_room.0 = meta.last_room.0.saturating_add(EPOCH_ID_GAP);
    }
    meta.box_id = body.box_id;
    meta.epoch = body.epoch;
}

fn claimed(state: &mut State, body: &Claimed) {
    state.meta.owner = Some(body.user);
    if !state.meta.provisions.contains(&body.provision) {
        state.meta.provisions.push(body.provision);
    }
}

fn user_added(state: &mut State, entry: &Entry, body: &UserAdded, touched: &mut Vec<Touched>) {
    state.insert_user(Account {
        user: body.user,
        name: body.name.clone(),
        role: body.role,
        password_hash: PasswordHash(body.password_hash.clone()),
        changed: entry.offset,
    });
    state.meta.last_user = state.meta.last_user.max(body.user);
    state.meta.users_changed = entry.offset;
    touched.push(Touched::User(body.user));
}

fn device_added(state: &mut State, entry: &Entry, body: &DeviceAdded, touched: &mut Vec<Touched>) {
    state.insert_device(Device {
        device: body.device,
        user: body.user,
        label: body.label.clone(),
        token_hash: body.token_hash,
        added: entry.time,
        last_counter: Counter(0),
        window: std::collections::VecDeque::new(),
    });
    state.meta.last_device = state.meta.last_device.max(body.device);
    touched.push(Touched::Device(body.device));
}

fn room_added(state: &mut State, entry: &Entry, body: &RoomAdded, touched: &mut Vec<Touched>) {
    let mut room = Room::new(RoomFacts {
        room: body.room,
        room_kind: body.room_kind,
        name: body.name.clone(),
        history: body.history,
        creator: entry.actor,
        added: entry.offset,
        head: Seq(0),
        head_offset: Offset(0),
        members_changed: Offset(0),
        reads_changed: Offset(0),
    });
    touched.push(Touched::Room(body.room));
    for user in &body.members {
        room.join(*user, entry.offset);
        state.note_room_of(*user, body.room);
        touched.push(Touched::Member(body.room, *user));
    }
    state.rooms.insert(body.room, room);
    if body.room_kind == RoomKind::Direct {
        state.note_direct(body.room);
    }
    state.meta.last_room = state.meta.last_room.max(body.room);
    done(state, entry, body.command, body.room, Seq(0), touched);
}

fn member_added(state: &mut State, entry: &Entry, body: &MemberAdded, touched: &mut Vec<Touched>) {
    if let Some(room) = state.rooms.get_mut(&body.room)
        && room.join(body.user, entry.offset)
    {
        state.note_room_of(body.user, body.room);
        touch_member(body.room, body.user, touched);
    }
    done(state, entry, body.command, body.room, Seq(0), touched);
}

fn member_removed(
    state: &mut State,
    entry: &Entry,
    body: &MemberRemoved,
    touched: &mut Vec<Touched>,
) {
    if let Some(room) = state.rooms.get_mut(&body.room)
        && room.leave(body.user, entry.offset)
    {
        touch_member(body.room, body.user, touched);
    }
    done(state, entry, body.command, body.room, Seq(0), touched);
}

fn touch_member(room: RoomId, user: UserId, touched: &mut Vec<Touched>) {
    touched.push(Touched::Room(room));
    touched.push(Touched::Member(room, user));
}

fn message_posted(
    state: &mut State,
    entry: &Entry,
    body: &MessagePosted,
    touched: &mut Vec<Touched>,
) {
    if let Some(room) = state.rooms.get_mut(&body.room) {
        if room.post(body.seq, entry.offset) {
            touched.push(Touched::Mark(body.room, body.seq));
        }
        if room.read(entry.actor, body.seq, entry.offset) {
            touched.push(Touched::Member(body.room, entry.actor));
        }
        touched.push(Touched::Room(body.room));
        touched.push(Touched::Message(body.room, body.seq, entry.offset));
    }
    done(state, entry, body.command, body.room, body.seq, touched);
}

fn cursors_moved(
    state: &mut State,
    entry: &Entry,
    body: &CursorsMoved,
    touched: &mut Vec<Touched>,
) {
    for moved in &body.cursors {
        if let Some(room) = state.rooms.get_mut(&moved.room)
            && room.read(moved.user, moved.seq, entry.offset)
        {
            touch_member(moved.room, moved.user, touched);
        }
    }
}

fn settled(state: &mut State, entry: &Entry, body: &CommandSettled, touched: &mut Vec<Touched>) {
    match body.refused {
        None => done(state, entry, body.command, body.room, Seq(0), touched),
        Some(reason) => {
            let outcome = Outcome::Refused { reason, field: body.field.clone() };
            settle(state, entry, body.command, outcome, touched);
        }
    }
}

fn done(
    state: &mut State,
    entry: &Entry,
    content: ContentHash,
    room: RoomId,
    seq: Seq,
    touched: &mut Vec<Touched>,
) {
    let outcome = Outcome::Done { offset: entry.offset, time: entry.time, room, seq };
    settle(state, entry, content, outcome, touched);
}

fn settle(
    state: &mut State,
    entry: &Entry,
    content: ContentHash,
    outcome: Outcome,
    touched: &mut Vec<Touched>,
) {
    if let Some(device) = state.devices.get_mut(&entry.device) {
        device.settle(Settled { counter: entry.counter, content, outcome });
        touched.push(Touched::Device(entry.device));
    }
}
