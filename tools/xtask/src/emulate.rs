//! `cargo xtask emulate`: builds the card and boots it on an emulated Pi, with the claim link on
//! the screen. Steps whose input did not change are skipped; the card keeps its data between runs.

mod build;
mod card;
mod stamp;

pub(crate) use build::{build_time_s, client};
pub(crate) use stamp::{Stamp, is};

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use vm::pi::Polled;
use vm::ports::{Forward, forward};
use vm::{Machine, Network, Pi};

use crate::{run, setup, smoke};

/// How often a press of Ctrl-C is looked for while the console is silent.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// An orderly shutdown closes the log and unmounts; a busy host takes its time.
const POWER_OFF_MAX: Duration = Duration::from_secs(60);
/// The answer to the first request of a page that is there.
const ANSWER_MAX: Duration = Duration::from_secs(2);

#[derive(Args)]
pub(crate) struct Options {
    /// The emulated board.
    #[arg(long, value_enum, default_value = "virt")]
    machine: Board,
    /// Start with a new card; what was on the old one is lost.
    #[arg(long)]
    fresh: bool,
    /// Only list what is missing on this machine.
    #[arg(long)]
    no_install: bool,
    /// Words added to the kernel's command line.
    #[arg(long, default_value = "")]
    append: String,
    /// Run the smoke test on a card of its own instead of serving.
    #[arg(long)]
    smoke: bool,
    /// Where the smoke test keeps card and lists.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Build the card and stop.
    #[arg(long)]
    build_only: bool,
    /// Series of Debian's kernel, as in image.toml; another than the usual one has its own card.
    #[arg(long, value_name = "SERIES")]
    kernel: Option<String>,
    /// Look for newer Debian packages than those in the cache.
    #[arg(long)]
    fresh_parts: bool,
    /// Boot this card image, such as one of `cargo xtask image`, instead of building the
    /// emulator's; it gets a card of its own.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kernel", "fresh_parts", "build_only"])]
    image: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Board {
    Virt,
    Raspi4b,
}

impl From<Board> for Machine {
    fn from(board: Board) -> Self {
        match board {
            Board::Virt => Self::Virt,
            Board::Raspi4b => Self::Raspi4b,
        }
    }
}

/// Ports of the box and where they are wished on loopback: HTTPS, HTTP, the native protocol
/// (over UDP: QUIC).
const PORTS: [(u16, u16); 3] = [(443, 8443), (80, 8080), (7443, 7443)];

pub(crate) fn run(options: &Options) -> Result<()> {
    setup::ensure(setup::Verb::Emulate, !options.no_install)?;
    let tree = run::root();
    let built = image(&tree, options)?;
    if options.build_only {
        return Ok(());
    }
    if options.smoke {
        return run_smoke(&tree, &built, options);
    }
    let card = card::prepare(&built, options.fresh)?;
    emulate(options.machine.into(), &card, &options.append)
}

fn image(tree: &Path, options: &Options) -> Result<build::Image> {
    if let Some(file) = &options.image {
        return build::given(tree, file);
    }
    build::image(
        tree,
        &build::Choice {
            kernel: options.kernel.as_deref(),
            fresh_parts: options.fresh_parts,
            install: !options.no_install,
        },
    )
}

/// The emulator's image, built as far as its inputs changed.
pub(crate) fn emulator_image(tree: &Path, install: bool) -> Result<PathBuf> {
    let choice = build::Choice { kernel: None, fresh_parts: false, install };
    Ok(build::image(tree, &choice)?.path)
}

/// A new card for every smoke test: what is proven must not hang on an earlier run.
fn run_smoke(tree: &Path, built: &build::Image, options: &Options) -> Result<()> {
    let folder = options.keep.clone().unwrap_or_else(|| built.folder.join("smoke"));
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let card = card::new_in(&folder, built)?;
    let plan = smoke::Plan { card: card.path, token: card.token, folder, tree: tree.to_owned() };
    match (Machine::from(options.machine), options.kernel.is_some()) {
        (Machine::Raspi4b, _) => smoke::led(&plan.card),
        (Machine::Virt, false) => smoke::chat(&plan),
        (Machine::Virt, true) => smoke::kernel(&plan),
    }
}

fn emulate(machine: Machine, card: &card::Card, append: &str) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let pressed = Arc::clone(&stop);
    ctrlc::set_handler(move || pressed.store(true, Ordering::Relaxed))?;
    let forwards: Result<Vec<Forward>> =
        PORTS.iter().map(|(guest, host)| forward(*guest, *host)).collect();
    let forwards = forwards?;
    eprintln!("Booting an emulated Pi ({}); not a release, Ctrl-C powers it off.", machine.name());
    let started = Instant::now();
    let mut pi = Pi::power_on(vm::Options {
        network: Network::Loopback(forwards.clone()),
        cmdline: append.to_owned(),
        ..vm::Options::new(machine, &card.path)
    })?;
    let mut starts = pi.starts();
    let mut page = Some(Page { https: forwards[0].host, http: forwards[1].host, started });
    while !stop.load(Ordering::Relaxed) {
        let polled = pi.poll_line(Instant::now() + LOOK_AGAIN)?;
        if pi.starts() != starts {
            starts = pi.starts();
            println!("The emulated Pi restarts.");
        }
        match polled {
            Polled::Line(line) => {
                let seconds = (line.at - started).as_secs_f32();
                println!("  {seconds:6.1} s  {}", line.text);
            }
            Polled::Silent => page = page.and_then(|page| page.announce_if_up(card)),
            Polled::Off => bail!("the emulated Pi switched itself off; its last lines are above"),
        }
    }
    eprintln!("Powering off.");
    pi.power_off(POWER_OFF_MAX)
        .context("the box did not switch itself off; its card is as after a power cut")
}

/// The claim page, until it answers for the first time.
struct Page {
    https: u16,
    http: u16,
    started: Instant,
}

impl Page {
    /// Consumes itself when the page is up. QEMU accepts connections before the box listens, so
    /// only an answer counts.
    fn announce_if_up(self, card: &card::Card) -> Option<Self> {
        if !answers(self.http) {
            return Some(self);
        }
        let host = format!("localhost:{}", self.https);
        let seconds = self.started.elapsed().as_secs_f32();
        println!("\nThe box answers after {seconds:.1} s. Whoever opens this link first owns it,");
        println!("unless somebody already does:");
        println!("\n  {}\n", card.token.link(&host));
        println!("Your browser warns about the certificate, as with a new box: go on anyway.");
        None
    }
}

fn answers(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        Ok(answer == *b"HTTP/")
    };
    ask().unwrap_or(false)
}
