//! `cargo xtask update-key FILE`: makes the key that signs a maker's releases, or shows which one
//! a file holds. Development builds need none: they use a key of this clone's own.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use image::keys::{Key, Kind};

use crate::run;

#[derive(Args)]
pub(crate) struct Options {
    /// Where the key is, or is to be; outside this tree.
    file: PathBuf,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let key = match options.file.exists() {
        true => Key::open(&options.file)?,
        false => Key::generate(&options.file, Kind::Release)?,
    };
    println!("public key:  {}", key.public());
    println!("fingerprint: {}", key.public().fingerprint());
    key.check_for_release(&run::root())?;
    println!("It may sign releases. Keep a copy of {} offline.", options.file.display());
    Ok(())
}
