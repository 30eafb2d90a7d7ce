//! The tables of kinds: number, JSON name and body of every message and record.
//!
//! A number is never given to another kind. Client kinds lie below 0x100, server kinds in 0x1xx,
//! record kinds in 0x2xx.

use crate::body::{self, BodyError};
use crate::client::{AddMember, CreateRoom, OpenDirect, RemoveMember};
use crate::client::{ClientMessage, Hello, Ping, Read, ReadHistory, SendText, Show, SyncFrom};
use crate::record::{
    Claimed, CommandSettled, CursorsMoved, DeviceAdded, DeviceRemoved, EpochBegun, MemberAdded,
    MemberRemoved, MessagePosted, RecordBody, RoomAdded, UserAdded,
};
use crate::server::{
    Ack, AlreadyApplied, CaughtUp, Closing, Error, Greeting, HistoryPage, MemberChange,
    MembersChanged, Message, Pong, ReadMark, Refused, Room, RoomAt, RoomGone, ServerMessage, User,
    Welcome,
};

/// Number of a kind, as in the envelope and in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(pub u16);

/// Gives a set of messages its numbers, names and both body encodings, from one table.
macro_rules! kinds {
    ($set:ident { $($code:literal $name:literal $variant:ident($body:ty),)+ }) => {
        impl $set {
            /// Number and JSON name of every kind, ascending.
            pub const KINDS: &'static [(Kind, &'static str)] = &[$((Kind($code), $name)),+];

            /// The number of this message's kind.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self {
                    $(Self::$variant(_) => Kind($code),)+
                }
            }

            /// The JSON name of this message's kind.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)+
                }
            }

            /// The kind with this JSON name.
            #[must_use]
            pub fn kind_named(name: &str) -> Option<Kind> {
                Self::KINDS.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
            }

            /// Appends the postcard body.
            pub fn write_postcard(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant(body) => body::write_postcard(body, out),)+
                }
            }

            /// Appends the JSON body.
            pub fn write_json(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant(body) => body::write_json(body, out),)+
                }
            }

            /// Reads a postcard body; none for a kind that is not in the table.
            ///
            /// # Errors
            /// When the bytes are not exactly one body of that kind.
            pub fn read_postcard(kind: Kind, bytes: &[u8]) -> Result<Option<Self>, BodyError> {
                match kind.0 {
                    $($code => body::read_postcard::<$body>(bytes).map(Self::$variant).map(Some),)+
                    _ => Ok(None),
                }
            }

            /// Reads a JSON body; none for a kind that is not in the table.
            ///
            /// # Errors
            /// When the text is not exactly one body of that kind.
            pub fn read_json(kind: Kind, text: &str) -> Result<Option<Self>, BodyError> {
                match kind.0 {
                    $($code => body::read_json::<$body>(text).map(Self::$variant).map(Some),)+
                    _ => Ok(None),
                }
            }
        }

        $(impl From<$body> for $set {
            fn from(body: $body) -> Self {
                Self::$variant(body)
            }
        })+
    };
}

kinds!(ClientMessage {
    0x0001 "hello" Hello(Hello),
    0x0002 "send" Send(SendText),
    0x0003 "open_direct" OpenDirect(OpenDirect),
    0x0004 "create_room" CreateRoom(CreateRoom),
    0x0005 "add_member" AddMember(AddMember),
    0x0006 "remove_member" RemoveMember(RemoveMember),
    0x0007 "read" Read(Read),
    0x0008 "sync" Sync(SyncFrom),
    0x0009 "read_history" ReadHistory(ReadHistory),
    0x000a "show" Show(Show),
    0x000b "ping" Ping(Ping),
});

kinds!(ServerMessage {
    0x0101 "greeting" Greeting(Greeting),
    0x0102 "welcome" Welcome(Welcome),
    0x0103 "ack" Ack(Ack),
    0x0104 "refused" Refused(Refused),
    0x0105 "already_applied" AlreadyApplied(AlreadyApplied),
    0x0106 "error" Error(Error),
    0x0107 "user" User(User),
    0x0108 "room" Room(Room),
    0x0109 "room_gone" RoomGone(RoomGone),
    0x010a "member_change" MemberChange(MemberChange),
    0x010b "message" Message(Message),
    0x010c "read_mark" ReadMark(ReadMark),
    0x010d "caught_up" CaughtUp(CaughtUp),
    0x010e "room_at" RoomAt(RoomAt),
    0x010f "history_page" HistoryPage(HistoryPage),
    0x0110 "pong" Pong(Pong),
    0x0111 "closing" Closing(Closing),
    0x0112 "members_changed" MembersChanged(MembersChanged),
});

kinds!(RecordBody {
    0x0201 "epoch_begun" EpochBegun(EpochBegun),
    0x0202 "claimed" Claimed(Claimed),
    0x0203 "user_added" UserAdded(UserAdded),
    0x0204 "device_added" DeviceAdded(DeviceAdded),
    0x0205 "device_removed" DeviceRemoved(DeviceRemoved),
    0x0206 "room_added" RoomAdded(RoomAdded),
    0x0207 "member_added" MemberAdded(MemberAdded),
    0x0208 "member_removed" MemberRemoved(MemberRemoved),
    0x0209 "message_posted" MessagePosted(MessagePosted),
    0x020a "cursors_moved" CursorsMoved(CursorsMoved),
    0x020b "command_settled" CommandSettled(CommandSettled),
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique_and_in_their_range() {
        let sets = [
            (ClientMessage::KINDS, 0x0001..=0x00ff),
            (ServerMessage::KINDS, 0x0101..=0x01ff),
            (RecordBody::KINDS, 0x0201..=0x02ff),
        ];
        for (kinds, range) in sets {
            assert!(kinds.windows(2).all(|pair| pair[0].0 < pair[1].0));
            let names: std::collections::HashSet<_> = kinds.iter().map(|(_, name)| name).collect();
            assert_eq!(names.len(), kinds.len());
            assert!(kinds.iter().all(|(kind, _)| range.contains(&kind.0)));
        }
    }
}
