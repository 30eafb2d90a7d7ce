//! Power cuts in one chat run: QEMU logs every write of the card; the log is replayed to flush
//! boundaries, with what was not flushed kept, torn or lost. Each card is recovered by `linnetd` on
//! the host, one is booted; what was acknowledged before the cut must be there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use image::layout::MIB;
use vm::console::{Console, Waited};
use vm::ports::forward;
use vm::writelog::{Cut, WriteLog};

use super::chatter::{Acked, Crowd, Rooms};
use super::verdict::{Verdict, Verifier};
use super::{POWER_OFF_MAX, Plan, boot};

const CUT_POINTS: usize = 20;
const MESSAGES: usize = 120;
/// Recovery of a small log, on a busy host.
const RECOVERY_MAX: Duration = Duration::from_secs(60);

/// An acknowledged message and how long the write log was when the ack came.
struct Logged {
    acked: Acked,
    log_bytes: u64,
}

/// The logged run and its replays; returns how many cuts were judged and the sum of verdicts.
pub(super) fn run(
    plan: &Plan,
    runtime: &tokio::runtime::Runtime,
    crowd: &mut Crowd,
    rooms: &Rooms,
    verifier: &Verifier,
) -> Result<(usize, Verdict)> {
    let server = host_server(&plan.tree)?;
    let (base, log) = (plan.folder.join("base.img"), plan.folder.join("write.log"));
    copy_sparse(&plan.card, &base)?;
    fs::write(&log, "")?;
    let before = crowd.acked();
    eprintln!("- {MESSAGES} messages with every write logged");
    let pi = boot(&plan.card, Some(log.clone()))?;
    let logged = runtime.block_on(chat(crowd, rooms, &pi.https, &log))?;
    pi.pi.kill()?;
    let log = WriteLog::open(&log)?;
    let first = log.flushes_within(logged[0].log_bytes);
    let last = log.flushes();
    eprintln!("- {CUT_POINTS} cuts between flush {first} and {last}");
    let mut sum = Verdict::default();
    for number in 0..CUT_POINTS {
        let flush = first + (last - first) * number / (CUT_POINTS - 1);
        let cut = Cut { flush, seed: number as u64 };
        let card = plan.folder.join("cut.img");
        copy_sparse(&base, &card)?;
        log.replay(&fs::File::options().write(true).open(&card)?, cut)?;
        let mut acked = before.clone();
        let durable = logged.iter().filter(|it| log.flushes_within(it.log_bytes) <= flush);
        acked.extend(durable.map(|it| it.acked.clone()));
        let verdict = if number == CUT_POINTS / 2 {
            booted(&card, crowd, acked, verifier)
        } else {
            recovered(&server, &card, &plan.folder, crowd, acked, verifier)
        };
        let verdict =
            verdict.with_context(|| format!("the cut at flush {flush}, seed {number}"))?;
        eprintln!("  flush {flush}: {verdict:?}");
        sum.add(&verdict);
    }
    Ok((CUT_POINTS, sum))
}

/// One message after the other in small groups, so that there are many flushes.
async fn chat(
    crowd: &mut Crowd,
    rooms: &Rooms,
    https: &vm::ports::Forward,
    log: &Path,
) -> Result<Vec<Logged>> {
    let mut logged = Vec::new();
    let speaker = crowd.speaker(0);
    for group in 0..MESSAGES / 4 {
        speaker.say_alternately(rooms, 4, &format!("logged {group}"));
        while !speaker.is_settled() {
            let known = speaker.acked_count();
            speaker.step(https).await?;
            let log_bytes = fs::metadata(log)?.len();
            let new = speaker.acked_since(known).iter().cloned();
            logged.extend(new.map(|acked| Logged { acked, log_bytes }));
        }
    }
    if logged.len() != MESSAGES {
        bail!("{} of {MESSAGES} messages were acknowledged", logged.len());
    }
    Ok(logged)
}

fn booted(card: &Path, crowd: &Crowd, acked: Vec<Acked>, verifier: &Verifier) -> Result<Verdict> {
    let pi = boot(card, None)?;
    let verdict = verifier.ask(pi.https.host, crowd, acked)?;
    pi.pi.power_off(POWER_OFF_MAX)?;
    Ok(verdict)
}

/// Repairs DATA as init does, takes linnetd's folder out and lets linnetd recover it.
fn recovered(
    server: &Path,
    card: &Path,
    folder: &Path,
    crowd: &Crowd,
    acked: Vec<Acked>,
    verifier: &Verifier,
) -> Result<Verdict> {
    let data = folder.join("data.img");
    extract_data(card, &data)?;
    let output = Command::new("/usr/sbin/e2fsck").arg("-fp").arg(&data).output()?;
    if !matches!(output.status.code(), Some(0 | 1)) {
        let words = String::from_utf8_lossy(&output.stdout);
        bail!("e2fsck could not repair DATA by itself: {}", words.trim());
    }
    let target = folder.join("recovered");
    fs::remove_dir_all(&target).ok();
    fs::create_dir(&target)?;
    let request = format!("rdump /linnet {}", target.display());
    Command::new("/usr/sbin/debugfs").args(["-R", &request]).arg(&data).output()?;
    let port = forward(443, 8543)?.host;
    let mut process = Command::new(server)
        .arg("--data")
        .arg(target.join("linnet"))
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let verdict = wait_listening(&mut process).and_then(|()| verifier.ask(port, crowd, acked));
    process.kill()?;
    process.wait()?;
    verdict
}

/// DATA as a file of its own: e2fsck loses an offset when it opens the file again.
fn extract_data(card: &Path, target: &Path) -> Result<()> {
    let place = image::card::partition(&fs::File::open(card)?, 7)?;
    let output = Command::new("dd")
        .arg(format!("if={}", card.display()))
        .arg(format!("of={}", target.display()))
        .args(["bs=1M", "conv=sparse"])
        .arg(format!("skip={}", place.start / MIB))
        .output()?;
    if !output.status.success() {
        bail!("taking DATA out of the card: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn wait_listening(process: &mut Child) -> Result<()> {
    let console = Console::read(process.stderr.take().expect("stderr was asked for as a pipe"));
    let deadline = Instant::now() + RECOVERY_MAX;
    let mut seen = Vec::new();
    while let Waited::Line(line) = console.next(deadline) {
        if line.text.contains("listening") {
            return Ok(());
        }
        seen.push(line.text);
    }
    bail!("linnetd did not come up on the cut card: {}", seen.join(" / "));
}

fn host_server(tree: &Path) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(tree).args(["build", "--quiet", "--locked", "-p", "linnetd"]);
    if !command.status()?.success() {
        bail!("linnetd did not build on this machine; the compiler's reason stands above");
    }
    let own = std::env::current_exe()?;
    Ok(own.parent().context("a program lies in a folder")?.join("linnetd"))
}

fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg("--sparse=always").args([from, to]).status()?;
    if !status.success() {
        bail!("copying {} failed; is the disk full?", from.display());
    }
    Ok(())
}
