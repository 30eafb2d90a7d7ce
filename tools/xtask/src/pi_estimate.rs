//! `cargo xtask pi-estimate`: instructions of the aarch64 build for each delivery and each durable
//! message, counted by QEMU, and what that would be on a Cortex-A72. An estimate: no board is
//! measured. The guest's side is the crate `linnet-guest`.

mod figures;
mod machine;
mod plan;
mod report;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use vm::counting::{self, Parts};

use crate::{run, setup};
use figures::Counted;

/// The plan takes three minutes on two busy cores; a host that needs this long does something else.
const RUN_MAX: Duration = Duration::from_secs(45 * 60);

/// Words of the guest, see `linnet-guest`.
const REPORT: &str = "linnet-guest: report ";
const FAILED: &str = "linnet-guest: failed ";
const DONE: &str = "linnet-guest: done";

#[derive(Args)]
pub(crate) struct Options {
    /// Only steps whose name begins like this.
    #[arg(long, value_name = "NAME", default_value = "")]
    only: String,
    /// The clock's step is two to this power of nanoseconds: with 1, everything must double.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=3))]
    shift: u32,
    /// Only list what is missing on this machine.
    #[arg(long)]
    no_install: bool,
    /// Writes tests/peers/PI-ESTIMATE.md.
    #[arg(long, conflicts_with_all = ["shift", "only"])]
    write: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    setup::ensure(setup::Verb::Emulate, !options.no_install)?;
    let steps = plan::steps(&options.only)?;
    let tree = run::root();
    let built = machine::build(&tree, &steps, !options.no_install)?;
    let counted = count(&built, options.shift)?;
    let about = report::About { qemu: counting::qemu_version()?, kernel: built.kernel_name };
    let text = report::text(&about, &steps, &counted);
    eprint!("{text}");
    if options.write {
        let file = tree.join("tests/peers/PI-ESTIMATE.md");
        std::fs::write(&file, &text).with_context(|| file.display().to_string())?;
    }
    println!("{}", report::json(&steps, &counted));
    Ok(())
}

fn count(built: &machine::Built, shift: u32) -> Result<Vec<Counted>> {
    let folder = built.folder.path();
    let [kernel, initramfs, disk] = ["kernel", "initramfs", "disk"].map(|name| folder.join(name));
    let parts = Parts { kernel: &kernel, initramfs: &initramfs, disk: &disk, shift };
    let (mut counted, mut failed, mut done) = (Vec::new(), None, false);
    counting::run(&parts, Instant::now() + RUN_MAX, |line| {
        if let Some(report) = line.strip_prefix(REPORT) {
            counted.push(Counted::parse(report));
            eprintln!("  counted {}", report.split(' ').next().unwrap_or_default());
            return;
        }
        eprintln!("  {line}");
        failed = failed.take().or_else(|| line.strip_prefix(FAILED).map(str::to_owned));
        done |= line == DONE;
    })?;
    if let Some(why) = failed {
        bail!("in the guest: {why}");
    }
    if !done {
        bail!("the guest ended before its plan; its words stand above");
    }
    counted.into_iter().collect()
}
