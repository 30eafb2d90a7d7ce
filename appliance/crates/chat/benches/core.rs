//! What the core alone costs: CPU time of its thread and memory, without sockets and cards.
//!
//! `cargo bench -p linnet-chat -- fanout durable join announce memory` runs the named ones, or all.
//! Under callgrind the counts repeat to the digit.

use std::fs;
use std::hint::black_box;

use chat::limits::Shares;
use chat::state::{PasswordHash, State};
use chat::{ApiCall, Chat, Config, Entry, Input, Output, SessionId, Ticket};
use linnet_chat as chat;
use sha2::{Digest, Sha256};
use wire::client::{AddMember, CreateRoom, Hello, History, Read, SendText};
use wire::ids::{
    BoxId, Counter, DeviceToken, Epoch, Offset, ProvisionId, RoomId, Seq, TimeMs, TokenHash, UserId,
};
use wire::server::Role;
use wire::{ClientMessage, RecordBody, ServerMessage};

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let all: [(&str, fn()); 5] = [
        ("fanout", fanout),
        ("durable", durable),
        ("join", join),
        ("announce", announce),
        ("memory", memory),
    ];
    for (name, run) in all {
        if wanted.is_empty() || wanted.iter().any(|want| want == name) {
            run();
        }
    }
}

/// 1,000 members, one message after another.
fn fanout() {
    let mut rig = Rig::new(1_000, 1_000);
    rig.room_of_all();
    rig.measure("fanout, per delivery", |rig| {
        for _ in 0..20_000 {
            rig.post(1, RoomId(1));
            rig.durable();
        }
        rig.deliveries
    });
}

/// 256 senders with a room each; 16 messages of each before the card has them.
fn durable() {
    let mut rig = Rig::new(256, 256);
    for user in 1..=256 {
        rig.command(user, |counter| create(counter, Vec::new()));
    }
    rig.durable();
    rig.measure("durable, per message", |rig| {
        for _ in 0..40 {
            for user in (0..16).flat_map(|_| 1..=256) {
                rig.post(user, RoomId(user));
            }
            rig.durable();
        }
        40 * 16 * 256
    });
}

/// 1,000 users who are online join one room, ten between two ticks.
fn join() {
    let mut rig = Rig::new(1_001, 1_001);
    rig.command(1, |counter| create(counter, Vec::new()));
    rig.durable();
    rig.measure("join, per member", |rig| {
        for user in 2..=1_001 {
            rig.command(1, |counter| {
                AddMember { counter, room: RoomId(1), user: UserId(user) }.into()
            });
            rig.durable();
            if user % 10 == 0 {
                rig.tick();
            }
        }
        1_000
    });
    println!("  {} frames of members in {} outputs", rig.member_frames, rig.sends);
}

/// One message to 4,000 members, who all say that they read it.
fn announce() {
    let mut rig = Rig::new(4_000, 4_000);
    rig.room_of_all();
    let before = rig.record_bytes;
    rig.measure("announce, per reader", |rig| {
        rig.post(1, RoomId(1));
        rig.durable();
        for user in 2..=4_000 {
            rig.frame(user, Read { room: RoomId(1), seq: Seq(1) }.into());
            if user % 256 == 0 {
                rig.durable();
            }
        }
        for _ in 0..20 {
            rig.tick();
            rig.durable();
        }
        4_000
    });
    let bytes = rig.record_bytes - before;
    println!("  {} deliveries, {} outputs, {bytes} bytes of records", rig.deliveries, rig.sends);
}

/// 10,000 people with one device and one connection each.
fn memory() {
    let mut rig = Rig::new(10_000, 0);
    let accounts = rig.resident;
    for user in 1..=10_000 {
        rig.connect(user);
    }
    let live = resident_bytes();
    println!("memory: {} bytes per account and device", accounts / 10_000);
    println!(
        "memory: {} bytes per live session",
        live.saturating_sub(rig.base + accounts) / 10_000
    );
    for user in 1..=10_000 {
        rig.command(user, |counter| create(counter, Vec::new()));
        if user % 256 == 0 {
            rig.durable();
        }
    }
    let rooms = resident_bytes();
    println!("memory: {} bytes per room of one", rooms.saturating_sub(live) / 10_000);
    for count in [1, 63] {
        let before = resident_bytes();
        for _ in 0..count {
            (1..=10_000).for_each(|user| {
                rig.command(user, |counter| create(counter, vec![UserId(0)]));
                if user % 256 == 0 {
                    rig.durable();
                }
            });
        }
        let bytes = resident_bytes().saturating_sub(before) / 10_000;
        println!("memory: {bytes} bytes per device for {count} more results");
    }
}

fn create(counter: Counter, members: Vec<UserId>) -> ClientMessage {
    CreateRoom { counter, name: "bench".into(), history: History::All, members }.into()
}

/// A core with people, and a shell that only counts.
struct Rig {
    chat: Chat,
    now: TimeMs,
    counters: Vec<u64>,
    head: Offset,
    deliveries: u64,
    sends: u64,
    member_frames: u64,
    record_bytes: usize,
    base: u64,
    resident: u64,
}

impl Rig {
    /// `users` accounts with a device each, the first `online` of them connected.
    fn new(users: u32, online: u32) -> Self {
        let shares = Shares { sessions_max: 100_000, ..Shares::default() };
        let mut rig = Self {
            chat: Chat::new(State::new(), Config { version: "bench".into(), shares }),
            now: TimeMs(1_000),
            counters: vec![0; users as usize + 1],
            head: Offset(0),
            deliveries: 0,
            sends: 0,
            member_frames: 0,
            record_bytes: 0,
            base: resident_bytes(),
            resident: 0,
        };
        rig.call(ApiCall::BeginEpoch { box_id: BoxId([1; 16]), epoch: Epoch([7; 16]) });
        (1..=users).for_each(|user| rig.add_user(user));
        rig.resident = resident_bytes().saturating_sub(rig.base);
        (1..=online).for_each(|user| rig.connect(user));
        rig
    }

    fn add_user(&mut self, user: u32) {
        let (name, password_hash) = (format!("user{user}"), PasswordHash("x".repeat(96)));
        self.call(if user == 1 {
            ApiCall::Claim { provision: ProvisionId([3; 16]), name, password_hash }
        } else {
            ApiCall::AddUser { by: UserId(1), name, role: Role::Member, password_hash }
        });
        let token_hash = TokenHash(Sha256::digest(token(user).0).into());
        self.call(ApiCall::AddDevice { user: UserId(user), label: "bench".into(), token_hash });
    }

    fn call(&mut self, call: ApiCall) {
        self.input(Input::Api { ticket: Ticket(1), call });
        self.durable();
    }

    fn connect(&mut self, user: u32) {
        let session = SessionId(u64::from(user));
        self.input(Input::Connected { session });
        let (epoch, cursor) = (Some(Epoch([7; 16])), self.head);
        self.frame(
            user,
            Hello { token: token(user), epoch, cursor, client: "bench".into() }.into(),
        );
        self.durable();
        self.input(Input::Flushed { session });
    }

    fn room_of_all(&mut self) {
        let users = u32::try_from(self.counters.len()).expect("few users") - 1;
        self.command(1, |counter| create(counter, Vec::new()));
        for user in 2..=users {
            self.command(1, |counter| {
                AddMember { counter, room: RoomId(1), user: UserId(user) }.into()
            });
            self.durable();
        }
        self.tick();
    }

    fn post(&mut self, user: u32, room: RoomId) {
        let text = "x".repeat(192);
        self.command(user, |counter| SendText { counter, room, text }.into());
    }

    fn command(&mut self, user: u32, make: impl FnOnce(Counter) -> ClientMessage) {
        self.counters[user as usize] += 1;
        self.frame(user, make(Counter(self.counters[user as usize])));
    }

    fn frame(&mut self, user: u32, message: ClientMessage) {
        self.input(Input::Frame { session: SessionId(u64::from(user)), request: 1, message });
    }

    fn tick(&mut self) {
        self.now.0 += 100;
        self.input(Input::Tick);
    }

    fn durable(&mut self) {
        self.input(Input::Durable { up_to: self.head });
    }

    fn input(&mut self, input: Input) {
        self.chat.handle(self.now, input);
        while let Some(output) = self.chat.poll_output() {
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Append(entry) => self.append(&entry),
            Output::Send { to, message, .. } => {
                self.sends += 1;
                let count = to.as_slice().len() as u64;
                match message {
                    ServerMessage::Message(_) => self.deliveries += count,
                    ServerMessage::MemberChange(_) | ServerMessage::MembersChanged(_) => {
                        self.member_frames += count;
                    }
                    other => drop(black_box(other)),
                }
            }
            Output::Checkpoint { applied, changes } => {
                drop(black_box(changes));
                self.chat.handle(self.now, Input::CheckpointDone { applied });
            }
            other => drop(black_box(other)),
        }
    }

    fn append(&mut self, entry: &Entry) {
        self.head = entry.offset;
        if let RecordBody::CursorsMoved(_) | RecordBody::MessagePosted(_) = &entry.body {
            let mut bytes = Vec::new();
            entry.body.write_postcard(&mut bytes);
            self.record_bytes += bytes.len() + 64;
        }
    }

    /// Says what one of `work`'s pieces costs.
    fn measure(&mut self, what: &str, work: impl FnOnce(&mut Self) -> u64) {
        (self.deliveries, self.sends, self.member_frames) = (0, 0, 0);
        let before = cpu_nanos();
        let pieces = work(self);
        let nanos = cpu_nanos() - before;
        println!("{what}: {} ns ({} us in all)", nanos / pieces.max(1), nanos / 1_000);
    }
}

fn token(user: u32) -> DeviceToken {
    let mut token = [9; 32];
    token[..4].copy_from_slice(&user.to_le_bytes());
    DeviceToken(token)
}

/// CPU time of this thread.
fn cpu_nanos() -> u64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells CPU times");
    stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("nanoseconds come first")
}

fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux tells memory");
    let pages: u64 = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("pages");
    pages * 4096
}
