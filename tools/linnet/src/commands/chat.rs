//! `linnet chat [ROOM]`: shows messages as they come, sends lines of stdin.

use std::collections::HashMap;
use std::io::BufRead;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use linnet::client::{Command, Missed, Settled};
use linnet::profile::{Profile, Profiles};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use wire::ids::{Counter, RoomId, Seq};
use wire::limits::{HISTORY_PAGE_MAX, TEXT_BYTES_MAX};
use wire::server::{Ack, HistoryPage, Message};

use super::failure::Undelivered;
use super::feed::{Event, Feed, room_named, user_known};
use super::print;

/// Lines that may wait for the box; beyond it stdin waits.
const UNSETTLED_MAX: usize = 256;

#[derive(Args)]
pub(crate) struct Chat {
    /// A room's number or name, or @name for a direct room; without it all rooms are followed.
    room: Option<String>,
    /// Send this and exit, instead of reading lines from stdin.
    #[arg(long, requires = "room", value_name = "TEXT")]
    send: Option<String>,
    /// Go on showing messages after everything was sent.
    #[arg(long)]
    follow: bool,
    /// One JSON object a line: messages and acks.
    #[arg(long)]
    json: bool,
    /// Messages of the past to begin with.
    #[arg(long, default_value_t = 0, value_name = "N")]
    last: u32,
    /// Seconds to wait for the box to confirm what was sent.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    timeout: u64,
}

#[derive(Serialize)]
struct AckJson {
    kind: &'static str,
    #[serde(flatten)]
    ack: Ack,
}

#[derive(Serialize)]
struct RefusedJson {
    kind: &'static str,
    counter: Counter,
    text: String,
}

struct Talk<'a> {
    feed: Feed<'a>,
    room: Option<RoomId>,
    json: bool,
    /// Lines to send; none once they ended.
    input: Option<mpsc::Receiver<String>>,
    follow: bool,
    patience: Duration,
    /// When waiting for confirmations ends; moves on with each.
    deadline: Instant,
    refused: usize,
    /// Messages that were missed and asked for.
    gaps: HashMap<RoomId, Gap>,
}

impl Chat {
    pub(crate) async fn run(self, profiles: &Profiles, profile: &Profile) -> Result<()> {
        let mut feed = match self.room {
            Some(_) => Feed::sending(profiles, profile).await?,
            None => Feed::reading(profile).await?,
        };
        feed.caught_up().await?;
        let room = match &self.room {
            Some(name) => Some(find_or_open(&mut feed, name).await?),
            None => None,
        };
        let input = self.room.is_some().then(|| match &self.send {
            Some(text) => lines_of(text.clone()),
            None => lines_of_stdin(),
        });
        let patience = Duration::from_secs(self.timeout);
        let mut talk = Talk {
            feed,
            room,
            json: self.json,
            follow: self.follow || input.is_none(),
            input,
            patience,
            deadline: Instant::now() + patience,
            refused: 0,
            gaps: HashMap::new(),
        };
        if let (Some(room), 1..) = (room, self.last) {
            talk.backlog(room, self.last).await?;
        }
        talk.run().await
    }
}

/// A direct room with somebody is opened when there is none yet.
async fn find_or_open(feed: &mut Feed<'_>, name: &str) -> Result<RoomId> {
    if let Some(room) = room_named(feed, name)? {
        return Ok(room);
    }
    if !name.starts_with('@') {
        bail!("you are in no room called {name:?}; `linnet rooms` lists yours");
    }
    let user = user_known(feed, name)?;
    feed.finish(Command::OpenDirect { user }).await
}

fn lines_of(text: String) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    sender.try_send(text).expect("a new channel has room for one");
    lines
}

/// Reads on a thread of its own: a terminal can't be waited for otherwise.
fn lines_of_stdin() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            match line {
                Ok(line) => {
                    if sender.blocking_send(line).is_err() {
                        return;
                    }
                }
                Err(error) => return eprintln!("linnet: stdin can't be read: {error}"),
            }
        }
    });
    lines
}

impl Talk<'_> {
    async fn run(mut self) -> Result<()> {
        loop {
            self.feed.pump().await?;
            if self.is_over() {
                break;
            }
            let room_for_more = self.feed.unsettled() < UNSETTLED_MAX;
            let sent_all = self.input.is_none() && !self.follow;
            tokio::select! {
                event = self.feed.next() => self.show(event?)?,
                line = next_line(&mut self.input), if self.input.is_some() && room_for_more => {
                    self.line(line)?;
                }
                () = sleep_until(self.deadline), if sent_all => {
                    return Err(Undelivered::Waiting(self.feed.unsettled()).into());
                }
            }
        }
        match self.refused {
            0 => Ok(()),
            refused => Err(Undelivered::Refused(refused).into()),
        }
    }

    fn is_over(&self) -> bool {
        self.input.is_none() && !self.follow && self.feed.unsettled() == 0
    }

    fn line(&mut self, line: Option<String>) -> Result<()> {
        self.deadline = Instant::now() + self.patience;
        let (Some(text), Some(room)) = (line, self.room) else {
            self.input = None;
            return Ok(());
        };
        if text.is_empty() {
            return Ok(());
        }
        if text.len() > TEXT_BYTES_MAX {
            eprintln!("linnet: not sent: a message may have at most {TEXT_BYTES_MAX} bytes");
            self.refused += 1;
            return Ok(());
        }
        self.feed.push(Command::Send { room, text })
    }

    fn show(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Message(message) => self.message(&message)?,
            Event::Behind(room, missed) => {
                self.gaps.entry(room).or_insert_with(|| Gap::new(missed)).missed.last = missed.last;
                self.feed.ask_history(room, None, HISTORY_PAGE_MAX);
            }
            Event::Page(page) => self.page(page)?,
            Event::Settled(settled) => self.settled(settled)?,
            Event::Broken(error, wait) => {
                eprintln!("linnet: {error}; trying again in {:.1} s", wait.as_secs_f32());
            }
            Event::Connected => {
                eprintln!("linnet: connected again");
                self.ask_gaps_again();
            }
            Event::Error(error) => eprintln!("linnet: the box: {}", print::plain(&error.text)),
            Event::CaughtUp | Event::Wake => {}
        }
        Ok(())
    }

    fn settled(&mut self, settled: Settled) -> Result<()> {
        self.deadline = Instant::now() + self.patience;
        match settled {
            Settled::Done(_, ack) if self.json => print::json_line(&AckJson { kind: "ack", ack }),
            Settled::Refused(pending, refused) => {
                self.refused += 1;
                eprintln!("linnet: not delivered: {}", print::plain(&refused.text));
                match self.json {
                    true => print::json_line(&RefusedJson {
                        kind: "refused",
                        counter: pending.counter,
                        text: refused.text,
                    }),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Shows the newest messages of the past, then what came while they were on their way.
    async fn backlog(&mut self, room: RoomId, limit: u32) -> Result<()> {
        self.feed.ask_history(room, None, limit);
        let mut fresh = Vec::new();
        loop {
            self.feed.pump().await?;
            match self.feed.next().await? {
                Event::Page(page) => {
                    let newest = page.messages.last().map_or(Seq(0), |it| it.seq);
                    fresh.retain(|it: &Message| it.room != room || it.seq > newest);
                    for message in page.messages.iter().chain(&fresh) {
                        self.feed.mirror.show(message);
                        self.message(message)?;
                    }
                    return Ok(());
                }
                Event::Message(message) => fresh.push(message),
                Event::Connected => self.feed.ask_history(room, None, limit),
                other => self.show(other)?,
            }
        }
    }

    fn page(&mut self, page: HistoryPage) -> Result<()> {
        let Some(gap) = self.gaps.get_mut(&page.room) else {
            return Ok(());
        };
        if let Some(before) = gap.add(&page) {
            self.feed.ask_history(page.room, Some(before), HISTORY_PAGE_MAX);
            return Ok(());
        }
        let filled = self.gaps.remove(&page.room).map(|gap| gap.found);
        for message in filled.unwrap_or_default() {
            self.message(&message)?;
        }
        Ok(())
    }

    /// What was asked before a break is asked again.
    fn ask_gaps_again(&mut self) {
        for (room, gap) in &mut self.gaps {
            gap.found.clear();
            self.feed.ask_history(*room, None, HISTORY_PAGE_MAX);
        }
    }

    fn message(&self, message: &Message) -> Result<()> {
        if self.room.is_some_and(|room| room != message.room) {
            return Ok(());
        }
        let author = self.feed.mirror.name_of(message.author);
        let title = self.feed.mirror.title_of(message.room, self.feed.me());
        if self.json {
            return print::json_line(&print::MessageJson::new(message, &author, &title));
        }
        let shown = match self.room {
            Some(_) => author,
            None => format!("[{title}] {author}"),
        };
        print::line(&print::message_line(message.time_ms, &shown, &message.text))
    }
}

/// Messages that were missed, collected from the newest page back.
struct Gap {
    missed: Missed,
    found: Vec<Message>,
}

impl Gap {
    fn new(missed: Missed) -> Self {
        Self { missed, found: Vec::new() }
    }

    /// Takes a page; where the next older one begins, if it is needed.
    fn add(&mut self, page: &HistoryPage) -> Option<Seq> {
        let Missed { after, last } = self.missed;
        let oldest = self.found.first().map_or(last.next(), |it| it.seq);
        let wanted = page.messages.iter().filter(|it| it.seq > after && it.seq < oldest);
        self.found.splice(0..0, wanted.cloned());
        page.before.filter(|before| *before > after.next())
    }
}

async fn next_line(input: &mut Option<mpsc::Receiver<String>>) -> Option<String> {
    match input {
        Some(lines) => lines.recv().await,
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::ids::{DeviceId, Offset, TimeMs, UserId};

    fn page(seqs: std::ops::RangeInclusive<u64>, before: Option<u64>) -> HistoryPage {
        let message = |seq| Message {
            offset: Offset(seq),
            room: RoomId(1),
            seq: Seq(seq),
            author: UserId(1),
            device: DeviceId(1),
            counter: Counter(seq),
            time_ms: TimeMs(0),
            text: String::new(),
        };
        HistoryPage {
            room: RoomId(1),
            messages: seqs.map(message).collect(),
            damaged: 0,
            before: before.map(Seq),
        }
    }

    #[test]
    fn a_gap_is_filled_page_by_page_and_nothing_outside_it_is_shown_again() {
        let (after, last) = (Seq(3), Seq(9));
        let mut gap = Gap::new(Missed { after, last });
        assert_eq!(gap.add(&page(7..=11, Some(7))), Some(Seq(7)));
        assert_eq!(gap.add(&page(7..=11, Some(7))), Some(Seq(7)));
        assert_eq!(gap.add(&page(2..=6, Some(2))), None);
        let seqs: Vec<u64> = gap.found.iter().map(|it| it.seq.0).collect();
        assert_eq!(seqs, [4, 5, 6, 7, 8, 9]);
    }
}
