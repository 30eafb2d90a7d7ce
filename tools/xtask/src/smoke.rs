//! `cargo xtask emulate --smoke`: the whole product on an emulated Pi, cut off again and again,
//! with a verdict by a client that shares no code with the server. The last line on stdout is JSON.

mod chatter;
mod cuts;
mod kernel;
mod led;
mod verdict;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use update::claim::ClaimToken;
use vm::ports::{Forward, forward};
use vm::{Between, Machine, Network, Pi};

use chatter::{Crowd, Rooms};
use verdict::{Verdict, Verifier};

pub(crate) use kernel::run as kernel;
pub(crate) use led::run as led;

/// A boot on a busy host, with recovery of the log; the product's own figure is 15 s.
const BOOT_MAX: Duration = Duration::from_secs(180);
const POWER_OFF_MAX: Duration = Duration::from_secs(60);
/// init's own word that the product works.
pub(super) const RUNNING: &str = "linnet-init: running";

/// Messages between kills and in all: `1,000` by the definition of this test.
const PHASES: [usize; 4] = [250, 250, 250, 250];
const KILLS: usize = 3;
const INFLIGHT_MIN: usize = 20;
const ACK_AGE_MAX: Duration = Duration::from_millis(100);

/// A provisioned card and what belongs to the run.
pub(crate) struct Plan {
    pub(crate) card: PathBuf,
    pub(crate) token: ClaimToken,
    /// Keeps card and lists for a later look.
    pub(crate) folder: PathBuf,
    pub(crate) tree: PathBuf,
}

/// An emulated Pi that has said that it works.
pub(super) struct Running {
    pub(super) pi: Pi,
    pub(super) https: Forward,
}

#[derive(Default)]
struct Figures {
    boot_ms: u128,
    inflight: Vec<usize>,
    ack_age_ms: Vec<u128>,
}

/// Claims, chats, kills, replays; prints the result and fails unless nothing is lost.
pub(crate) fn chat(plan: &Plan) -> Result<()> {
    let verifier = Verifier::prepare(&plan.tree, &plan.folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut figures = Figures::default();
    let started = Instant::now();
    let mut pi = boot(&plan.card, None)?;
    figures.boot_ms = started.elapsed().as_millis();
    eprintln!("- claiming, two people, a direct and a group room");
    let (mut crowd, rooms) = runtime.block_on(Crowd::claim(&pi.https, &plan.token))?;
    for (phase, messages) in PHASES.into_iter().enumerate() {
        eprintln!("- {messages} messages{}", if phase < KILLS { ", then a kill" } else { "" });
        pi = load(plan, &runtime, pi, &mut crowd, &rooms, &mut figures, (phase, messages))?;
    }
    pi.pi.kill()?; // so that the logged run begins with a recovery
    let (cut_points, cut_verdict) = cuts::run(plan, &runtime, &mut crowd, &rooms, &verifier)?;
    eprintln!("- the card's last boot, {} messages compared", crowd.acked().len());
    let pi = boot(&plan.card, None)?;
    let claimed = runtime.block_on(crowd.claimed(&pi.https))?;
    let mut verdict = verifier.ask(pi.https.host, &crowd, crowd.acked())?;
    pi.pi.power_off(POWER_OFF_MAX)?;
    let acked = verdict.acked;
    verdict.add(&cut_verdict);
    report(&figures, claimed, acked, cut_points, &verdict)
}

/// One part of the load; all but the last end with a kill and a new start.
fn load(
    plan: &Plan,
    runtime: &tokio::runtime::Runtime,
    pi: Running,
    crowd: &mut Crowd,
    rooms: &Rooms,
    figures: &mut Figures,
    (phase, messages): (usize, usize),
) -> Result<Running> {
    let speaker = crowd.speaker(phase);
    speaker.say_alternately(rooms, messages, &format!("phase {phase}"));
    if phase >= KILLS {
        runtime.block_on(speaker.settle_all(&pi.https))?;
        return Ok(pi);
    }
    runtime.block_on(speaker.settle_until(&pi.https, messages / 2, INFLIGHT_MIN))?;
    let killed_at = pi.pi.kill()?;
    let age = killed_at.saturating_duration_since(speaker.last_ack());
    figures.inflight.push(speaker.in_flight());
    figures.ack_age_ms.push(age.as_millis());
    if age >= ACK_AGE_MAX {
        bail!("the last ack was {} ms old at the kill; the host is too busy", age.as_millis());
    }
    let pi = boot(&plan.card, None)?;
    let speaker = crowd.speaker(phase);
    runtime.block_on(speaker.settle_all(&pi.https))?;
    Ok(pi)
}

/// Boots `virt` and waits until init reports the product as working.
fn boot(card: &Path, write_log: Option<PathBuf>) -> Result<Running> {
    let https = forward(443, 8443)?;
    let mut pi = Pi::power_on(vm::Options {
        network: Network::Loopback(vec![https]),
        between: write_log.map_or(Between::Nothing, Between::WriteLog),
        ..vm::Options::new(Machine::Virt, card)
    })?;
    pi.wait_for(RUNNING, BOOT_MAX).context("the box did not come up")?;
    Ok(Running { pi, https })
}

fn report(
    figures: &Figures,
    claimed: bool,
    acked: usize,
    cut_points: usize,
    verdict: &Verdict,
) -> Result<()> {
    let line = serde_json::json!({
        "machine": "virt",
        "boot_ms": figures.boot_ms,
        "claimed": claimed,
        "acked": acked,
        "kills": figures.inflight.len(),
        "inflight_at_kill": figures.inflight,
        "last_ack_age_ms": figures.ack_age_ms,
        "cut_points": cut_points,
        "lost": verdict.lost,
        "duplicated": verdict.duplicated,
        "reordered": verdict.reordered,
        "verified_by": "python",
    });
    println!("{line}");
    if !claimed {
        bail!("after all the cuts the box says that nobody owns it; the card is kept");
    }
    if !verdict.clean() {
        bail!("messages are lost, doubled or out of order; the card is kept");
    }
    Ok(())
}
