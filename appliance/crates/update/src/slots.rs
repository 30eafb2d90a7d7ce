//! The two slots: which one boots, what is known about each, and what a boot has to do about it.
//! `autoboot.txt` alone is the truth about the default; records never are. Cut the power at any
//! step and the next boot finds itself in one of the rows of [`decide`].

mod area;
mod autoboot;
mod decide;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use area::{AreaError, DataMark, Found, SlotArea, Write, find, find_older};
pub use autoboot::{Autoboot, AutobootError};
pub use decide::{BootFacts, BootVerdict, decide};

/// One of the two complete systems on the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Slot {
    /// Boot partition 2, root partition 5.
    A,
    /// Boot partition 3, root partition 6.
    B,
}

impl Slot {
    /// Both, A first.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// Number of its boot partition.
    pub fn boot_partition(self) -> u32 {
        match self {
            Self::A => 2,
            Self::B => 3,
        }
    }

    /// Number of its root partition.
    pub fn root_partition(self) -> u32 {
        match self {
            Self::A => 5,
            Self::B => 6,
        }
    }

    /// The slot with this boot partition.
    pub fn from_boot_partition(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|slot| slot.boot_partition() == number)
    }

    /// The slot with this root partition.
    pub fn from_root_partition(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|slot| slot.root_partition() == number)
    }

    /// Its place in an array of two.
    pub fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
        })
    }
}

/// What is known about one slot. It goes from left to right, or to `Bad` from wherever it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SlotState {
    /// Holds nothing that boots.
    Empty,
    /// An update is being written; the content is undefined.
    Writing,
    /// Written and read back.
    Written,
    /// The next boot is to try it. Written before the one-shot flag is set.
    Armed {
        /// How often it was armed without having started.
        times: u8,
    },
    /// It started its trial. Written by the trial boot itself as its first act.
    Trying,
    /// Committed once, or shipped with the card.
    Good,
    /// Its trial failed.
    Bad {
        /// Why, with the tail of the last log.
        reason: String,
    },
}
