//! People who chat with the box through the CLI's library and remember what was acknowledged.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use linnet::client::{
    ClientError, Command, Host, Http, NewOwner, Outbox, Session, Settled, SignedIn, Trust, claim,
    login,
};
use serde::Serialize;
use serde_json::{Value, json};
use update::claim::ClaimToken;
use vm::ports::Forward;
use wire::ids::{BoxId, DeviceToken, RoomId};

/// The answer to one command on a busy host, recovery included.
const ANSWER_MAX: Duration = Duration::from_secs(60);
const PASSWORD: &str = "a long password of the smoke test";

/// What the box promised to keep, in the words of the independent client.
#[derive(Clone, Serialize)]
pub(super) struct Acked {
    pub(super) room: u32,
    pub(super) seq: u64,
    pub(super) device: u32,
    pub(super) counter: u64,
    pub(super) text: String,
}

pub(super) struct Rooms {
    direct: RoomId,
    group: RoomId,
}

/// One signed-in device.
pub(super) struct Speaker {
    trust: Trust,
    box_id: BoxId,
    me: SignedIn,
    outbox: Outbox,
    session: Option<(u16, Session)>,
    acked: Vec<Acked>,
    last_ack: Instant,
    last_room: Option<RoomId>,
}

pub(super) struct Crowd {
    pub(super) ca_der: Vec<u8>,
    speakers: Vec<Speaker>,
}

impl Crowd {
    /// Claims the box over HTTPS, adds a second person, makes both rooms.
    pub(super) async fn claim(https: &Forward, token: &ClaimToken) -> Result<(Self, Rooms)> {
        let host = host(https);
        let owner = NewOwner {
            name: "ada".to_owned(),
            password: PASSWORD.to_owned(),
            device: "smoke".to_owned(),
        };
        let (ada, ca_der) = claim(&host, token, &owner).await.context("claiming the box")?;
        let trust = Trust::Pinned(ca_der.clone());
        let body = json!({"name": "bo", "password": PASSWORD, "role": "member"});
        let mut http = Http::connect(&host, &trust).await?;
        http.post::<Value>("/api/users", Some(&ada.token), &body).await.context("a second user")?;
        let bo = login(&host, &ca_der, "bo", PASSWORD, "smoke").await.context("signing in")?;
        let with = bo.user;
        let mut speakers = Vec::new();
        for me in [ada, bo] {
            speakers.push(Speaker::new(&host, trust.clone(), me).await?);
        }
        let ada = &mut speakers[0];
        let direct = ada.room(https, Command::OpenDirect { user: with }).await?;
        let command = Command::CreateRoom { name: "everyone".to_owned(), members: vec![with] };
        let group = ada.room(https, command).await?;
        Ok((Self { ca_der, speakers }, Rooms { direct, group }))
    }

    /// They take turns.
    pub(super) fn speaker(&mut self, turn: usize) -> &mut Speaker {
        let people = self.speakers.len();
        &mut self.speakers[turn % people]
    }

    pub(super) fn acked(&self) -> Vec<Acked> {
        self.speakers.iter().flat_map(|speaker| speaker.acked.iter().cloned()).collect()
    }

    /// What the box itself says about its owner.
    pub(super) async fn claimed(&self, https: &Forward) -> Result<bool> {
        let trust = Trust::Pinned(self.ca_der.clone());
        let facts: Value =
            Http::connect(&host(https), &trust).await?.get("/api/facts", None).await?;
        facts["claimed"].as_bool().context("/api/facts does not say whether the box is claimed")
    }

    pub(super) fn tokens(&self) -> Vec<DeviceToken> {
        self.speakers.iter().map(|speaker| speaker.me.token).collect()
    }
}

impl Speaker {
    async fn new(host: &Host, trust: Trust, me: SignedIn) -> Result<Self> {
        let (_, greeting) = Session::connect(host, &trust).await?;
        Ok(Self {
            trust,
            box_id: greeting.box_id,
            me,
            outbox: Outbox::default(),
            session: None,
            acked: Vec::new(),
            last_ack: Instant::now(),
            last_room: None,
        })
    }

    /// Queues `count` messages, every other one in the direct room.
    pub(super) fn say_alternately(&mut self, rooms: &Rooms, count: usize, what: &str) {
        for number in 0..count {
            let room = if number % 2 == 0 { rooms.direct } else { rooms.group };
            self.outbox.push(Command::Send { room, text: format!("{what} message {number}") });
        }
    }

    /// Sends and takes answers until nothing is pending.
    pub(super) async fn settle_all(&mut self, https: &Forward) -> Result<()> {
        self.forget_session_of_another_start(https);
        while !self.outbox.pending().is_empty() {
            self.step(https).await?;
        }
        Ok(())
    }

    /// Until at least `acks` more were taken and, with the last one, `in_flight` are un-answered.
    pub(super) async fn settle_until(
        &mut self,
        https: &Forward,
        acks: usize,
        in_flight: usize,
    ) -> Result<()> {
        let wanted = self.acked.len() + acks;
        while self.acked.len() < wanted || self.in_flight() < in_flight {
            if self.outbox.pending().is_empty() {
                bail!("every message was acknowledged before {in_flight} were in flight at once");
            }
            self.step(https).await?;
        }
        Ok(())
    }

    pub(super) fn is_settled(&self) -> bool {
        self.outbox.pending().is_empty()
    }

    pub(super) fn acked_since(&self, known: usize) -> &[Acked] {
        &self.acked[known..]
    }

    pub(super) fn acked_count(&self) -> usize {
        self.acked.len()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.outbox.pending().iter().filter(|pending| pending.sent).count()
    }

    pub(super) fn last_ack(&self) -> Instant {
        self.last_ack
    }

    /// Drops a connection to a machine that was killed since.
    pub(super) fn forget_session_of_another_start(&mut self, https: &Forward) {
        if self.in_flight() > 0 || self.session.as_ref().is_some_and(|it| it.0 != https.host) {
            self.session = None;
        }
    }

    async fn room(&mut self, https: &Forward, command: Command) -> Result<RoomId> {
        self.outbox.push(command);
        self.settle_all(https).await?;
        self.last_room.take().context("the box made no room")
    }

    /// Fills the window, then takes one frame. A broken connection is made anew.
    pub(super) async fn step(&mut self, https: &Forward) -> Result<()> {
        match tokio::time::timeout(ANSWER_MAX, self.exchange(https)).await {
            Ok(Err(error)) if error.is_passing() => {
                self.session = None;
                Ok(())
            }
            Ok(result) => result.context("talking to the box"),
            Err(_) => bail!("the box did not answer in {} s", ANSWER_MAX.as_secs()),
        }
    }

    async fn exchange(&mut self, https: &Forward) -> Result<(), ClientError> {
        if self.session.is_none() {
            let (host, token) = (host(https), self.me.token);
            let (session, _, welcome) =
                Session::open(&host, &self.trust, self.box_id, token, None).await?;
            self.outbox.welcomed(welcome.last_counter);
            self.session = Some((https.host, session));
        }
        let Some((_, session)) = &mut self.session else { return Ok(()) };
        while let Some(pending) = self.outbox.next_to_send() {
            session.send(&pending.command.message(pending.counter)).await?;
        }
        let frame = session.next().await?;
        let settled = frame.message.and_then(|message| self.outbox.settle(&message));
        match settled {
            None => Ok(()),
            Some(Settled::Done(pending, ack)) => {
                self.last_ack = Instant::now();
                self.last_room = Some(ack.room);
                if let Command::Send { text, .. } = pending.command {
                    self.acked.push(Acked {
                        room: ack.room.0,
                        seq: ack.seq.0,
                        device: self.me.device.0,
                        counter: ack.counter.0,
                        text,
                    });
                }
                Ok(())
            }
            Some(other) => Err(ClientError::Protocol(format!("unexpected answer: {other:?}"))),
        }
    }
}

fn host(https: &Forward) -> Host {
    let text = format!("localhost:{}", https.host);
    text.parse().expect("localhost and a port are an address")
}
