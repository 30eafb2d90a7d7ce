//! The owner of a box under test: claims it, signs in, chats and reads back, through the CLI's own
//! library. Every call is a connection of its own, as a test asks whether the box answers now.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use linnet::client::{
    ClientError, Command, Host, Http, NewOwner, Outbox, Session, Settled, SignedIn, Trust, claim,
    login,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use update::claim::ClaimToken;
use wire::client::ReadHistory;
use wire::ids::{BoxId, DeviceToken, RoomId};
use wire::limits::HISTORY_PAGE_MAX;
use wire::server::Reason;
use wire::{ClientMessage, ServerMessage};

const NAME: &str = "ada";
const PASSWORD: &str = "a long password of the box's tests";
/// One answer on a busy host.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// A page that is there comes at once.
const PAGE_MAX: Duration = Duration::from_secs(2);
/// Thousands of messages, one after the other, on an emulated card.
const MANY_MAX: Duration = Duration::from_secs(300);
/// How often a box that does not answer yet is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(300);

/// What the owner's program keeps: whom it trusts, who it is, and the room it writes to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Owner {
    ca_der: Vec<u8>,
    box_id: BoxId,
    token: DeviceToken,
    room: RoomId,
}

impl Owner {
    /// Claims the box at `at` and makes a room with a second person.
    pub fn claim(at: Ipv4Addr, token: &ClaimToken) -> Result<Self> {
        wait(async {
            let owner = NewOwner {
                name: NAME.to_owned(),
                password: PASSWORD.to_owned(),
                device: "test".to_owned(),
            };
            let (me, ca_der) = claim(&host(at), token, &owner).await?;
            let trust = Trust::Pinned(ca_der.clone());
            let body = json!({"name": "bo", "password": PASSWORD, "role": "member"});
            let mut http = Http::connect(&host(at), &trust).await?;
            let bo: Value = http.post("/api/users", Some(&me.token), &body).await?;
            let bo = serde_json::from_value(bo["user"].clone()).expect("a user has a number");
            let (_, greeting) = Session::connect(&host(at), &trust).await?;
            let token = me.token;
            let mut owner = Self { ca_der, box_id: greeting.box_id, token, room: RoomId(0) };
            let command = Command::CreateRoom { name: "all".to_owned(), members: vec![bo] };
            match owner.settle(at, command).await? {
                Settled::Done(_, ack) => owner.room = ack.room,
                other => return Err(ClientError::Protocol(format!("no room: {other:?}"))),
            }
            Ok(owner)
        })
        .context("claiming the box")
    }

    /// Signs in as after the loss of a device, with the password.
    pub fn sign_in(&self, at: Ipv4Addr) -> Result<SignedIn> {
        wait(login(&host(at), &self.ca_der, NAME, PASSWORD, "another")).context("signing in")
    }

    /// Writes a message, which the box must keep.
    pub fn say(&self, at: Ipv4Addr, text: &str) -> Result<()> {
        let command = Command::Send { room: self.room, text: text.to_owned() };
        match wait(self.settle(at, command)).context("writing a message")? {
            Settled::Done(..) | Settled::DoneBefore(_) => Ok(()),
            other => bail!("the box did not keep a message: {other:?}"),
        }
    }

    /// Writes `text` again and again, at most `count_max` times, until the box takes no more;
    /// returns how often it was kept, and the box's word.
    pub fn say_until_refused(
        &self,
        at: Ipv4Addr,
        text: &str,
        count_max: usize,
    ) -> Result<(usize, Reason)> {
        let command = || Command::Send { room: self.room, text: text.to_owned() };
        let work = async {
            let (mut session, mut outbox) = self.open(at).await?;
            (0..count_max).for_each(|_| outbox.push(command()));
            let mut kept = 0;
            while !outbox.pending().is_empty() {
                while let Some(pending) = outbox.next_to_send() {
                    session.send(&pending.command.message(pending.counter)).await?;
                }
                match session.next().await?.message {
                    Some(ServerMessage::Error(error)) => return Ok((kept, error.reason)),
                    Some(message) => kept += usize::from(outbox.settle(&message).is_some()),
                    None => {}
                }
            }
            Err(ClientError::Protocol(format!("{kept} messages were kept, none refused")))
        };
        Ok(wait_at_most(MANY_MAX, work)?)
    }

    /// The newest messages of the room, oldest first.
    pub fn texts(&self, at: Ipv4Addr) -> Result<Vec<String>> {
        wait(async {
            let mut session = self.open(at).await?.0;
            let read = ReadHistory { room: self.room, before: None, limit: HISTORY_PAGE_MAX };
            session.send(&ClientMessage::ReadHistory(read)).await?;
            loop {
                match session.next().await?.message {
                    Some(ServerMessage::HistoryPage(page)) => {
                        return Ok(page.messages.into_iter().map(|it| it.text).collect());
                    }
                    Some(ServerMessage::Error(error)) => {
                        return Err(ClientError::Protocol(error.text));
                    }
                    _ => {}
                }
            }
        })
        .context("reading the room")
    }

    /// Asks the box something as its owner.
    pub fn get(&self, at: Ipv4Addr, path: &str) -> Result<Value> {
        wait(async { self.http(at).await?.get(path, Some(&self.token)).await })
            .context(path.to_owned())
    }

    /// Asks the box to do something.
    pub fn post(&self, at: Ipv4Addr, path: &str, body: &Value) -> Result<Value> {
        wait(async { self.http(at).await?.post(path, Some(&self.token), body).await })
            .context(path.to_owned())
    }

    /// Takes something away.
    pub fn delete(&self, at: Ipv4Addr, path: &str) -> Result<Value> {
        wait(async { self.http(at).await?.delete(path, Some(&self.token)).await })
            .context(path.to_owned())
    }

    /// Has everything erased that people made.
    pub fn factory_reset(&self, at: Ipv4Addr) -> Result<()> {
        self.post(at, "/api/box/factory-reset", &json!({"password": PASSWORD})).map(drop)
    }

    /// Waits until the box at `at` proves to be the owner's own.
    pub fn wait_for_answer(&self, at: Ipv4Addr, at_most: Duration) -> Result<Value> {
        ask_until(at_most, || wait(async { self.http(at).await?.get("/api/facts", None).await }))
    }

    /// Whether the box answers within a short time: for networks in which it should not.
    pub fn is_reachable(&self, at: Ipv4Addr, at_most: Duration) -> bool {
        runtime().block_on(async {
            let asked = async { self.http(at).await?.get::<Value>("/api/facts", None).await };
            matches!(tokio::time::timeout(at_most, asked).await, Ok(Ok(_)))
        })
    }

    async fn http(&self, at: Ipv4Addr) -> Result<Http, ClientError> {
        Http::connect(&host(at), &Trust::Pinned(self.ca_der.clone())).await
    }

    async fn open(&self, at: Ipv4Addr) -> Result<(Session, Outbox), ClientError> {
        let trust = Trust::Pinned(self.ca_der.clone());
        let (session, _, welcome) =
            Session::open(&host(at), &trust, self.box_id, self.token, None).await?;
        let mut outbox = Outbox::default();
        outbox.welcomed(welcome.last_counter);
        Ok((session, outbox))
    }

    /// One command to its end.
    async fn settle(&self, at: Ipv4Addr, command: Command) -> Result<Settled, ClientError> {
        let (mut session, mut outbox) = self.open(at).await?;
        outbox.push(command);
        let pending = outbox.next_to_send().expect("an empty window has room for one command");
        session.send(&pending.command.message(pending.counter)).await?;
        loop {
            let frame = session.next().await?;
            if let Some(settled) = frame.message.and_then(|message| outbox.settle(&message)) {
                return Ok(settled);
            }
        }
    }
}

/// What any neighbour sees of the box: waits until it answers.
pub fn wait_for_stranger(at: Ipv4Addr, at_most: Duration) -> Result<Value> {
    ask_until(at_most, || {
        wait(async {
            let mut http = Http::connect(&host(at), &Trust::FirstContact).await?;
            http.get("/api/facts", None).await
        })
    })
}

/// The first page, as a browser gets it; an error unless it is there.
pub fn page(at: Ipv4Addr) -> Result<()> {
    wait(async {
        let mut http = Http::connect(&host(at), &Trust::FirstContact).await?;
        http.stream("/", None).await.map(drop)
    })
    .context("the first page")
}

/// Whether the first page is there now. `host` may carry a port.
pub fn page_answers(host: &str) -> bool {
    let Ok(host) = host.parse::<Host>() else { return false };
    let asked = async {
        let mut http = Http::connect(&host, &Trust::FirstContact).await?;
        http.stream("/", None).await.map(drop)
    };
    wait_at_most(PAGE_MAX, asked).is_ok()
}

fn ask_until(
    at_most: Duration,
    mut ask: impl FnMut() -> Result<Value, ClientError>,
) -> Result<Value> {
    let deadline = Instant::now() + at_most;
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) if Instant::now() < deadline && error.is_passing() => {
                std::thread::sleep(ASK_AGAIN);
            }
            Err(error) => return Err(error).context("the box does not answer as it should"),
        }
    }
}

fn host(at: Ipv4Addr) -> Host {
    at.to_string().parse().expect("an address is a host")
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("the host gives a program what a runtime needs")
}

/// Runs to the end or to the bound of one answer.
fn wait<T>(work: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    wait_at_most(ANSWER_MAX, work)
}

fn wait_at_most<T>(
    at_most: Duration,
    work: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    runtime().block_on(async {
        let late = || ClientError::Broken("no answer in time".to_owned());
        tokio::time::timeout(at_most, work).await.unwrap_or_else(|_| Err(late()))
    })
}
