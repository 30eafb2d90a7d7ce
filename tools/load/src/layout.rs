//! What a seeded data folder holds, as JSON beside it: who may sign in and which rooms there are.
//!
//! Whoever seeds a folder writes this file; `--layout` reads it. **Session** `i` is one device of
//! one user and signs in with [`token`]`(i)`. Sessions `0..users` belong to different users; with
//! more sessions than users, session `i` is a further device of the user of session `i % users`.
//!
//! ```json
//! {"sessions": 4000, "users": 4000, "pairs": [11, 12], "big": {"room": 3, "members": 1000},
//!  "own": [20, 21, 22]}
//! ```

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// What the token of every session is derived from, before its number.
const TOKEN_DOMAIN: &[u8] = b"linnet bench token";

/// Accounts and rooms of a seeded folder. Room numbers are the server's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// How many sessions can sign in.
    pub sessions: u32,
    /// How many users they belong to.
    pub users: u32,
    /// Room of pair `k`, whose only members are the users of sessions `2k` and `2k + 1`.
    pub pairs: Vec<u32>,
    /// A room with many members.
    pub big: Big,
    /// Room of which the user of session `i` is the only member; at most one per user, so that
    /// devices of one user share it (`own[i % users]`).
    pub own: Vec<u32>,
}

/// A room of which the users of sessions `0..members` are the members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Big {
    /// Its number.
    pub room: u32,
    /// How many members.
    pub members: u32,
}

impl Layout {
    /// Reads a layout and checks that it is consistent.
    ///
    /// # Errors
    /// A file that can't be read, is no layout, or contradicts itself.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let text = std::fs::read(path).with_context(|| format!("{name} can't be read"))?;
        let layout: Self =
            serde_json::from_slice(&text).with_context(|| format!("{name} is no layout"))?;
        layout.check().with_context(|| format!("{name} contradicts itself"))?;
        Ok(layout)
    }

    /// A layout for servers without accounts: rooms are numbered without gaps, beginning with the
    /// big one (0), then own rooms, then pairs.
    #[must_use]
    pub fn synthetic(sessions: u32) -> Self {
        Self {
            sessions,
            users: sessions,
            pairs: (0..sessions / 2).map(|pair| 1 + sessions + pair).collect(),
            big: Big { room: 0, members: sessions },
            own: (0..sessions).map(|session| 1 + session).collect(),
        }
    }

    /// The room of which the user of this session is the only member.
    #[must_use]
    pub fn own_room(&self, session: u32) -> Option<u32> {
        let user = session.checked_rem(self.users)?;
        self.own.get(usize::try_from(user).ok()?).copied()
    }

    /// The room of a pair.
    #[must_use]
    pub fn pair_room(&self, pair: u32) -> Option<u32> {
        self.pairs.get(usize::try_from(pair).ok()?).copied()
    }

    fn check(&self) -> Result<()> {
        let users = usize::try_from(self.users)?;
        ensure!(self.users <= self.sessions, "more users than sessions");
        ensure!(self.pairs.len() * 2 <= users, "pairs need two users each");
        ensure!(self.big.members <= self.users, "the big room has more members than users");
        ensure!(self.own.len() <= users, "more rooms of one's own than users");
        Ok(())
    }
}

/// The device token of a session: BLAKE3 of `linnet bench token` and the number, little-endian.
/// Known to anybody: for benches only.
#[must_use]
pub fn token(session: u32) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(TOKEN_DOMAIN).update(&session.to_le_bytes());
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_layout_is_read() {
        let text = r#"{"sessions": 4000, "users": 4000, "pairs": [11, 12],
            "big": {"room": 3, "members": 1000}, "own": [20, 21, 22]}"#;
        let layout: Layout = serde_json::from_str(text).unwrap();
        assert!(layout.check().is_ok());
        assert_eq!((layout.pair_room(1), layout.pair_room(2)), (Some(12), None));
        assert_eq!((layout.own_room(2), layout.own_room(3)), (Some(22), None));
    }

    #[test]
    fn further_devices_share_their_users_room() {
        let layout = Layout { sessions: 6, users: 3, own: vec![7, 8, 9], ..Layout::default() };
        assert_eq!((layout.own_room(0), layout.own_room(4)), (Some(7), Some(8)));
        assert_eq!(Layout::default().own_room(0), None);
    }

    #[test]
    fn a_layout_that_contradicts_itself_is_refused() {
        let sound = Layout::synthetic(10);
        assert!(sound.check().is_ok());
        let wrong = [
            Layout { users: 11, ..sound.clone() },
            Layout { pairs: vec![1; 6], ..sound.clone() },
            Layout { big: Big { room: 0, members: 11 }, ..sound.clone() },
            Layout { own: vec![1; 11], ..sound },
        ];
        assert!(wrong.iter().all(|layout| layout.check().is_err()));
    }

    #[test]
    fn synthetic_rooms_are_all_different() {
        let layout = Layout::synthetic(9);
        let mut rooms: Vec<u32> = layout.pairs.iter().chain(&layout.own).copied().collect();
        rooms.push(layout.big.room);
        rooms.sort_unstable();
        assert_eq!(rooms, (0..14).collect::<Vec<u32>>());
    }

    #[test]
    fn a_token_is_the_documented_hash() {
        let mut text = TOKEN_DOMAIN.to_vec();
        text.extend_from_slice(&[0x39, 0x30, 0, 0]);
        assert_eq!(token(12_345), *blake3::hash(&text).as_bytes());
        assert_ne!(token(0), token(1));
    }
}
