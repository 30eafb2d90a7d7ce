//! One message of every kind and shape, with text, numbers and options that encoders get wrong.

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
    MemberMoved, MembersChanged, Message, Pong, ReadMark, Reason, Refused, Role, Room, RoomAt,
    RoomGone, RoomKind, SyncMode, User, Welcome,
};
use linnet_wire::{ClientMessage, RecordBody, ServerMessage};

pub(super) fn client() -> Vec<ClientMessage> {
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
        SendText { counter: Counter(300), room, text: "早上好 \"friend\"\n".into() }.into(),
        OpenDirect { counter: Counter(1), user }.into(),
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
        AddMember { counter: Counter(4), room, user }.into(),
        RemoveMember { counter: Counter(5), room, user }.into(),
        Read { room, seq: Seq(17) }.into(),
        SyncFrom { cursor: Offset(INTEGER_MAX) }.into(),
        ReadHistory { room, before: Some(Seq(129)), limit: 200 }.into(),
        ReadHistory { room, before: None, limit: 1 }.into(),
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
        room_kind: if last.is_some() { RoomKind::Group } else { RoomKind::Direct },
        name: "Class 3b".into(),
        history: History::SinceJoin,
        members: vec![Member { user: UserId(2), read: Seq(128) }],
        first: Seq(100),
        head: Seq(129),
        read: Seq(120),
        unread: 9,
        last,
    }
}

pub(super) fn server() -> Vec<ServerMessage> {
    [session(), changes(), answers(), errors()].concat()
}

/// Frames that open a session and answer its commands.
fn session() -> Vec<ServerMessage> {
    let (offset, room_id, user) = (Offset(70_000), RoomId(3), UserId(2));
    let welcome = |sync| Welcome {
        user,
        device: DeviceId(9),
        last_counter: Counter(300),
        sync,
        head: offset,
    };
    vec![
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
        AlreadyApplied { counter: Counter(7) }.into(),
    ]
}

/// Changes of what a user sees.
fn changes() -> Vec<ServerMessage> {
    let (offset, room_id, user) = (Offset(70_000), RoomId(3), UserId(2));
    let account = |role| User { offset, user, name: "Ána".into(), role };
    vec![
        account(Role::Owner).into(),
        account(Role::Admin).into(),
        account(Role::Member).into(),
        room(Some(message())).into(),
        room(None).into(),
        RoomGone { offset, room: room_id }.into(),
        MemberChange { offset, room: room_id, user, joined: true }.into(),
        message().into(),
        ReadMark { offset, room: room_id, user, seq: Seq(129) }.into(),
        CaughtUp { cursor: offset }.into(),
        RoomAt { room: room_id, head: Seq(129), offset }.into(),
        MembersChanged {
            room: room_id,
            members: vec![MemberMoved { offset, user, joined: false }],
        }
        .into(),
    ]
}

/// Answers to questions, and the last frame.
fn answers() -> Vec<ServerMessage> {
    vec![
        HistoryPage {
            room: RoomId(3),
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
    ]
}

fn errors() -> Vec<ServerMessage> {
    let error = |reason| Error {
        reason,
        field: String::new(),
        text: "A sentence.".into(),
        retry_after_ms: (reason == Reason::Busy).then_some(500),
        expected: (reason == Reason::Gap).then_some(Counter(8)),
    };
    ALL_REASONS.map(|reason| error(reason).into()).to_vec()
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

pub(super) fn record() -> Vec<RecordBody> {
    [accounts(), rooms()].concat()
}

fn accounts() -> Vec<RecordBody> {
    let user = UserId(2);
    vec![
        EpochBegun { box_id: BoxId([0xb0; 16]), epoch: Epoch([0xe0; 16]) }.into(),
        Claimed { provision: ProvisionId([0xaa; 16]), user }.into(),
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
        DeviceRemoved { device: DeviceId(9) }.into(),
    ]
}

fn rooms() -> Vec<RecordBody> {
    let (room, user, command) = (RoomId(3), UserId(2), ContentHash([0xc0; 16]));
    vec![
        RoomAdded {
            room,
            room_kind: RoomKind::Direct,
            name: String::new(),
            history: History::All,
            members: vec![UserId(1), user],
            command,
        }
        .into(),
        MemberAdded { room, user, command }.into(),
        MemberRemoved { room, user, command }.into(),
        MessagePosted { room, seq: Seq(129), text: "晚安 🌙".into(), command }.into(),
        CursorsMoved { cursors: vec![ReadCursor { user, room, seq: Seq(17) }] }.into(),
        CommandSettled { command, refused: None, field: String::new(), room }.into(),
        CommandSettled {
            command,
            refused: Some(Reason::NotAllowed),
            field: "user".into(),
            room: RoomId(0),
        }
        .into(),
    ]
}
