//! A fresh data folder with accounts and rooms for measurements, written straight as log records.
//!
//! `linnetd` finds a log without an index and builds the index at its start. Devices sign in with
//! [`load::token`]; nobody can sign in with a password.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use chat::Entry;
use chat::limits::{MEMBERS_PER_ROOM_MAX, ROOMS_MAX, USERS_MAX};
use load::{Big, Layout};
use log::{Batch, Log, OpenFrom, OpenOutcome, Options, RealDisk};
use sha2::{Digest as _, Sha256};
use store::records::to_record;
use wire::RecordBody;
use wire::client::History;
use wire::ids::{
    BoxId, ContentHash, Counter, DeviceId, Epoch, Offset, ProvisionId, RoomId, TimeMs, TokenHash,
    UserId,
};
use wire::record::{Claimed, DeviceAdded, EpochBegun, RoomAdded, UserAdded};
use wire::server::{Role, RoomKind};

use crate::limits::SESSIONS_MAX;

/// Stands where a password's hash would: no password matches it.
const NO_PASSWORD: &str = "!";

/// Only the server's own user reads a data folder.
const FOLDER_MODE: u32 = 0o700;

/// How much a folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct Amounts {
    /// How many users.
    #[arg(long, default_value_t = 4_000)]
    pub users: u32,
    /// How many devices; device `i` belongs to user `i % users`. Default: one each.
    #[arg(long)]
    pub sessions: Option<u32>,
    /// How many rooms of two.
    #[arg(long, default_value_t = 200)]
    pub pairs: u32,
    /// How many members the big room has.
    #[arg(long, default_value_t = 1_000)]
    pub members: u32,
    /// How many users have a room of their own. Default: all.
    #[arg(long)]
    pub own: Option<u32>,
}

impl Amounts {
    /// The layout that these amounts make; rooms are numbered from 1: big, pairs, own.
    ///
    /// # Errors
    /// What the server or the layout does not allow.
    pub fn layout(&self) -> Result<Layout> {
        let own = self.own.unwrap_or(self.users);
        let layout = Layout {
            sessions: self.sessions.unwrap_or(self.users),
            users: self.users,
            pairs: (0..self.pairs).map(|pair| 2 + pair).collect(),
            big: Big { room: 1, members: self.members },
            own: (0..own).map(|user| 2 + self.pairs + user).collect(),
        };
        let [users, members] = [layout.users, layout.big.members].map(to_usize);
        ensure!((1..=USERS_MAX).contains(&users), "1 to {USERS_MAX} users, not {users}");
        ensure!(layout.sessions <= SESSIONS_MAX, "at most {SESSIONS_MAX} sessions");
        ensure!(layout.sessions >= layout.users, "fewer sessions than users");
        ensure!(layout.sessions.div_ceil(layout.users) <= 64, "at most 64 devices a user");
        ensure!((1..=MEMBERS_PER_ROOM_MAX.min(users)).contains(&members), "too many members");
        ensure!(layout.pairs.len() * 2 <= users, "pairs need two users each");
        ensure!(layout.own.len() <= users, "more rooms of one's own than users");
        ensure!(1 + layout.pairs.len() + layout.own.len() <= ROOMS_MAX, "too many rooms");
        Ok(layout)
    }
}

/// Makes a data folder; it must not exist, or be empty.
///
/// # Errors
/// A folder that holds something or can't be written.
pub fn seed(data: &Path, layout: &Layout) -> Result<()> {
    let mut writer = Writer::create(data)?;
    let (box_id, epoch) = (BoxId(random()?), Epoch(random()?));
    writer.put(UserId(0), EpochBegun { box_id, epoch })?;
    for body in users(layout) {
        writer.put(UserId(0), body)?;
    }
    writer.put(UserId(0), Claimed { provision: ProvisionId(random()?), user: UserId(1) })?;
    for session in 0..layout.sessions {
        writer.put(user_of(session, layout), device(session, layout))?;
    }
    for room in rooms(layout) {
        writer.put(room.members[0], room)?;
    }
    writer.flush()
}

fn to_usize(count: u32) -> usize {
    usize::try_from(count).expect("at least 32 bits")
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow!("the system gives no random numbers: {error}"))?;
    Ok(bytes)
}

fn user_of(session: u32, layout: &Layout) -> UserId {
    UserId(session % layout.users + 1)
}

fn users(layout: &Layout) -> impl Iterator<Item = UserAdded> {
    (1..=layout.users).map(|user| UserAdded {
        user: UserId(user),
        name: format!("bench{user:05}"),
        role: if user == 1 { Role::Owner } else { Role::Member },
        password_hash: NO_PASSWORD.into(),
    })
}

fn device(session: u32, layout: &Layout) -> DeviceAdded {
    DeviceAdded {
        device: DeviceId(session + 1),
        user: user_of(session, layout),
        label: "bench".into(),
        token_hash: TokenHash(Sha256::digest(load::token(session)).into()),
    }
}

fn rooms(layout: &Layout) -> impl Iterator<Item = RoomAdded> {
    let big = room(layout.big.room, RoomKind::Group, "big", 1..=layout.big.members);
    let pairs = (0..)
        .zip(&layout.pairs)
        .map(|(pair, number)| room(*number, RoomKind::Direct, "", 2 * pair + 1..=2 * pair + 2));
    let own = (1..)
        .zip(&layout.own)
        .map(|(user, number)| room(*number, RoomKind::Group, "own", user..=user));
    std::iter::once(big).chain(pairs).chain(own)
}

fn room(
    number: u32,
    room_kind: RoomKind,
    name: &str,
    members: std::ops::RangeInclusive<u32>,
) -> RoomAdded {
    RoomAdded {
        room: RoomId(number),
        room_kind,
        name: name.into(),
        history: History::All,
        members: members.map(UserId).collect(),
        command: ContentHash([0; 16]),
    }
}

/// Appends records in whole batches.
struct Writer {
    log: Log<RealDisk>,
    disk: RealDisk,
    batch: Batch,
    time: TimeMs,
}

impl Writer {
    fn create(data: &Path) -> Result<Self> {
        let folder = data.join("log");
        DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(&folder)
            .with_context(|| format!("can't make {}", folder.display()))?;
        let is_empty = std::fs::read_dir(&folder)?.next().is_none();
        ensure!(is_empty, "{} holds a log already: seed into a new folder", data.display());
        let disk = RealDisk::open(&folder).context("can't open the log's folder")?;
        let options = Options::new(u64::from_le_bytes(random()?));
        let outcome = Log::open(disk.clone(), options, OpenFrom::default());
        let OpenOutcome::Ready(opened) = outcome.context("can't make a log")? else {
            bail!("the new log is damaged");
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is not set")?;
        let time = TimeMs(u64::try_from(now.as_millis())?);
        Ok(Self { batch: opened.log.new_batch(), log: opened.log, disk, time })
    }

    fn put(&mut self, actor: UserId, body: impl Into<RecordBody>) -> Result<()> {
        let record = [to_record(&Entry {
            offset: Offset(0), // the log numbers records itself
            time: self.time,
            actor,
            device: DeviceId(0),
            counter: Counter(0),
            body: body.into(),
        })];
        if !self.batch.push(&record)? {
            self.flush()?;
            self.batch.push(&record)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        if !self.log.has_room_for(&self.batch) {
            self.log.shelf().clone().prepare_spare(&self.disk, &mut || {})?;
        }
        self.log.append(&self.batch).context("can't write the log")?;
        self.batch.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Item;
    use store::records::to_entry;

    fn amounts() -> Amounts {
        Amounts { users: 6, sessions: Some(9), pairs: 2, members: 5, own: Some(3) }
    }

    fn read_back(data: &Path) -> Vec<RecordBody> {
        let disk = RealDisk::open(&data.join("log")).unwrap();
        let outcome = Log::open(disk, Options::new(1), OpenFrom::default()).unwrap();
        let OpenOutcome::Ready(opened) = outcome else { panic!("damaged") };
        let items = opened.log.reader().iter_from(1);
        let body = |item: Item| match item {
            Item::Record(stored) => to_entry(&stored).unwrap().body,
            Item::Damaged(range) => panic!("{range:?}"),
        };
        items.map(|item| body(item.unwrap())).collect()
    }

    #[test]
    fn a_seeded_folder_holds_what_its_layout_says() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let layout = amounts().layout().unwrap();
        seed(&data, &layout).unwrap();
        let bodies = read_back(&data);
        let devices: Vec<&DeviceAdded> = bodies.iter().filter_map(device_of).collect();
        assert_eq!(devices.len(), 9);
        assert_eq!((devices[8].device, devices[8].user), (DeviceId(9), UserId(3)));
        assert_eq!(devices[8].token_hash.0[..], Sha256::digest(load::token(8))[..]);
        let rooms: Vec<&RoomAdded> = bodies.iter().filter_map(room_of).collect();
        let numbers: Vec<u32> = rooms.iter().map(|room| room.room.0).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
        assert_eq!(rooms[0].members.len(), 5);
        assert_eq!((layout.pairs[1], rooms[2].members.clone()), (3, vec![UserId(3), UserId(4)]));
        assert_eq!((layout.own[2], rooms[5].members.clone()), (6, vec![UserId(3)]));
        assert_eq!(bodies.iter().filter(|body| is_owner(body)).count(), 1);
    }

    fn device_of(body: &RecordBody) -> Option<&DeviceAdded> {
        if let RecordBody::DeviceAdded(device) = body { Some(device) } else { None }
    }

    fn room_of(body: &RecordBody) -> Option<&RoomAdded> {
        if let RecordBody::RoomAdded(room) = body { Some(room) } else { None }
    }

    fn is_owner(body: &RecordBody) -> bool {
        matches!(body, RecordBody::UserAdded(user) if user.role == Role::Owner)
    }

    #[test]
    fn a_folder_that_holds_a_log_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let layout = amounts().layout().unwrap();
        seed(folder.path(), &layout).unwrap();
        let error = seed(folder.path(), &layout).unwrap_err().to_string();
        assert!(error.contains("holds a log already"), "{error}");
    }

    #[test]
    fn amounts_that_the_server_does_not_allow_are_refused() {
        for wrong in [
            Amounts { users: 0, ..amounts() },
            Amounts { users: 10_001, sessions: None, ..amounts() },
            Amounts { sessions: Some(5), ..amounts() },
            Amounts { sessions: Some(6 * 64 + 1), ..amounts() },
            Amounts { pairs: 4, ..amounts() },
            Amounts { members: 7, ..amounts() },
            Amounts { own: Some(7), ..amounts() },
        ] {
            assert!(wrong.layout().is_err(), "{wrong:?}");
        }
    }
}
