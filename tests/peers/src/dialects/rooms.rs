//! Who subscribes to what, so that every server passes on exactly what a scenario needs.

use load::{Layout, Scenario};

/// What sessions of a scenario subscribe to.
#[derive(Clone, Debug)]
pub struct Rooms {
    layout: Layout,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// All to the big room.
    Big,
    /// Of each pair the odd session to the pair's room; the even one posts.
    Pair,
    /// Each to a room of its own.
    Own,
    /// Nobody to anything: acknowledgements are what counts.
    Nothing,
}

impl Rooms {
    /// What a scenario needs, in a layout.
    #[must_use]
    pub fn of(scenario: &Scenario, layout: &Layout) -> Self {
        let kind = match scenario {
            Scenario::Fanout(_) => Kind::Big,
            Scenario::Pairs(_) => Kind::Pair,
            Scenario::Durable(_) | Scenario::Lone(_) => Kind::Nothing,
            _ => Kind::Own,
        };
        Self { layout: layout.clone(), kind }
    }

    /// The room that a session subscribes to.
    #[must_use]
    pub fn room(&self, index: u32) -> Option<u32> {
        match self.kind {
            Kind::Big => Some(self.layout.big.room),
            Kind::Pair if index.is_multiple_of(2) => None,
            Kind::Pair => self.layout.pair_room(index / 2),
            Kind::Own => self.layout.own_room(index),
            Kind::Nothing => None,
        }
    }

    /// Whether a sender gets its own messages.
    #[must_use]
    pub fn echoes(&self) -> bool {
        matches!(self.kind, Kind::Big | Kind::Own)
    }

    /// Whether everybody is in the one big room.
    #[must_use]
    pub fn is_big(&self) -> bool {
        self.kind == Kind::Big
    }

    /// Whether sessions talk in pairs.
    #[must_use]
    pub fn is_pairs(&self) -> bool {
        self.kind == Kind::Pair
    }
}
