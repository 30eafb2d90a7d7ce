//! Golden vectors: every kind in both encodings, kept under `tests/data/wire`.
//!
//! Each released version has its own file and every build decodes all of them; the newest must
//! also be what this build encodes. A changed vector means a broken client somewhere: add a kind.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::PathBuf;

use linnet_wire::client::{
    AddMember, CreateRoom, Hello, History, OpenDirect, Ping, Read, ReadHistory, RemoveMember,
    SendText, Show, SyncFrom,
};
use linnet_wire::ids::{
    BoxId, ContentHash, Counter, DeviceId, DeviceToken, Epoch, Offset, ProvisionId, RoomId, Seq,
    TimeMs, TokenHash, UserId,
};
use linnet_wire::limits::INTEGER_MAX;
use linnet_wire::record::{
    Claimed, CommandSettled, CursorsMoved, DeviceAdded, DeviceRemoved, EpochBegun, MemberAdded,
    MemberRemoved, MessagePosted, ReadCursor, RoomAdded, UserAdded,
};
use linnet_wire::server::{
    Ack, AlreadyApplied, CaughtUp, Closing, Error, Greeting, HistoryPage, Member, MemberChange,
    Message, Pong, ReadMark, Reason, Refused, Role, Room, RoomAt, RoomGone, RoomKind, SyncMode,
    User, Welcome,
};
use linnet_wire::{ClientMessage, Kind, RecordBody, ServerMessage};
use serde::{Deserialize, Serialize};

const NEWEST: &str = "v1.json";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Vector {
    name: String,
    kind: u16,
    postcard: String,
    json: String,
}

#[test]
fn this_build_encodes_the_newest_vectors() {
    let path = folder().join(NEWEST);
    let made = vectors();
    if std::env::var_os("LINNET_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    assert_eq!(
        read(&path),
        made,
        "a body type changed; a change must be a new kind"
    );
}

#[test]
fn this_build_decodes_the_vectors_of_every_version() {
    let mut count = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        for vector in read(&entry.unwrap().path()) {
            check(&vector);
            count += 1;
        }
    }
    assert!(count >= vectors().len());
}

#[test]
fn every_kind_has_a_vector() {
    let made: std::collections::HashSet<u16> = vectors().iter().map(|v| v.kind).collect();
    let known = [
        ClientMessage::KINDS,
        ServerMessage::KINDS,
        RecordBody::KINDS,
    ]
    .concat();
    for (kind, name) in known {
        assert!(made.contains(&kind.0), "no vector for {name}");
    }
}

#[test]
fn no_vector_survives_a_byte_more_or_less() {
    for vector in vectors() {
        let bytes = unhex(&vector.postcard);
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(
            !decodes(vector.kind, &longer),
            "{} with a byte more",
            vector.name
        );
        for cut in 0..bytes.len() {
            assert!(
                !decodes(vector.kind, &bytes[..cut]),
                "{} cut at {cut}",
                vector.name
            );
        }
    }
}

/// Decodes both encodings of a vector and encodes them again.
fn check(vector: &Vector) {
    let (kind, bytes) = (Kind(vector.kind), unhex(&vector.postcard));
    macro_rules! both {
        ($set:ident) => {{
            let binary = $set::read_postcard(kind, &bytes)
                .unwrap()
                .expect("a known kind");
            let text = $set::read_json(kind, &vector.json)
                .unwrap()
                .expect("a known kind");
            assert_eq!(binary, text, "{}", vector.name);
            assert_eq!(vector_of!(binary), *vector);
        }};
    }
    match vector.kind >> 8 {
        0 => both!(ClientMessage),
        1 => both!(ServerMessage),
        _ => both!(RecordBody),
    }
}

fn decodes(kind: u16, bytes: &[u8]) -> bool {
    let kind = Kind(kind);
    match kind.0 >> 8 {
        0 => ClientMessage::read_postcard(kind, bytes).is_ok(),
        1 => ServerMessage::read_postcard(kind, bytes).is_ok(),
        _ => RecordBody::read_postcard(kind, bytes).is_ok(),
    }
}

macro_rules! vector_of {
    ($message:expr) => {{
        let (mut postcard, mut json) = (Vec::new(), Vec::new());
        $message.write_postcard(&mut postcard);
        $message.write_json(&mut json);
        Vector {
            name: $message.name().to_owned(),
            kind: $message.kind().0,
            postcard: postcard.iter().map(|byte| format!("{byte:02x}")).collect(),
            json: String::from_utf8(json).unwrap(),
        }
    }};
}
use vector_of;

fn vectors() -> Vec<Vector> {
    let client = client_samples()
        .into_iter()
        .map(|message| vector_of!(message));
    let server = server_samples()
        .into_iter()
        .map(|message| vector_of!(message));
    let record = record_samples()
        .into_iter()
        .map(|message| vector_of!(message));
    client.chain(server).chain(record).collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../tests/data/wire")
}

fn read(path: &std::path::Path) -> Vec<Vector> {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn client_samples() -> Vec<ClientMessage> {
    let (room, user) = (RoomId(3), UserId(2));
    let hello = |epoch| Hello {
        token: DeviceToken([0x5a; 32]),
        epoch,
        cursor: Offset(1_000),
        client: "linnet-web 0.1".into(),
    };
    vec![
        hello(None).into(),
        hello(Some(Epoch([0xe0; 16]))).into(),
        SendText {
            counter: Counter(300),
            room,
            text: "早上好 \"friend\"\n".into(),
        }
        .into(),
        OpenDirect {
            counter: Counter(1),
            user,
        }
        .into(),
        CreateRoom {
            counter: Counter(2),
            name: "Class 3b".into(),
            members: vec![user, UserId(4_000_000_000)],
            history: History::All,
        }
        .into(),
        CreateRoom {
            counter: Counter(3),
            name: "x".into(),
            members: vec![],
            history: History::SinceJoin,
        }
        .into(),
        AddMember {
            counter: Counter(4),
            room,
            user,
        }
        .into(),
        RemoveMember {
            counter: Counter(5),
            room,
            user,
        }
        .into(),
        Read { room, seq: Seq(17) }.into(),
        SyncFrom {
            cursor: Offset(INTEGER_MAX),
        }
        .into(),
        ReadHistory {
            room,
            before: Some(Seq(129)),
            limit: 200,
        }
        .into(),
        ReadHistory {
            room,
            before: None,
            limit: 1,
        }
        .into(),
        Show { room: Some(room) }.into(),
        Show { room: None }.into(),
        Ping {}.into(),
    ]
}

fn message() -> Message {
    Message {
        offset: Offset(70_000),
        room: RoomId(3),
        seq: Seq(129),
        author: UserId(2),
        device: DeviceId(9),
        counter: Counter(300),
        time_ms: TimeMs(1_790_000_000_000),
        text: "晚安 🌙".into(),
    }
}

fn room(last: Option<Message>) -> Room {
    Room {
        offset: Offset(70_001),
        room: RoomId(3),
        room_kind: if last.is_some() {
            RoomKind::Group
        } else {
            RoomKind::Direct
        },
        name: "Class 3b".into(),
        history: History::SinceJoin,
        members: vec![Member {
            user: UserId(2),
            read: Seq(128),
        }],
        first: Seq(100),
        head: Seq(129),
        read: Seq(120),
        unread: 9,
        last,
    }
}

fn server_samples() -> Vec<ServerMessage> {
    let (offset, room_id, user) = (Offset(70_000), RoomId(3), UserId(2));
    let welcome = |sync| Welcome {
        user,
        device: DeviceId(9),
        last_counter: Counter(300),
        sync,
        head: offset,
    };
    let account = |role| User {
        offset,
        user,
        name: "Ána".into(),
        role,
    };
    let mut samples: Vec<ServerMessage> = vec![
        Greeting {
            box_id: BoxId([0xb0; 16]),
            epoch: Epoch([0xe0; 16]),
            version: "0.1.0".into(),
            time_ms: TimeMs(1_790_000_000_000),
        }
        .into(),
        welcome(SyncMode::Resumed).into(),
        welcome(SyncMode::CatchUp).into(),
        welcome(SyncMode::Reset).into(),
        Ack {
            counter: Counter(300),
            offset,
            room: room_id,
            seq: Seq(129),
            time_ms: TimeMs(1_790_000_000_000),
        }
        .into(),
        Refused {
            counter: Counter(301),
            reason: Reason::OverLimit,
            field: "text".into(),
            text: "The text is over 16384 bytes.".into(),
        }
        .into(),
        AlreadyApplied {
            counter: Counter(7),
        }
        .into(),
        account(Role::Owner).into(),
        account(Role::Admin).into(),
        account(Role::Member).into(),
        room(Some(message())).into(),
        room(None).into(),
        RoomGone {
            offset,
            room: room_id,
        }
        .into(),
        MemberChange {
            offset,
            room: room_id,
            user,
            joined: true,
        }
        .into(),
        message().into(),
        ReadMark {
            offset,
            room: room_id,
            user,
            seq: Seq(129),
        }
        .into(),
        CaughtUp { cursor: offset }.into(),
        RoomAt {
            room: room_id,
            head: Seq(129),
            offset,
        }
        .into(),
        HistoryPage {
            room: room_id,
            messages: vec![message()],
            damaged: 1,
            before: Some(Seq(129)),
        }
        .into(),
        Pong { time_ms: TimeMs(0) }.into(),
        Closing {
            reason: Reason::ShuttingDown,
            text: "The box restarts.".into(),
            retry_after_ms: Some(2_000),
        }
        .into(),
    ];
    samples.extend(ALL_REASONS.map(|reason| {
        let gap = reason == Reason::Gap;
        ServerMessage::from(Error {
            reason,
            field: String::new(),
            text: "A sentence.".into(),
            retry_after_ms: (reason == Reason::Busy).then_some(500),
            expected: gap.then_some(Counter(8)),
        })
    }));
    samples
}

const ALL_REASONS: [Reason; 17] = [
    Reason::Malformed,
    Reason::UnknownKind,
    Reason::TooLong,
    Reason::HelloFirst,
    Reason::BadToken,
    Reason::NoSuchRoom,
    Reason::NoSuchUser,
    Reason::NotAllowed,
    Reason::Empty,
    Reason::OverLimit,
    Reason::Gap,
    Reason::Conflict,
    Reason::Busy,
    Reason::CardFull,
    Reason::CardFailed,
    Reason::ShuttingDown,
    Reason::Internal,
];

fn record_samples() -> Vec<RecordBody> {
    let (room, user, command) = (RoomId(3), UserId(2), ContentHash([0xc0; 16]));
    vec![
        EpochBegun {
            box_id: BoxId([0xb0; 16]),
            epoch: Epoch([0xe0; 16]),
        }
        .into(),
        Claimed {
            provision: ProvisionId([0xaa; 16]),
            user,
        }
        .into(),
        UserAdded {
            user,
            name: "Ána".into(),
            role: Role::Owner,
            password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".into(),
        }
        .into(),
        DeviceAdded {
            device: DeviceId(9),
            user,
            label: "Firefox".into(),
            token_hash: TokenHash([0x77; 32]),
        }
        .into(),
        DeviceRemoved {
            device: DeviceId(9),
        }
        .into(),
        RoomAdded {
            room,
            room_kind: RoomKind::Direct,
            name: String::new(),
            history: History::All,
            members: vec![UserId(1), user],
            command,
        }
        .into(),
        MemberAdded {
            room,
            user,
            command,
        }
        .into(),
        MemberRemoved {
            room,
            user,
            command,
        }
        .into(),
        MessagePosted {
            room,
            seq: Seq(129),
            text: "晚安 🌙".into(),
            command,
        }
        .into(),
        CursorsMoved {
            cursors: vec![ReadCursor {
                user,
                room,
                seq: Seq(17),
            }],
        }
        .into(),
        CommandSettled {
            command,
            refused: None,
            field: String::new(),
            room,
        }
        .into(),
        CommandSettled {
            command,
            refused: Some(Reason::NotAllowed),
            field: "user".into(),
            room: RoomId(0),
        }
        .into(),
    ]
}
