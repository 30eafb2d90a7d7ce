//! `cargo xtask bench`: builds server, floor and generator optimised and measures them.

use anyhow::Result;

use crate::run;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Linnet and the floor only, under three minutes. The default.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// The whole matrix with all peers that are installed; writes tests/peers/RESULTS.md.
    #[arg(long)]
    full: bool,
    /// Only experiments whose name begins like this.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Installs the peers from packages first.
    #[arg(long)]
    install: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let build = ["build", "--quiet", "--release", "-p", "linnetd", "-p", "linnet-peers"];
    run::succeed(&mut run::cargo(&build))?;
    let mut command = run::cargo(&["run", "--quiet", "--release", "-p", "linnet-peers"]);
    command.args(["--bin", "linnet-bench", "--", "run"]);
    command.args(options.full.then_some("--full"));
    command.args(options.install.then_some("--install"));
    if let Some(only) = &options.only {
        command.args(["--only", only]);
    }
    run::succeed(&mut command)
}
