//! The named tests of a box in a network: each a function that fails with the reason. They run by
//! `cargo xtask vm`, one process and one network namespace each.

mod claim;
mod clock;
mod data;
mod first_boot;
mod long_check;
mod neighbours;
mod network;
mod services;

use anyhow::Result;

use crate::lab::Lab;

/// One named test.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// What the box does, as a name.
    pub name: &'static str,
    /// In a sentence.
    pub about: &'static str,
    pub needs: Needs,
    run: fn(&Lab) -> Result<()>,
}

/// What has to be there before a test can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Only an image.
    Image,
    /// The card with an owner, which [`prepare`] makes.
    PreparedCard,
    /// The image of a release: its kernel has what Debian's lacks.
    Release,
}

impl Scenario {
    pub fn run(&self, lab: &Lab) -> Result<()> {
        (self.run)(lab)
    }
}

/// All of them, those that take longest first.
pub fn all() -> Vec<Scenario> {
    let groups = [
        services::SCENARIOS,
        long_check::SCENARIOS,
        first_boot::SCENARIOS,
        data::SCENARIOS,
        network::SCENARIOS,
        clock::SCENARIOS,
        neighbours::SCENARIOS,
        claim::SCENARIOS,
    ];
    groups.concat()
}

pub use claim::prepare;
