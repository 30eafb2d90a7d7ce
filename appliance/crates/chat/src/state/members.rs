//! Who is or was in a room.

use wire::ids::UserId;

use super::Membership;

/// Present and past members, by id. A list: most rooms have few, and the smallest node of a tree
/// takes a kilobyte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members(Vec<Membership>);

impl Members {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// A user's place in the room, now or once.
    #[must_use]
    pub fn get(&self, user: UserId) -> Option<&Membership> {
        self.place(user).ok().map(|at| &self.0[at])
    }

    pub(crate) fn get_mut(&mut self, user: UserId) -> Option<&mut Membership> {
        self.place(user).ok().map(|at| &mut self.0[at])
    }

    /// All of them, by id.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Membership> {
        self.0.iter()
    }

    /// Makes a place for a user who never had one.
    pub(crate) fn get_or_add(&mut self, user: UserId) -> &mut Membership {
        let at = match self.place(user) {
            Ok(at) => at,
            Err(at) => {
                self.add(at, Membership::new(user));
                at
            }
        };
        &mut self.0[at]
    }

    /// Replaces what was known of the member.
    pub(crate) fn insert(&mut self, member: Membership) {
        match self.place(member.user) {
            Ok(at) => self.0[at] = member,
            Err(at) => self.add(at, member),
        }
    }

    fn add(&mut self, at: usize, member: Membership) {
        if self.0.len() == self.0.capacity() {
            self.0.reserve_exact((self.0.len() / 2).max(1));
        }
        self.0.insert(at, member);
    }

    /// Where a user is, or would be. Members are often added in the order of their ids.
    fn place(&self, user: UserId) -> Result<usize, usize> {
        match self.0.last() {
            Some(last) if last.user >= user => {
                self.0.binary_search_by_key(&user, |member| member.user)
            }
            _ => Err(self.0.len()),
        }
    }
}
