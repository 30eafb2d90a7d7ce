//! What people and fate do: posts, joins, leaves, readings, broken connections, dying machines.

use chat::state::PasswordHash;
use chat::{ApiCall, ApiReply, Entry};
use log::Disk as _;
use sha2::{Digest, Sha256};
use wire::ClientMessage;
use wire::RecordBody;
use wire::client::{
    AddMember, CreateRoom, History, OpenDirect, Read, ReadHistory, RemoveMember, SendText,
};
use wire::ids::{
    BoxId, Counter, DeviceId, DeviceToken, Epoch, Offset, ProvisionId, RoomId, Seq, TokenHash,
    UserId,
};
use wire::record::EpochBegun;
use wire::server::Role;

use crate::client::Client;
use crate::truth::Truth;
use crate::violation::{Checked, broken};
use crate::world::{Event, World};

/// Commands that wait in one client's outbox at most.
const OUTBOX_MAX: usize = 30;

fn device_call(user: UserId, token: DeviceToken) -> ApiCall {
    let token_hash = TokenHash(Sha256::digest(token.0).into());
    ApiCall::AddDevice { user, label: "simulated".to_owned(), token_hash }
}

impl World {
    /// Accounts and devices, before anything goes wrong.
    pub(crate) fn set_up(&mut self) -> Checked {
        self.start()?;
        for number in 1..=self.plan.users {
            let name = format!("user{number}");
            let password_hash = PasswordHash("hash".to_owned());
            let call = if number == 1 {
                ApiCall::Claim { provision: ProvisionId([1; 16]), name, password_hash }
            } else {
                ApiCall::AddUser { by: UserId(1), name, role: Role::Member, password_hash }
            };
            let ApiReply::UserAdded(user) = self.ask(call)? else {
                return broken("set up", "no user");
            };
            for _ in 0..self.random.between(1, self.plan.devices_max) {
                self.add_client(user)?;
            }
        }
        self.set_up_head = self.truth.head();
        if self.plan.fault_ms > 0 {
            let delay = self.random.between(1, 2 * self.plan.fault_ms);
            self.after(delay, Event::Fault { again: true });
        }
        Ok(())
    }

    fn add_client(&mut self, user: UserId) -> Checked {
        let token = self.new_token();
        let added = self.ask(device_call(user, token))?;
        let ApiReply::DeviceAdded(device) = added else { return broken("set up", "no device") };
        self.begin(user, device, token);
        Ok(())
    }

    fn ask(&mut self, call: ApiCall) -> Checked<ApiReply> {
        let ticket = self.call(call)?;
        for _ in 0..1_000 {
            if let Some(reply) = self.machine.replies.remove(&ticket) {
                return reply.or_else(|error| broken("set up", error.to_string()));
            }
            let next = self.now + 1;
            self.run_until(next)?;
        }
        broken("set up", "no answer")
    }

    pub(crate) fn act(&mut self, client: usize) -> Checked {
        if !self.active {
            return Ok(());
        }
        let next = self.random.between(1, 2 * self.plan.act_ms);
        self.after(next, Event::Act { client });
        if self.link_of[client].is_none() {
            return Ok(());
        }
        if self.random.chance(self.plan.resets) {
            return self.leave_net(client);
        }
        if self.random.chance(self.plan.pauses) {
            self.pause(client);
        }
        match self.random.below(100) {
            0..60 => self.command(client),
            60..75 => self.move_cursor(client),
            75..85 => self.page(client),
            85..89 => self.pry(client),
            89..92 => self.sync(client),
            92..96 => self.probe_conflict(client),
            96 => return self.accounts(client),
            _ => {}
        }
        Ok(())
    }

    /// Now and then somebody new comes, with a device, or a device is given up.
    fn accounts(&mut self, client: usize) -> Checked {
        let number = self.random.next();
        let call = match self.random.below(12) {
            0 => ApiCall::AddUser {
                by: UserId(1),
                name: format!("late{number}"),
                role: Role::Member,
                password_hash: PasswordHash("hash".to_owned()),
            },
            1..=3 => return self.begin_client(self.clients[client].user),
            4 if client > 0 => ApiCall::RemoveDevice { device: self.clients[client].device },
            _ => return Ok(()),
        };
        self.call(call).map(drop)
    }

    /// Signs another device in; it connects once the box has said its number.
    fn begin_client(&mut self, user: UserId) -> Checked {
        if self.machine.up() {
            let token = self.new_token();
            let call = device_call(user, token);
            let ticket = self.call(call)?;
            self.machine.signing_in.insert(ticket, (user, token));
        }
        Ok(())
    }

    fn new_token(&mut self) -> DeviceToken {
        let mut token = [0; 32];
        token[..8].copy_from_slice(&self.random.next().to_le_bytes());
        DeviceToken(token)
    }

    /// A device that signed in begins its life.
    pub(crate) fn begin(&mut self, user: UserId, device: DeviceId, token: DeviceToken) {
        let client = self.clients.len();
        self.clients.push(Client::new(user, device, token));
        self.link_of.push(None);
        let delay = self.random.below(500);
        self.after(delay, Event::Connect { client });
        self.after(delay + 500, Event::Act { client });
        self.after(delay + 1_000, Event::Watch { client });
    }

    /// Gone for a moment or for long; sometimes with the copy lost.
    fn leave_net(&mut self, client: usize) -> Checked {
        self.reset(client);
        if self.random.chance(100) {
            self.clients[client].forget_copy();
            self.clients[client].epoch = None;
        }
        let long = self.random.chance(300);
        let delay =
            if long { self.random.between(3_000, 15_000) } else { self.random.between(10, 1_500) };
        self.after(delay, Event::Connect { client });
        Ok(())
    }

    fn pause(&mut self, client: usize) {
        if let Some(link) = self.link_of[client] {
            self.links[link].paused_until = self.now + self.random.between(500, 5_000);
        }
    }

    fn command(&mut self, client: usize) {
        if self.clients[client].outbox.len() >= OUTBOX_MAX || self.clients[client].epoch.is_none() {
            return;
        }
        let counter = self.clients[client].next_counter();
        let user = UserId(
            u32::try_from(self.random.between(1, u64::from(self.plan.users))).expect("small"),
        );
        let room = self.any_room(client);
        let command: ClientMessage = match self.random.below(100) {
            0..4 => OpenDirect { counter, user }.into(),
            4..9 => self.new_room(counter),
            9..16 => AddMember { counter, room, user }.into(),
            16..21 => RemoveMember { counter, room, user }.into(),
            21..24 => RemoveMember { counter, room, user: self.clients[client].user }.into(),
            _ => SendText { counter, room, text: self.any_text() }.into(),
        };
        let now = self.now;
        let frames = self.clients[client].enqueue(command, now);
        self.send(client, frames);
    }

    fn new_room(&mut self, counter: Counter) -> ClientMessage {
        let mut members: Vec<UserId> = (1..=self.plan.users).map(UserId).collect();
        members.retain(|_| self.random.chance(600));
        let history = self.random.pick(&[History::All, History::SinceJoin]);
        CreateRoom { counter, name: format!("room {}", counter.0), members, history }.into()
    }

    fn any_text(&mut self) -> String {
        let large = self.random.chance(self.plan.large_texts);
        let length = if large { self.random.between(1_000, 8_000) } else { self.random.below(60) };
        let letter = self.random.pick(&["a", "b", "c", "é"]);
        let number = self.random.next() % 1_000_000;
        format!("{number} {}", letter.repeat(usize::try_from(length).expect("small")))
    }

    /// A room of the client's copy; now and then one that it may not know.
    fn any_room(&mut self, client: usize) -> RoomId {
        let rooms: Vec<RoomId> = self.clients[client].copy.rooms.keys().copied().collect();
        if rooms.is_empty() || self.random.chance(30) {
            let all: Vec<RoomId> = self.truth.rooms.keys().copied().chain([RoomId(1)]).collect();
            return self.random.pick(&all);
        }
        self.random.pick(&rooms)
    }

    fn move_cursor(&mut self, client: usize) {
        let room = self.any_room(client);
        let Some(copy) = self.clients[client].copy.rooms.get(&room) else { return };
        let seq = copy.head;
        if seq > copy.read && self.clients[client].ready {
            let request = self.clients[client].request();
            self.send(client, vec![(request, Read { room, seq }.into())]);
        }
    }

    fn page(&mut self, client: usize) {
        let room = self.any_room(client);
        let limit = u32::try_from(self.random.between(1, 30)).expect("small");
        if self.clients[client].ready {
            let ask = self.clients[client].ask_page(room, limit);
            self.send(client, ask.into_iter().collect());
        }
    }

    /// Asks for the past of any room, member or not.
    fn pry(&mut self, client: usize) {
        let rooms: Vec<RoomId> = self.truth.rooms.keys().copied().chain([RoomId(1)]).collect();
        let room = self.random.pick(&rooms);
        let before = self.random.chance(500).then(|| Seq(self.random.between(1, 40)));
        if self.clients[client].ready {
            let request = self.clients[client].request();
            let ask = ReadHistory { room, before, limit: 20 };
            self.send(client, vec![(request, ask.into())]);
        }
    }

    fn sync(&mut self, client: usize) {
        if self.clients[client].caught_up {
            let frame = self.clients[client].ask_sync();
            self.send(client, vec![frame]);
        }
    }

    /// Uses an old number for something else.
    fn probe_conflict(&mut self, client: usize) {
        let at = self.random.next() >> 33;
        let known = &mut self.clients[client];
        if !known.ready || known.probe.is_some() {
            return;
        }
        let Some(counter) = known.any_done(at) else { return };
        let request = known.request();
        known.probe = Some(request);
        let text = "another content".to_owned();
        let frame = SendText { counter, room: RoomId(1), text }.into();
        self.send_once(client, request, frame);
    }

    /// Commands get stuck when frames are lost: now and then everything goes out again.
    pub(crate) fn watch(&mut self, client: usize) -> Checked {
        self.after(1_000, Event::Watch { client });
        let now = self.now;
        let known = &mut self.clients[client];
        let stuck = !known.outbox.is_empty() && now >= known.moved_at + 4_000;
        let frames = if stuck { known.resend(now) } else { known.pump(now) };
        self.send(client, frames);
        if self.link_of[client].is_none() && !self.active {
            self.connect(client)?;
        }
        Ok(())
    }

    pub(crate) fn fault(&mut self, again: bool) -> Checked {
        if !self.active {
            return Ok(());
        }
        if again {
            let next = self.random.between(1, 2 * self.plan.fault_ms);
            self.after(next, Event::Fault { again });
        }
        match self.random.below(100) {
            0..30 => {
                let power = self.random.chance(self.plan.power_cuts);
                self.crash(power);
            }
            30..60 => self.machine.disk.stop_after(self.random.between(1, 8)),
            60..67 => self.machine.backend.stop_after(self.random.between(1, 40)),
            67..70 => self.machine.backend.fail_after(self.random.between(1, 30)),
            70..80 => self.machine.disk.fail_next_sync(),
            80..90 => self.machine.disk.evict_cache(),
            90..96 if self.plan.disk_full => self.fill_disk(),
            96.. if self.plan.restores => return self.restore(),
            _ => {}
        }
        Ok(())
    }

    /// Nothing can grow any more, for a while.
    fn fill_disk(&mut self) {
        let Ok(free) = self.machine.disk.free_bytes() else { return };
        self.note(|| "the card is full".to_owned());
        self.machine.disk.set_capacity(u64::MAX - free);
        let delay = self.random.between(2_000, 12_000);
        self.after(delay, Event::Refill);
    }

    /// The owner restores a backup: an earlier state comes back as another incarnation.
    fn restore(&mut self) -> Checked {
        self.plan.restores = false;
        let keep = self.random.between(self.set_up_head.0, self.truth.head().0);
        self.note(|| format!("restore of the first {keep} records"));
        self.tally.restores += 1;
        let mut truth = Truth::default();
        for entry in self.truth.entries.iter().take(usize::try_from(keep).expect("small")) {
            truth.add(entry.clone())?;
        }
        truth.add(self.new_epoch(Offset(keep + 1)))?;
        self.truth = truth;
        self.machine.new_card(&mut self.random);
        self.machine.write_log(&self.truth.entries)?;
        self.promised.retain(|offset, _| offset.0 <= keep);
        for client in &mut self.clients {
            let truth = &self.truth;
            let device = client.device;
            client.results.retain(|result| truth.command(device, result.counter()).is_some());
        }
        self.cut_links();
        self.after(300, Event::Start);
        Ok(())
    }

    fn new_epoch(&mut self, offset: Offset) -> Entry {
        let mut epoch = [2; 16];
        epoch[..8].copy_from_slice(&self.random.next().to_le_bytes());
        let body = EpochBegun { box_id: BoxId([1; 16]), epoch: Epoch(epoch) };
        Entry {
            offset,
            time: wire::ids::TimeMs(0),
            actor: UserId(0),
            device: DeviceId(0),
            counter: Counter(0),
            body: RecordBody::EpochBegun(body),
        }
    }
}
