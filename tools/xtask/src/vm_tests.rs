//! `cargo xtask vm`: the named tests of a box in a network, each in a process and a network
//! namespace of its own, so that several run at once and nothing of them is left. Ends with a line
//! like cargo's own, which `cargo xtask test` counts.

mod pool;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use vm::lab::Lab;
use vm::lab::card::is_release;
use vm::scenarios::{Needs, Scenario, all, prepare};

use crate::emulate::emulator_image;
use crate::{run, setup};
use pool::{Job, Outcome};

#[derive(Args)]
pub(crate) struct Options {
    /// Run only the tests with these names.
    names: Vec<String>,
    /// List the tests and what each shows.
    #[arg(long)]
    list: bool,
    /// Test this image instead of the emulator's, such as a release.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// How many run at once: they wait more than they compute.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Only list what is missing on this machine.
    #[arg(long)]
    no_install: bool,
    /// Run one test in this process, which has a namespace of its own.
    #[arg(long, hide = true, value_name = "FOLDER")]
    inside: Option<PathBuf>,
}

/// The preparation's name; it is no test and is not listed.
const PREPARATION: &str = "prepare";

pub(crate) fn run(options: &Options) -> Result<()> {
    if options.list {
        all().iter().for_each(|it| println!("{:<36} {}{}", it.name, it.about, needs(it.needs)));
        return Ok(());
    }
    match &options.inside {
        Some(folder) => inside(options, folder),
        None => outside(options),
    }
}

fn needs(needs: Needs) -> &'static str {
    match needs {
        Needs::Release => " (needs --image with a release)",
        Needs::Image | Needs::PreparedCard => "",
    }
}

/// What a test's process does.
fn inside(options: &Options, folder: &Path) -> Result<()> {
    let [name] = options.names.as_slice() else { bail!("one name") };
    let shared = folder.parent().context("a test's folder lies in one for all")?;
    let image = options.image.clone().context("a test's process is told its image")?;
    let lab = Lab { folder: folder.to_owned(), image, prepared: shared.join("prepared") };
    if name == PREPARATION {
        return prepare(&lab);
    }
    let scenario = all().into_iter().find(|it| it.name == name).context("no such test")?;
    scenario.run(&lab)
}

fn outside(options: &Options) -> Result<()> {
    setup::ensure(setup::Verb::Vm, !options.no_install)?;
    let image = match &options.image {
        Some(image) => fs::canonicalize(image).with_context(|| image.display().to_string())?,
        None => emulator_image(&run::root(), !options.no_install)?,
    };
    let chosen = choose(&options.names, is_release(&image)?)?;
    let shared = run::root().join("out/vm");
    fs::create_dir_all(&shared)?;
    // A build that replaces this very program must not end the tests that are still to come.
    let program = shared.join("xtask");
    remove(&program)?;
    fs::copy("/proc/self/exe", &program)?;
    let job = |name: &'static str| Job {
        name,
        program: program.clone(),
        folder: shared.join(name),
        image: image.clone(),
    };
    if chosen.iter().any(|it| it.needs == Needs::PreparedCard) {
        let outcome = job(PREPARATION).run()?;
        ensure!(
            outcome.passed,
            "the card that the tests copy could not be made:\n{}",
            outcome.tail
        );
        eprintln!("- a card with an owner: {:.1} s", outcome.took.as_secs_f32());
    }
    let jobs = chosen.iter().map(|it| job(it.name)).collect();
    let outcomes = pool::run(jobs, options.jobs.max(1), tell)?;
    report(&outcomes)
}

/// What an earlier run left, which may be nothing.
fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// All that can run with this image, unless names are given.
fn choose(names: &[String], release: bool) -> Result<Vec<Scenario>> {
    for name in names {
        ensure!(all().iter().any(|it| it.name == name), "no test is called {name}; see --list");
    }
    let wanted = |it: &Scenario| names.is_empty() || names.iter().any(|name| name == it.name);
    let (chosen, left): (Vec<_>, Vec<_>) =
        all().into_iter().filter(wanted).partition(|it| release || it.needs != Needs::Release);
    for left in &left {
        println!("{} needs --image with a release and was not run", left.name);
    }
    ensure!(names.is_empty() || left.is_empty(), "give --image FILE");
    Ok(chosen)
}

fn tell(outcome: &Outcome) {
    let seconds = outcome.took.as_secs_f32();
    if outcome.passed {
        println!("{} ... ok ({seconds:.1} s)", outcome.name);
    } else {
        println!("{} ... FAILED ({seconds:.1} s)\n{}", outcome.name, outcome.tail);
    }
}

fn report(outcomes: &[Outcome]) -> Result<()> {
    let passed = outcomes.iter().filter(|it| it.passed).count();
    let failed = outcomes.len() - passed;
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {passed} passed; {failed} failed");
    ensure!(failed == 0, "{failed} of the tests failed; all that was said is in out/vm");
    Ok(())
}
