//! `linnet history ROOM`: a room's past, oldest first.

use anyhow::{Result, bail};
use clap::Args;
use linnet::profile::Profile;
use wire::ids::{RoomId, Seq};
use wire::limits::HISTORY_PAGE_MAX;
use wire::server::{HistoryPage, Message};

use super::feed::{Event, Feed, room_known};
use super::print;

#[derive(Args)]
pub(crate) struct History {
    /// The room's number or name, or @name.
    room: String,
    /// Messages to show.
    #[arg(long, default_value_t = 50, value_name = "N", conflicts_with = "all")]
    limit: u32,
    /// Everything.
    #[arg(long)]
    all: bool,
    /// Only messages below this number.
    #[arg(long, value_name = "SEQ")]
    before: Option<u64>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

impl History {
    pub(crate) async fn run(self, profile: &Profile) -> Result<()> {
        let mut feed = Feed::reading(profile).await?;
        feed.caught_up().await?;
        let room = room_known(&feed, &self.room)?;
        let limit = if self.all { u64::MAX } else { self.limit.into() };
        let pages = collect(&mut feed, room, self.before.map(Seq), limit).await?;
        let title = feed.mirror.title_of(room, feed.me());
        for page in pages.iter().rev() {
            if page.damaged > 0 {
                eprintln!("linnet: {}", print::damage_note(page.damaged, page.before));
            }
            for message in &page.messages {
                let author = feed.mirror.name_of(message.author);
                show(message, &author, &title, self.json)?;
            }
        }
        Ok(())
    }
}

fn show(message: &Message, author: &str, title: &str, json: bool) -> Result<()> {
    match json {
        true => print::json_line(&print::MessageJson::new(message, author, title)),
        false => print::line(&print::message_line(message.time_ms, author, &message.text)),
    }
}

/// Pages from the newest back, until `limit` messages are there or the room begins.
async fn collect(
    feed: &mut Feed<'_>,
    room: RoomId,
    mut before: Option<Seq>,
    limit: u64,
) -> Result<Vec<HistoryPage>> {
    let (mut pages, mut left) = (Vec::new(), limit);
    while left > 0 {
        let wanted = u32::try_from(left).unwrap_or(u32::MAX).min(HISTORY_PAGE_MAX);
        feed.ask_history(room, before, wanted);
        let page = page(feed, room).await?;
        left = left.saturating_sub(u64::try_from(page.messages.len())?);
        before = page.before;
        pages.push(page);
        if before.is_none() {
            break;
        }
    }
    Ok(pages)
}

async fn page(feed: &mut Feed<'_>, room: RoomId) -> Result<HistoryPage> {
    loop {
        feed.pump().await?;
        match feed.next().await? {
            Event::Page(page) if page.room == room => return Ok(page),
            Event::Error(error) => bail!("the box refused: {}", error.text),
            Event::Broken(error, _) => return Err(error.into()),
            _ => {}
        }
    }
}
