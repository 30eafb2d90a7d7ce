//! How the generator talks to everything that is not Linnet.

mod floor;

pub use floor::Floor;
