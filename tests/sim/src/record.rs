//! Entries of the core as records of the log, and back.

use chat::Entry;
use log::{Record, Stored};
use wire::ids::{Counter, DeviceId, Offset, TimeMs, UserId};
use wire::server::Message;
use wire::{Kind, RecordBody};

use crate::violation::{Checked, Violation};

pub(crate) fn to_record(entry: &Entry) -> Record {
    let mut payload = Vec::new();
    entry.body.write_postcard(&mut payload);
    Record {
        kind: entry.body.kind().0,
        time_ms: entry.time.0,
        actor: entry.actor.0,
        device: entry.device.0,
        counter: entry.counter.0,
        payload,
    }
}

pub(crate) fn to_entry(stored: &Stored) -> Checked<Entry> {
    let record = &stored.record;
    let body = RecordBody::read_postcard(Kind(record.kind), &record.payload);
    let Ok(Some(body)) = body else {
        let text = format!("record {} of kind {:#x} has no meaning", stored.offset, record.kind);
        return Err(Violation { check: "torn record served", text });
    };
    Ok(Entry {
        offset: Offset(stored.offset),
        time: TimeMs(record.time_ms),
        actor: UserId(record.actor),
        device: DeviceId(record.device),
        counter: Counter(record.counter),
        body,
    })
}

/// The message that an entry posted.
pub(crate) fn to_message(entry: &Entry) -> Option<Message> {
    let RecordBody::MessagePosted(body) = &entry.body else { return None };
    Some(Message {
        offset: entry.offset,
        room: body.room,
        seq: body.seq,
        author: entry.actor,
        device: entry.device,
        counter: entry.counter,
        time_ms: entry.time,
        text: body.text.clone(),
    })
}
