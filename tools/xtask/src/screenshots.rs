//! `cargo xtask screenshots`: the browser tests, keeping a picture of every page they pass.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::run::{self, cargo, npm};
use crate::setup;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Folder for the pictures.
    #[arg(long, value_name = "DIR", default_value = "out/screenshots")]
    to: PathBuf,
    /// Only list what is missing on this machine; install nothing.
    #[arg(long)]
    no_install: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    setup::ensure(setup::Verb::Screenshots, !options.no_install)?;
    let folder = run::root().join(&options.to);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    run::succeed(&mut npm(&["ci"]))?;
    run::succeed(&mut npm(&["run", "build"]))?;
    run::succeed(&mut cargo(&["build", "--package", "linnetd"]))?;
    run::succeed(npm(&["run", "e2e"]).env("SCREENSHOTS", &folder))?;
    println!("pictures are in {}", folder.display());
    Ok(())
}
