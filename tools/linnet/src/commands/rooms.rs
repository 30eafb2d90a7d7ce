//! `linnet rooms`, `linnet rooms create|add|remove|leave`.

use anyhow::Result;
use clap::{Args, Subcommand};
use linnet::client::Command;
use linnet::profile::{Profile, Profiles};
use serde::Serialize;
use wire::ids::{RoomId, Seq, UserId};
use wire::server::RoomKind;

use super::feed::{Feed, room_known, user_known};
use super::print;

#[derive(Args)]
pub(crate) struct Rooms {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a group room.
    Create {
        /// Its name.
        name: String,
        /// Names of its members besides yourself.
        members: Vec<String>,
    },
    /// Add somebody to a group room.
    Add {
        /// The room's number or name.
        room: String,
        /// Whom.
        user: String,
    },
    /// Remove somebody from a group room.
    Remove {
        /// The room's number or name.
        room: String,
        /// Whom.
        user: String,
    },
    /// Leave a group room.
    Leave {
        /// The room's number or name.
        room: String,
    },
}

#[derive(Serialize)]
struct RoomJson<'a> {
    room: RoomId,
    room_kind: RoomKind,
    name: &'a str,
    members: Vec<UserId>,
    head: Seq,
    unread: u64,
}

impl Rooms {
    pub(crate) async fn run(self, profiles: &Profiles, profile: &Profile) -> Result<()> {
        let Some(verb) = self.verb else {
            return list(profile, self.json).await;
        };
        let mut feed = Feed::sending(profiles, profile).await?;
        feed.caught_up().await?;
        let command = verb.command(&feed)?;
        let room = feed.finish(command).await?;
        print::line(&format!("done: room {room}"))
    }
}

impl Verb {
    fn command(self, feed: &Feed<'_>) -> Result<Command> {
        Ok(match self {
            Self::Create { name, members } => Command::CreateRoom {
                name,
                members: members
                    .iter()
                    .map(|name| user_known(feed, name))
                    .collect::<Result<_>>()?,
            },
            Self::Add { room, user } => Command::AddMember {
                room: room_known(feed, &room)?,
                user: user_known(feed, &user)?,
            },
            Self::Remove { room, user } => Command::RemoveMember {
                room: room_known(feed, &room)?,
                user: user_known(feed, &user)?,
            },
            Self::Leave { room } => {
                Command::RemoveMember { room: room_known(feed, &room)?, user: feed.me() }
            }
        })
    }
}

async fn list(profile: &Profile, json: bool) -> Result<()> {
    let mut feed = Feed::reading(profile).await?;
    feed.caught_up().await?;
    for room in feed.mirror.rooms.values() {
        let title = feed.mirror.title_of(room.room, feed.me());
        if json {
            print::json_line(&RoomJson {
                room: room.room,
                room_kind: room.room_kind,
                name: &title,
                members: room.members.iter().map(|member| member.user).collect(),
                head: room.head,
                unread: room.unread,
            })?;
        } else {
            let (id, unread, members) = (room.room.0, room.unread, room.members.len());
            let title = print::plain(&title);
            print::line(&format!("{id:>5}  {unread:>5} unread  {members:>4} members  {title}"))?;
        }
    }
    Ok(())
}
