//! A box in memory: log, store and connections that do what the core's outputs ask.

use std::collections::{BTreeMap, VecDeque};

use sha2::{Digest, Sha256};
use wire::client::{AddMember, CreateRoom, Hello, History, OpenDirect, RemoveMember, SendText};
use wire::ids::{
    BoxId, Counter, DeviceId, DeviceToken, Epoch, Offset, RoomId, Seq, TimeMs, TokenHash, UserId,
};
use wire::server::{Closing, Message, Role};
use wire::{ClientMessage, ServerMessage};

use super::copy::Copy;
use crate::api::{ApiCall, ApiError, ApiReply};
use crate::live::message_of;
use crate::state::{Change, PasswordHash, State};
use crate::{Chat, Config, Entry, Input, Output, SessionId, Ticket};

pub(super) const EPOCH: Epoch = Epoch([7; 16]);

#[derive(Debug)]
pub(super) struct Bench {
    pub(super) chat: Chat,
    pub(super) config: Config,
    pub(super) now: TimeMs,
    pub(super) log: Vec<Entry>,
    /// Makes what is appended durable at once.
    pub(super) sync: bool,
    /// Answers reads at once.
    pub(super) serve_reads: bool,
    /// Takes pages from sessions at once.
    pub(super) flush: bool,
    pub(super) reads: VecDeque<(Ticket, RoomId, Seq, Seq)>,
    pub(super) store: Vec<Change>,
    pub(super) applied: Offset,
    inbox: BTreeMap<SessionId, Vec<(u32, ServerMessage)>>,
    pub(super) closed: BTreeMap<SessionId, Closing>,
    api: BTreeMap<Ticket, Result<ApiReply, ApiError>>,
    next: u64,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(Config { version: "test".into(), ..Config::default() })
    }

    pub(super) fn with(config: Config) -> Self {
        let mut bench = Self {
            chat: Chat::new(State::new(), config.clone()),
            config,
            now: TimeMs(1_000),
            log: Vec::new(),
            sync: true,
            serve_reads: true,
            flush: true,
            reads: VecDeque::new(),
            store: Vec::new(),
            applied: Offset(0),
            inbox: BTreeMap::new(),
            closed: BTreeMap::new(),
            api: BTreeMap::new(),
            next: 0,
        };
        let begin = ApiCall::BeginEpoch { box_id: BoxId([1; 16]), epoch: EPOCH };
        bench.call(begin).unwrap();
        bench
    }

    /// A box with users 1 (the owner) to `count`, each with one device of the same number.
    pub(super) fn with_users(count: u32) -> Self {
        let mut bench = Self::new();
        bench.add_users(count);
        bench
    }

    pub(super) fn add_users(&mut self, count: u32) {
        let password_hash = PasswordHash("hash".into());
        for user in 1..=count {
            let name = format!("user{user}");
            let password_hash = password_hash.clone();
            if user == 1 {
                let provision = wire::ids::ProvisionId([3; 16]);
                self.call(ApiCall::Claim { provision, name, password_hash }).unwrap();
            } else {
                let by = UserId(1);
                let role = Role::Member;
                self.call(ApiCall::AddUser { by, name, role, password_hash }).unwrap();
            }
            self.add_device(UserId(user));
        }
    }

    pub(super) fn add_device(&mut self, user: UserId) -> DeviceId {
        let device = DeviceId(self.chat.state().meta().last_device.0 + 1);
        let token_hash = TokenHash(Sha256::digest(token(device).0).into());
        let label = "test".to_owned();
        let added = self.call(ApiCall::AddDevice { user, label, token_hash });
        assert_eq!(added, Ok(ApiReply::DeviceAdded(device)));
        device
    }

    pub(super) fn call(&mut self, call: ApiCall) -> Result<ApiReply, ApiError> {
        self.next += 1;
        let ticket = Ticket(self.next);
        self.input(Input::Api { ticket, call });
        self.api.remove(&ticket).expect("calls are answered when durable")
    }

    pub(super) fn input(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.chat.handle(self.now, input);
            while let Some(output) = self.chat.poll_output() {
                inputs.extend(self.carry_out(output));
            }
            let head = Offset(self.log.len() as u64);
            if self.sync && self.chat.durable() < head {
                inputs.push_back(Input::Durable { up_to: head });
            }
        }
    }

    fn carry_out(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Append(entry) => {
                assert_eq!(entry.offset.0, self.log.len() as u64 + 1);
                self.log.push(entry);
                None
            }
            Output::Send { to, request, message, flush_note } => {
                let to = to.as_slice();
                assert!(to.windows(2).all(|pair| pair[0] < pair[1]));
                for session in to {
                    self.inbox.entry(*session).or_default().push((request, message.clone()));
                }
                (flush_note && self.flush).then(|| Input::Flushed { session: to[0] })
            }
            Output::Close { session, closing } => {
                self.closed.insert(session, closing);
                None
            }
            Output::ApiDone { ticket, reply } => {
                self.api.insert(ticket, reply);
                None
            }
            Output::Read { ticket, room, first, last } => {
                self.reads.push_back((ticket, room, first, last));
                if self.serve_reads { self.next_read() } else { None }
            }
            Output::Checkpoint { applied, changes } => {
                assert!(applied <= self.chat.durable());
                self.store.extend(changes);
                self.applied = applied;
                Some(Input::CheckpointDone { applied })
            }
        }
    }

    pub(super) fn next_read(&mut self) -> Option<Input> {
        let (ticket, room, first, last) = self.reads.pop_front()?;
        let wanted =
            |message: &Message| message.room == room && first <= message.seq && message.seq <= last;
        let saved = self.log.iter().take_while(|entry| entry.offset <= self.applied);
        let messages: Vec<Message> = saved.filter_map(message_of).filter(wanted).collect();
        assert_eq!(messages.len() as u64, last.0 - first.0 + 1, "only saved messages are read");
        Some(Input::ReadDone { ticket, messages, damaged: 0 })
    }

    /// What the store holds, as it would load after a restart.
    pub(super) fn stored(&self) -> Vec<Change> {
        let mut rows: BTreeMap<String, Change> = BTreeMap::new();
        for change in &self.store {
            let key = match change {
                Change::Meta(_) => "meta".to_owned(),
                Change::User(user) => format!("user {}", user.user),
                Change::Device(device) => format!("device {}", device.device),
                Change::DeviceRemoved(device) => {
                    rows.remove(&format!("device {device}"));
                    continue;
                }
                Change::Room(room) => format!("room {}", room.room),
                Change::Member { room, member } => format!("member {room} {}", member.user),
                Change::Mark { room, mark } => format!("mark {room} {}", mark.seq),
                Change::Message { .. } => continue,
            };
            let bytes = postcard::to_stdvec(change).unwrap();
            rows.insert(key, postcard::from_bytes(&bytes).unwrap());
        }
        rows.into_values().collect()
    }

    /// The program starts again: from the store and the durable part of the log.
    pub(super) fn restart(&mut self) {
        self.log.truncate(usize::try_from(self.chat.durable().0).unwrap());
        let snapshot = State::load(self.stored()).unwrap();
        let applied = snapshot.head();
        let mut chat = Chat::new(snapshot, self.config.clone());
        self.log.iter().filter(|entry| entry.offset > applied).for_each(|e| chat.replay(e));
        self.chat = chat;
        self.reads.clear();
    }

    /// Connects and says hello with a copy's epoch and cursor.
    pub(super) fn connect(&mut self, device: DeviceId, cursor: Offset) -> SessionId {
        let session = self.open();
        self.frame(session, hello(device, cursor));
        session
    }

    pub(super) fn open(&mut self) -> SessionId {
        self.next += 1;
        let session = SessionId(self.next);
        self.input(Input::Connected { session });
        session
    }

    pub(super) fn frame(&mut self, session: SessionId, message: impl Into<ClientMessage>) {
        self.next += 1;
        let request = u32::try_from(self.next).unwrap();
        self.input(Input::Frame { session, request, message: message.into() });
    }

    pub(super) fn read(&mut self, session: SessionId, room: u32, seq: u64) {
        let (room, seq) = (RoomId(room), Seq(seq));
        self.frame(session, wire::client::Read { room, seq });
    }

    /// Everything that came to a session since the last look.
    pub(super) fn take(&mut self, session: SessionId) -> Vec<ServerMessage> {
        let frames = self.inbox.remove(&session).unwrap_or_default();
        frames.into_iter().map(|(_, message)| message).collect()
    }

    /// The answer to the newest frame of a session.
    pub(super) fn ask(
        &mut self,
        session: SessionId,
        message: impl Into<ClientMessage>,
    ) -> ServerMessage {
        self.frame(session, message);
        let request = u32::try_from(self.next).unwrap();
        let frames = self.inbox.entry(session).or_default();
        let at = frames.iter().position(|(answered, _)| *answered == request).expect("an answer");
        frames.remove(at).1
    }

    /// Lets a copy take everything that came to a session.
    pub(super) fn update(&mut self, session: SessionId, copy: &mut Copy) {
        for event in self.take(session) {
            copy.apply(&event);
        }
    }

    pub(super) fn tick(&mut self, ms: u64) {
        self.now = TimeMs(self.now.0 + ms);
        self.input(Input::Tick);
    }
}

pub(super) fn token(device: DeviceId) -> DeviceToken {
    let mut token = [9; 32];
    token[..4].copy_from_slice(&device.0.to_le_bytes());
    DeviceToken(token)
}

pub(super) fn hello(device: DeviceId, cursor: Offset) -> Hello {
    let epoch = (cursor > Offset(0)).then_some(EPOCH);
    Hello { token: token(device), epoch, cursor, client: "test".into() }
}

pub(super) fn text(counter: u64, room: u32, text: &str) -> SendText {
    SendText { counter: Counter(counter), room: RoomId(room), text: text.into() }
}

pub(super) fn direct(counter: u64, user: u32) -> OpenDirect {
    OpenDirect { counter: Counter(counter), user: UserId(user) }
}

pub(super) fn group(counter: u64, members: &[u32], history: History) -> CreateRoom {
    let members = members.iter().map(|user| UserId(*user)).collect();
    CreateRoom { counter: Counter(counter), name: "group".into(), members, history }
}

pub(super) fn add(counter: u64, room: u32, user: u32) -> AddMember {
    AddMember { counter: Counter(counter), room: RoomId(room), user: UserId(user) }
}

pub(super) fn remove(counter: u64, room: u32, user: u32) -> RemoveMember {
    RemoveMember { counter: Counter(counter), room: RoomId(room), user: UserId(user) }
}
