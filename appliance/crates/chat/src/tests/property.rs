//! Events applied to an old copy equal a fresh snapshot; the store's rows and replay equal memory.

use proptest::prelude::*;
use wire::client::{History, SyncFrom};
use wire::ids::{Counter, DeviceId, Offset, RoomId, UserId};
use wire::{ClientMessage, ServerMessage};

use super::copy::Copy;
use super::harness::{Bench, add, direct, group, remove, text};
use crate::live::message_of;
use crate::{Config, Input, SessionId};

const USERS: u32 = 4;

#[derive(Clone, Debug)]
enum Step {
    Command { user: u32, command: ClientMessage },
    Read { user: u32, room: u32, back: u64 },
    Reconnect { user: u32, from_start: bool },
    Drop { user: u32 },
    Overflow { user: u32 },
    Tick { ms: u64 },
    AddUser,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let user = 1..=USERS;
    let command =
        (user.clone(), any_command()).prop_map(|(user, command)| Step::Command { user, command });
    prop_oneof![
        12 => command,
        3 => (user.clone(), 1..6_u32, 0..3_u64)
            .prop_map(|(user, room, back)| Step::Read { user, room, back }),
        3 => (user.clone(), prop::bool::weighted(0.1))
            .prop_map(|(user, from_start)| Step::Reconnect { user, from_start }),
        2 => user.clone().prop_map(|user| Step::Drop { user }),
        2 => user.prop_map(|user| Step::Overflow { user }),
        2 => (0..1_500_u64).prop_map(|ms| Step::Tick { ms }),
        1 => Just(Step::AddUser),
        1 => Just(Step::Restart),
    ]
}

fn any_command() -> impl Strategy<Value = ClientMessage> {
    let history = prop_oneof![Just(History::All), Just(History::SinceJoin)];
    prop_oneof![
        8 => (1..6_u32).prop_map(|room| text(0, room, "text").into()),
        1 => (1..=USERS).prop_map(|user| direct(0, user).into()),
        2 => (prop::collection::vec(1..=USERS, 0..4), history)
            .prop_map(|(members, history)| group(0, &members, history).into()),
        3 => (1..6_u32, 1..=USERS).prop_map(|(room, user)| add(0, room, user).into()),
        3 => (1..6_u32, 1..=USERS).prop_map(|(room, user)| remove(0, room, user).into()),
    ]
}

struct World {
    bench: Bench,
    sessions: Vec<Option<SessionId>>,
    copies: Vec<Copy>,
    /// Small rooms count as large: whoever reconnects while joins wait sees messages again.
    crowds: bool,
}

impl World {
    fn new(hot_bytes_max: usize, crowd_members: usize) -> Self {
        let mut config = Config::default();
        config.shares.checkpoint_records = 7;
        config.shares.hot_bytes_max = hot_bytes_max;
        config.shares.crowd_members = crowd_members;
        let mut bench = Bench::with(config);
        bench.add_users(USERS);
        let copies = (0..=USERS).map(|me| Copy { me: UserId(me), ..Copy::default() }).collect();
        let crowds = crowd_members < USERS as usize;
        Self { bench, sessions: vec![None; USERS as usize + 1], copies, crowds }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Command { user, command } => self.command(*user, command.clone()),
            Step::Read { user, room, back } => self.read(*user, *room, *back),
            Step::Reconnect { user, from_start } => self.reconnect(*user, *from_start),
            Step::Drop { user } => self.disconnect(*user),
            Step::Overflow { user } => self.overflow(*user),
            Step::Tick { ms } => self.bench.tick(*ms),
            Step::AddUser => {
                let count = self.bench.chat.state().meta().last_user.0;
                let call = crate::ApiCall::AddUser {
                    by: UserId(1),
                    name: format!("extra{count}"),
                    role: wire::server::Role::Member,
                    password_hash: crate::state::PasswordHash("hash".into()),
                };
                self.bench.call(call).unwrap();
            }
            Step::Restart => self.restart(),
        }
        self.update();
    }

    /// Clients take what came; told that they are behind, they pull.
    fn update(&mut self) {
        for (session, copy) in self.sessions.iter().zip(&mut self.copies) {
            let Some(session) = *session else { continue };
            let events = self.bench.take(session);
            events.iter().for_each(|event| copy.apply(event));
            if events.iter().any(|event| matches!(event, ServerMessage::RoomAt(_))) {
                self.bench.frame(session, SyncFrom { cursor: copy.cursor });
                self.bench.update(session, copy);
            }
        }
    }

    fn session(&mut self, user: u32) -> SessionId {
        if self.sessions[user as usize].is_none() {
            self.reconnect(user, false);
        }
        self.sessions[user as usize].expect("just connected")
    }

    fn command(&mut self, user: u32, mut command: ClientMessage) {
        let session = self.session(user);
        let last = self.bench.chat.state().device(DeviceId(user)).unwrap().last_counter;
        set_counter(&mut command, last.next());
        self.bench.frame(session, command);
    }

    fn read(&mut self, user: u32, room: u32, back: u64) {
        let session = self.session(user);
        let head = self.bench.chat.state().room_head(RoomId(room)).0;
        self.bench.read(session, room, head.saturating_sub(back));
    }

    fn reconnect(&mut self, user: u32, from_start: bool) {
        self.disconnect(user);
        let copy = &mut self.copies[user as usize];
        if from_start {
            *copy = Copy { me: copy.me, ..Copy::default() };
        }
        let session = self.bench.connect(DeviceId(user), copy.cursor);
        self.sessions[user as usize] = Some(session);
    }

    fn disconnect(&mut self, user: u32) {
        if let Some(session) = self.sessions[user as usize].take() {
            self.bench.input(Input::Disconnected { session });
        }
    }

    /// From here on frames are dropped; some steps later the client notices and syncs.
    fn overflow(&mut self, user: u32) {
        let session = self.session(user);
        self.update();
        self.bench.input(Input::Overflowed { session });
        let last = self.bench.chat.state().device(DeviceId(1)).unwrap().last_counter;
        let one = self.session(1);
        self.bench.frame(one, text(last.next().0, 1, "unseen by some"));
        self.bench.tick(100);
        let cursor = self.copies[user as usize].cursor;
        self.bench.frame(session, SyncFrom { cursor });
    }

    fn restart(&mut self) {
        let before = self.bench.chat.state().clone();
        self.bench.restart();
        assert_eq!(*self.bench.chat.state(), before, "rows and replay equal memory");
        self.sessions.iter_mut().for_each(|session| *session = None);
    }

    fn check(&mut self) {
        self.bench.tick(2_000);
        self.update();
        for user in 1..=USERS {
            self.session(user);
            self.update();
            let mut fresh = Copy { me: UserId(user), ..Copy::default() };
            let session = self.bench.connect(DeviceId(user), Offset(0));
            self.bench.update(session, &mut fresh);
            self.bench.input(Input::Disconnected { session });
            let old = &self.copies[user as usize];
            assert_eq!(old.users, fresh.users, "user {user}");
            assert_eq!(old.normal_rooms(), fresh.normal_rooms(), "user {user}");
            self.check_messages(old, &fresh);
        }
        self.restart();
    }

    fn check_messages(&self, old: &Copy, fresh: &Copy) {
        for (key, last) in &fresh.messages {
            assert_eq!(old.messages.get(key), Some(last));
        }
        for ((room, seq), message) in &old.messages {
            assert!(self.bench.chat.state().may_see(old.me, *room, *seq));
            let entry = &self.bench.log[usize::try_from(message.offset.0).unwrap() - 1];
            assert_eq!(message_of(entry).as_ref(), Some(message));
        }
        if !self.crowds {
            assert_eq!(old.repeats, [], "each message once");
        }
        for room in old.rooms.values() {
            assert_eq!(room.unread, room.head.0 - room.read.0);
        }
    }
}

fn set_counter(command: &mut ClientMessage, counter: Counter) {
    match command {
        ClientMessage::Send(body) => body.counter = counter,
        ClientMessage::OpenDirect(body) => body.counter = counter,
        ClientMessage::CreateRoom(body) => body.counter = counter,
        ClientMessage::AddMember(body) => body.counter = counter,
        ClientMessage::RemoveMember(body) => body.counter = counter,
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 192,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn an_old_copy_with_all_events_equals_a_fresh_one(
        steps in prop::collection::vec(step(), 1..60),
        hot_bytes_max in prop_oneof![Just(0), Just(1_500), Just(1_000_000)],
        crowd_members in prop_oneof![Just(1), Just(64)],
    ) {
        let mut world = World::new(hot_bytes_max, crowd_members);
        for step in &steps {
            world.run(step);
        }
        world.check();
    }
}
