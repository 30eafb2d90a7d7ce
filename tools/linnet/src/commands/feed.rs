//! A session that comes back after every break, with the outbox on disk and everything shown once.
//!
//! [`Feed::pump`] writes and must not be dropped half-way; [`Feed::next`] only waits and may be.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Result, bail};
use linnet::client::{ClientError, Command, Mirror, Missed, News, Outbox, Session, Settled, Trust};
use linnet::profile::{Profile, Profiles, SendLock};
use tokio::time::{Instant, sleep_until, timeout};
use wire::client::{Ping, ReadHistory, SyncFrom};
use wire::ids::{RoomId, Seq, UserId};
use wire::limits::HISTORY_PAGE_MAX;
use wire::server::{HistoryPage, Message};
use wire::{ClientMessage, ServerMessage};

const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MOST: Duration = Duration::from_secs(30);

/// How long a box may take to tell rooms and users.
const CAUGHT_UP_TIMEOUT: Duration = Duration::from_secs(60);

/// A quiet connection is asked for a sign of life this often.
const PING_EVERY: Duration = Duration::from_secs(20);

/// A box that stays silent for so long has lost its power or its network: TCP alone would not tell.
const SILENCE_MOST: Duration = Duration::from_secs(60);

/// What a caller may want to show.
pub(crate) enum Event {
    /// A message that was not shown before.
    Message(Message),
    /// Messages of a room were missed: [`Feed::ask_history`] brings them.
    Behind(RoomId, Missed),
    /// Everything up to now was told.
    CaughtUp,
    /// A command ended, well or not.
    Settled(Settled),
    /// A page that was asked for.
    Page(HistoryPage),
    /// Connected again after a break.
    Connected,
    /// The connection broke; it is tried again after this long.
    Broken(ClientError, Duration),
    /// The box could not do something.
    Error(wire::server::Error),
    /// Nothing to show; call [`Feed::pump`].
    Wake,
}

/// Where the outbox is kept; reading alone needs none.
struct Store<'a> {
    profiles: &'a Profiles,
    lock: SendLock,
}

pub(crate) struct Feed<'a> {
    profile: &'a Profile,
    trust: Trust,
    store: Option<Store<'a>>,
    pub(crate) mirror: Mirror,
    outbox: Outbox,
    session: Option<Session>,
    queue: VecDeque<ClientMessage>,
    retry_at: Instant,
    retry_after: Duration,
    paused_until: Option<Instant>,
    heard_at: Instant,
    ping_at: Instant,
}

impl<'a> Feed<'a> {
    /// Connects for reading only.
    pub(crate) async fn reading(profile: &'a Profile) -> Result<Self> {
        Self::start(profile, None, Outbox::default()).await
    }

    /// Connects for sending; takes over what an earlier run left.
    pub(crate) async fn sending(profiles: &'a Profiles, profile: &'a Profile) -> Result<Self> {
        let lock = profiles.lock(profile)?;
        let outbox = profiles.load_outbox(profile, &lock)?;
        if !outbox.pending().is_empty() {
            eprintln!("linnet: {} from before are sent first", outbox.pending().len());
        }
        Self::start(profile, Some(Store { profiles, lock }), outbox).await
    }

    /// The first connection fails at once, so that a typing mistake is not retried for ever.
    async fn start(profile: &'a Profile, store: Option<Store<'a>>, outbox: Outbox) -> Result<Self> {
        let mut feed = Self {
            profile,
            trust: profile.trust()?,
            store,
            mirror: Mirror::default(),
            outbox,
            session: None,
            queue: VecDeque::new(),
            retry_at: Instant::now(),
            retry_after: RETRY_FIRST,
            paused_until: None,
            heard_at: Instant::now(),
            ping_at: Instant::now(),
        };
        feed.connect().await?;
        Ok(feed)
    }

    pub(crate) fn me(&self) -> UserId {
        self.profile.user
    }

    /// Commands that are not settled.
    pub(crate) fn unsettled(&self) -> usize {
        self.outbox.pending().len()
    }

    /// Puts a command in the outbox; [`Self::pump`] sends it.
    pub(crate) fn push(&mut self, command: Command) -> Result<()> {
        self.outbox.push(command);
        self.keep()
    }

    /// Asks for a page of a room's past; [`Self::pump`] sends it.
    pub(crate) fn ask_history(&mut self, room: RoomId, before: Option<Seq>, limit: u32) {
        let limit = limit.clamp(1, HISTORY_PAGE_MAX);
        self.queue.push_back(ClientMessage::ReadHistory(ReadHistory { room, before, limit }));
    }

    /// Writes whatever may be written now.
    pub(crate) async fn pump(&mut self) -> Result<()> {
        if self.session.is_none() || self.paused_until.is_some_and(|it| it > Instant::now()) {
            return Ok(());
        }
        self.paused_until = None;
        let mut messages: Vec<ClientMessage> = self.queue.drain(..).collect();
        let commands = std::iter::from_fn(|| self.outbox.next_to_send());
        let commands = commands.map(|it| it.command.message(it.counter));
        let questions = messages.len();
        messages.extend(commands);
        if messages.len() > questions {
            // On disk before on the wire: a number is never used for two commands.
            self.keep()?;
        }
        for message in &messages {
            let Some(session) = &mut self.session else {
                break;
            };
            let sent = timeout(SILENCE_MOST, session.send(message)).await;
            let stuck = || Err(ClientError::Broken("it takes nothing any more".to_owned()));
            if let Err(error) = sent.unwrap_or_else(|_| stuck()) {
                // The next wait notices the break as well and says so.
                self.session = None;
                self.retry_at = Instant::now() + self.retry_after;
                eprintln!("linnet: {error}");
            }
        }
        Ok(())
    }

    /// Waits for something to happen. May be dropped at any time.
    pub(crate) async fn next(&mut self) -> Result<Event> {
        let Some(session) = &mut self.session else {
            return self.reconnect().await;
        };
        let pause = self.paused_until;
        let message = tokio::select! {
            frame = session.next() => match frame {
                Ok(frame) => frame.message,
                Err(error) => return self.broken(error),
            },
            () = sleep_until(pause.unwrap_or_else(Instant::now)), if pause.is_some() => {
                return Ok(Event::Wake);
            }
            () = sleep_until(self.ping_at) => return self.check_silence(),
        };
        self.hear();
        match message {
            Some(message) => self.take(message),
            None => Ok(Event::Wake),
        }
    }

    /// Waits until rooms and users are known; messages before that are history.
    pub(crate) async fn caught_up(&mut self) -> Result<()> {
        let waited = timeout(CAUGHT_UP_TIMEOUT, async {
            while !matches!(self.next().await?, Event::CaughtUp) {}
            Ok(())
        });
        match waited.await {
            Ok(result) => result,
            Err(_) => bail!("the box did not tell its rooms in time; try again"),
        }
    }

    /// Runs one command to its end; the room it was about.
    pub(crate) async fn finish(&mut self, command: Command) -> Result<RoomId> {
        self.push(command.clone())?;
        let ended = timeout(CAUGHT_UP_TIMEOUT, self.end_of(&command)).await;
        match ended {
            Ok(result) => result,
            Err(_) => Err(super::failure::Undelivered::Waiting(self.unsettled()).into()),
        }
    }

    async fn end_of(&mut self, command: &Command) -> Result<RoomId> {
        loop {
            self.pump().await?;
            match self.next().await? {
                Event::Settled(Settled::Done(pending, ack)) if pending.command == *command => {
                    return Ok(ack.room);
                }
                Event::Settled(Settled::Refused(pending, it)) if pending.command == *command => {
                    bail!("the box refused: {}", it.text);
                }
                _ => {}
            }
        }
    }

    fn take(&mut self, message: ServerMessage) -> Result<Event> {
        if let Some(settled) = self.outbox.settle(&message) {
            self.keep()?;
            return self.settled(settled);
        }
        match message {
            ServerMessage::HistoryPage(page) => return Ok(Event::Page(page)),
            ServerMessage::Error(error) => return Ok(Event::Error(error)),
            _ => {}
        }
        Ok(match self.mirror.take(&message) {
            News::Nothing => Event::Wake,
            News::Message(message) => Event::Message(message),
            News::Behind(room, missed) => Event::Behind(room, missed),
            News::CaughtUp => Event::CaughtUp,
            News::Sync(cursor) => {
                self.queue.push_back(ClientMessage::Sync(SyncFrom { cursor }));
                Event::Wake
            }
        })
    }

    fn settled(&mut self, settled: Settled) -> Result<Event> {
        match settled {
            Settled::Later(millis) => {
                let wait = Duration::from_millis(millis.into());
                self.paused_until = Some(Instant::now() + wait);
                Ok(Event::Wake)
            }
            Settled::Conflict => bail!(
                "another program sends as this device; sign in again with `linnet login {}`",
                self.profile.host
            ),
            other => Ok(Event::Settled(other)),
        }
    }

    fn hear(&mut self) {
        self.heard_at = Instant::now();
        self.ping_at = self.heard_at + PING_EVERY;
    }

    fn check_silence(&mut self) -> Result<Event> {
        if self.heard_at.elapsed() >= SILENCE_MOST {
            let silent = "no sign of life for a minute".to_owned();
            return self.broken(ClientError::Broken(silent));
        }
        self.ping_at = Instant::now() + PING_EVERY;
        self.queue.push_back(ClientMessage::Ping(Ping {}));
        Ok(Event::Wake)
    }

    async fn reconnect(&mut self) -> Result<Event> {
        sleep_until(self.retry_at).await;
        match self.connect().await {
            Ok(()) => Ok(Event::Connected),
            Err(error) => self.broken(error),
        }
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        let copy = self.mirror.copy();
        let (profile, trust) = (self.profile, &self.trust);
        let opened = Session::open(&profile.host, trust, profile.box_id, profile.token, copy);
        let (session, greeting, welcome) = opened.await?;
        self.mirror.welcomed(greeting.epoch, &welcome);
        self.outbox.welcomed(welcome.last_counter);
        self.retry_after = RETRY_FIRST;
        self.session = Some(session);
        self.hear();
        Ok(())
    }

    /// A passing break is told and tried again; anything else is final.
    fn broken(&mut self, error: ClientError) -> Result<Event> {
        self.session = None;
        if !error.is_passing() {
            return Err(error.into());
        }
        let named = match &error {
            ClientError::Closing(closing) => closing.retry_after_ms,
            _ => None,
        };
        let wait = named.map_or(self.retry_after, |ms| Duration::from_millis(ms.into()));
        self.retry_after = (self.retry_after * 2).min(RETRY_MOST);
        self.retry_at = Instant::now() + wait;
        Ok(Event::Broken(error, wait))
    }

    fn keep(&self) -> Result<()> {
        if let Some(store) = &self.store {
            store.profiles.store_outbox(self.profile, &self.outbox, &store.lock)?;
        }
        Ok(())
    }
}

/// The one room that a name means.
pub(crate) fn room_named(feed: &Feed<'_>, name: &str) -> Result<Option<RoomId>> {
    match feed.mirror.rooms_named(name, feed.me())[..] {
        [] => Ok(None),
        [room] => Ok(Some(room)),
        _ => bail!("several rooms are called {name:?}; name it by its number (`linnet rooms`)"),
    }
}

/// Like [`room_named`], but there must be one.
pub(crate) fn room_known(feed: &Feed<'_>, name: &str) -> Result<RoomId> {
    room_named(feed, name)?.ok_or_else(|| {
        anyhow::anyhow!("you are in no room called {name:?}; `linnet rooms` lists yours")
    })
}

/// The user that a name means.
pub(crate) fn user_known(feed: &Feed<'_>, name: &str) -> Result<UserId> {
    let found = feed.mirror.user_named(name.trim_start_matches('@'));
    found.ok_or_else(|| anyhow::anyhow!("there is no user {name:?}; `linnet users` lists them"))
}
