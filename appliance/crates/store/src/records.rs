//! Between the log's records, whose payload is opaque, and the core's entries and messages.

use chat::Entry;
use log::{Record, Stored};
use wire::ids::{Counter, DeviceId, Offset, TimeMs, UserId};
use wire::server::Message;
use wire::{Kind, RecordBody};

/// Bytes that most payloads fit, so that writing one takes one allocation.
const PAYLOAD_BYTES: usize = 256;

/// An entry as the log keeps it.
pub fn to_record(entry: &Entry) -> Record {
    let mut payload = Vec::with_capacity(PAYLOAD_BYTES);
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

/// A record as the core takes it.
///
/// # Errors
/// One sentence when this release can't read the record.
pub fn to_entry(stored: &Stored) -> Result<Entry, String> {
    let record = &stored.record;
    let body = RecordBody::read_postcard(Kind(record.kind), &record.payload)
        .map_err(|error| format!("record {}: {error}", stored.offset))?
        .ok_or_else(|| {
            format!(
                "record {} has kind {:#x}, which needs a newer linnetd",
                stored.offset, record.kind
            )
        })?;
    Ok(Entry {
        offset: Offset(stored.offset),
        time: TimeMs(record.time_ms),
        actor: UserId(record.actor),
        device: DeviceId(record.device),
        counter: Counter(record.counter),
        body,
    })
}

/// A record as readers of a room see it; none when it is no message.
pub fn to_message(stored: &Stored) -> Option<Message> {
    message_of(&to_entry(stored).ok()?)
}

/// The message that an entry posted; none when it posted none.
#[must_use]
pub fn message_of(entry: &Entry) -> Option<Message> {
    let RecordBody::MessagePosted(posted) = &entry.body else { return None };
    Some(Message {
        offset: entry.offset,
        room: posted.room,
        seq: posted.seq,
        author: entry.actor,
        device: entry.device,
        counter: entry.counter,
        time_ms: entry.time,
        text: posted.text.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Position;
    use wire::ids::{ContentHash, RoomId, Seq};
    use wire::record::MessagePosted;

    fn stored() -> Stored {
        let body = MessagePosted {
            room: RoomId(3),
            seq: Seq(4),
            text: "hello".into(),
            command: ContentHash([1; 16]),
        };
        let entry = Entry {
            offset: Offset(9),
            time: TimeMs(10),
            actor: UserId(1),
            device: DeviceId(2),
            counter: Counter(5),
            body: body.into(),
        };
        let position = Position { segment: 1, byte: 0, index: 0 };
        Stored { offset: 9, position, record: to_record(&entry) }
    }

    #[test]
    fn a_message_survives_the_way_through_the_log() {
        let message = to_message(&stored()).unwrap();
        assert_eq!((message.room, message.seq, message.offset), (RoomId(3), Seq(4), Offset(9)));
        assert_eq!((message.author, message.counter), (UserId(1), Counter(5)));
        assert_eq!(message.text, "hello");
    }

    #[test]
    fn a_record_of_an_unknown_kind_says_what_to_do() {
        let mut stored = stored();
        stored.record.kind = 0x02ff;
        assert!(to_entry(&stored).unwrap_err().contains("newer linnetd"));
        assert_eq!(to_message(&stored), None);
    }
}
