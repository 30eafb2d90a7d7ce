//! `cargo xtask boot-chart`: boots a card that was started before, again and again, and says when
//! each stage was reached: a table, a picture, and a line of JSON at the end. Times count from the
//! kernel's start, which is where the box's own clock (`boot_ms`) begins.

mod picture;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use vm::lab::RUNNING;
use vm::lab::card::fresh;
use vm::owner::page_answers;
use vm::ports::forward;
use vm::{Machine, Network, Pi};

use crate::emulate::{Board, emulator_image};
use crate::{run, setup};

#[derive(Args)]
pub(crate) struct Options {
    /// Boot this image instead of the emulator's, such as a release.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// The emulated board.
    #[arg(long, value_enum, default_value = "virt")]
    machine: Board,
    /// Boots that are measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Only list what is missing on this machine.
    #[arg(long)]
    no_install: bool,
}

/// A stage and the words on the console that tell of it.
const STAGES: &[(&str, &str)] = &[
    ("init starts", "Linnet starts."),
    ("DATA is checked", "linnet-data: "),
    ("an address", "The box has the address "),
    ("linnetd is connected", " is connected."),
    ("linnetd listens", " listening https"),
    ("the product reports itself well", RUNNING),
];
const PAGE: &str = "the setup page answers";
/// A boot on a busy host.
const BOOT_MAX: Duration = Duration::from_secs(300);
const POWER_OFF_MAX: Duration = Duration::from_secs(120);
/// How often the page is asked for.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// From the kernel's start to the page, on `virt`.
const GOAL_MS: i64 = 5000;

/// One boot: each stage's time after the kernel's start, in milliseconds, in the order of
/// [`STAGES`] with the page last. Before the kernel there is only the emulator itself.
#[derive(Debug, Clone)]
struct Boot {
    stages_ms: Vec<Option<i64>>,
    emulator_ms: i64,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    setup::ensure(setup::Verb::Emulate, !options.no_install)?;
    let tree = run::root();
    let image = match &options.image {
        Some(image) => image.clone(),
        None => emulator_image(&tree, !options.no_install)?,
    };
    let folder = tree.join("out/boot-chart");
    std::fs::create_dir_all(&folder)?;
    let card = folder.join("card.img");
    fresh(&image, &card)?;
    eprintln!("- the first boot, which makes DATA");
    let machine = Machine::from(options.machine);
    boot(machine, &card).context("the first boot")?;
    let mut boots = Vec::new();
    for number in 1..=options.runs {
        eprintln!("- boot {number} of {}", options.runs);
        boots.push(boot(machine, &card)?);
    }
    std::fs::remove_file(&card)?;
    report(machine, &boots, &folder)
}

fn boot(machine: Machine, card: &Path) -> Result<Boot> {
    let https = forward(443, 8443)?;
    let started = Instant::now();
    let mut pi = Pi::power_on(vm::Options {
        network: Network::Loopback(vec![https]),
        ..vm::Options::new(machine, card)
    })?;
    let (sender, page) = mpsc::channel();
    let host = format!("localhost:{}", https.host);
    std::thread::spawn(move || sender.send(first_answer(&host)));
    let mut seen: Vec<Option<Instant>> = vec![None; STAGES.len()];
    let kernel = loop {
        let line = pi.next_line(started + BOOT_MAX)?;
        let line = line.context("the box switched itself off")?;
        for ((_, words), seen) in STAGES.iter().zip(&mut seen) {
            if seen.is_none() && line.text.contains(words) {
                *seen = Some(line.at);
            }
        }
        if let Some(ms) = boot_ms(&line.text) {
            break line.at - Duration::from_millis(ms);
        }
    };
    let answered = page.recv_timeout(BOOT_MAX).context("the page did not answer")?;
    seen.push(Some(answered.context("the page did not answer")?));
    pi.power_off(POWER_OFF_MAX)?;
    let stages_ms = seen.into_iter().map(|at| at.map(|at| after(kernel, at))).collect();
    Ok(Boot { stages_ms, emulator_ms: after(started, kernel) })
}

/// Asks for the page from power-on until it is there.
fn first_answer(host: &str) -> Option<Instant> {
    let deadline = Instant::now() + BOOT_MAX;
    while Instant::now() < deadline {
        if page_answers(host) {
            return Some(Instant::now());
        }
        std::thread::sleep(ASK_AGAIN);
    }
    None
}

/// `linnet-init: running boot_ms=1234`
fn boot_ms(line: &str) -> Option<u64> {
    line.split(RUNNING).nth(1)?.split("boot_ms=").nth(1)?.trim().parse().ok()
}

fn after(start: Instant, at: Instant) -> i64 {
    let forward = at.checked_duration_since(start).map(|it| it.as_millis() as i64);
    forward.unwrap_or_else(|| -((start - at).as_millis() as i64))
}

fn report(machine: Machine, boots: &[Boot], folder: &Path) -> Result<()> {
    let names: Vec<&str> = STAGES.iter().map(|it| it.0).chain([PAGE]).collect();
    let mut rows = Vec::new();
    println!("{:<34} {:>9} {:>9} {:>9}", "ms after the kernel's start", "median", "least", "most");
    for (index, name) in names.iter().enumerate() {
        let mut times: Vec<i64> = boots.iter().filter_map(|it| it.stages_ms[index]).collect();
        if times.is_empty() {
            continue; // a release may be silent where the emulator's card speaks
        }
        times.sort_unstable();
        let (least, median, most) = (times[0], times[times.len() / 2], times[times.len() - 1]);
        println!("{name:<34} {median:>9} {least:>9} {most:>9}");
        rows.push(picture::Row { name, median_ms: median, least_ms: least, most_ms: most });
    }
    let emulator: Vec<i64> = boots.iter().map(|it| it.emulator_ms).collect();
    println!("before it, the emulator itself: {emulator:?} ms");
    let path = folder.join(format!("boot-chart-{}.svg", machine.name()));
    std::fs::write(&path, picture::draw(&rows, GOAL_MS))?;
    println!("the picture: {}", path.display());
    let page_ms = rows.last().context("no stage was reached")?.median_ms;
    let all: serde_json::Value = rows.iter().map(|it| (it.name.to_owned(), it.median_ms)).collect();
    println!("{}", serde_json::json!({"machine": machine.name(), "median_ms": all}));
    let misses = machine == Machine::Virt && page_ms > GOAL_MS;
    ensure!(!misses, "the page took {page_ms} ms, more than {GOAL_MS}: is the host busy?");
    if rows.len() < 2 {
        bail!("the console told of no stage");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxs_own_clock_is_read_from_its_line() {
        assert_eq!(boot_ms("linnet-init: running boot_ms=1234"), Some(1234));
        assert_eq!(boot_ms("linnet-init: running health_nonce=a boot_ms=7"), Some(7));
        assert_eq!(boot_ms("linnet-init: Linnet starts."), None);
    }

    #[test]
    fn what_comes_before_the_start_counts_backwards() {
        let start = Instant::now() + Duration::from_secs(1);
        assert_eq!(after(start, start + Duration::from_millis(5)), 5);
        assert_eq!(after(start, start - Duration::from_millis(5)), -5);
    }
}
