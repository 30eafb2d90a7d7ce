//! Power cuts in one chat run, from the recovery at its boot to its last message: QEMU logs every
//! write of the card; the log is replayed to flush boundaries, with what was not flushed kept, torn
//! or lost. Each card is recovered by `linnetd` on the host, one is booted; what was acknowledged
//! before the cut must be there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use image::layout::{Extent, MIB};
use vm::console::{Console, Waited};
use vm::ports::forward;
use vm::writelog::{Cut, WriteLog};

use super::chatter::{Acked, Crowd, Rooms};
use super::verdict::{Verdict, Verifier};
use super::{POWER_OFF_MAX, Plan, boot};

/// Cuts at flushes of their own, spread over the whole run.
const BOUNDARIES: usize = 20;
/// More cuts between two of them, where other samples of the open writes are kept.
const EXTRA: usize = 4;
const MESSAGES: usize = 120;
/// DATA on the card.
const DATA_PARTITION: u32 = 7;
/// Recovery of a small log, on a busy host.
const RECOVERY_MAX: Duration = Duration::from_secs(60);

/// An acknowledged message and how long the write log was when the ack came.
struct Logged {
    acked: Acked,
    log_bytes: u64,
}

/// The card before the logged run, and what judging needs.
struct Judge<'a> {
    server: PathBuf,
    base: PathBuf,
    base_data: PathBuf,
    data_place: Extent,
    log: WriteLog,
    folder: &'a Path,
    crowd: &'a Crowd,
    verifier: &'a Verifier,
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
    eprintln!("- a recovery and {MESSAGES} messages with every write logged");
    let pi = boot(&plan.card, Some(log.clone()))?;
    let logged = runtime.block_on(chat(crowd, rooms, &pi.https, &log))?;
    pi.pi.kill()?;
    let base_data = plan.folder.join("base-data.img");
    let data_place = extract_data(&base, &base_data)?;
    let log = WriteLog::open(&log)?;
    let folder = &plan.folder;
    let judge = Judge { server, base, base_data, data_place, log, folder, crowd, verifier };
    judge.all(&before, &logged)
}

impl Judge<'_> {
    fn all(&self, before: &[Acked], logged: &[Logged]) -> Result<(usize, Verdict)> {
        let flushes = self.log.flushes();
        let cuts = choose(flushes)?;
        let first_ack = self.log.flushes_within(logged[0].log_bytes);
        eprintln!("- {} cuts in {flushes} flushes; first ack at {first_ack}", cuts.len());
        let mut sum = Verdict::default();
        for (number, cut) in cuts.iter().enumerate() {
            let durable = logged.iter().filter(|it| self.durable_at(it) <= cut.flush);
            let mut acked = before.to_vec();
            acked.extend(durable.map(|it| it.acked.clone()));
            let verdict = match number == BOUNDARIES / 2 {
                true => self.booted(*cut, acked),
                false => self.recovered(*cut, acked),
            };
            let Cut { flush, seed } = cut;
            let verdict = verdict.with_context(|| format!("the cut at flush {flush}, {seed}"))?;
            eprintln!("  flush {flush}, seed {seed}: {verdict:?}");
            sum.add(&verdict);
        }
        Ok((cuts.len(), sum))
    }

    /// The flush that a message's ack had waited for, at the latest.
    fn durable_at(&self, message: &Logged) -> usize {
        self.log.flushes_within(message.log_bytes)
    }

    /// The whole card after the cut, started as the owner would.
    fn booted(&self, cut: Cut, acked: Vec<Acked>) -> Result<Verdict> {
        let card = self.folder.join("cut.img");
        copy_sparse(&self.base, &card)?;
        self.log.replay(&fs::File::options().write(true).open(&card)?, cut)?;
        let pi = boot(&card, None)?;
        let verdict = self.verifier.ask(pi.https.host, self.crowd, acked)?;
        pi.pi.power_off(POWER_OFF_MAX)?;
        Ok(verdict)
    }

    /// Repairs DATA as init does, takes linnetd's folder out and lets linnetd recover it.
    fn recovered(&self, cut: Cut, acked: Vec<Acked>) -> Result<Verdict> {
        let data = self.folder.join("data.img");
        copy_sparse(&self.base_data, &data)?;
        let file = fs::File::options().write(true).open(&data)?;
        self.log.replay_part(&file, self.data_place, cut)?;
        let output = Command::new("/usr/sbin/e2fsck").arg("-fp").arg(&data).output()?;
        if !matches!(output.status.code(), Some(0 | 1)) {
            let words = String::from_utf8_lossy(&output.stdout);
            bail!("e2fsck could not repair DATA by itself: {}", words.trim());
        }
        let target = self.folder.join("recovered");
        fs::remove_dir_all(&target).ok();
        fs::create_dir(&target)?;
        let request = format!("rdump /linnet {}", target.display());
        Command::new("/usr/sbin/debugfs").args(["-R", &request]).arg(&data).output()?;
        let port = forward(443, 8543)?.host;
        let mut process = serve(&self.server, &target.join("linnet"), port)?;
        let verdict =
            wait_listening(&mut process).and_then(|()| self.verifier.ask(port, self.crowd, acked));
        process.kill()?;
        process.wait()?;
        verdict
    }
}

/// From before the first flush to after the last one, every one different.
fn choose(flushes: usize) -> Result<Vec<Cut>> {
    if flushes + 1 < BOUNDARIES {
        bail!("the run had only {flushes} flushes; {BOUNDARIES} cuts need more");
    }
    let at = |number: usize, of: usize| flushes * number / of;
    let spread = (0..BOUNDARIES).map(|number| at(number, BOUNDARIES - 1));
    let extra = (1..=EXTRA).map(|number| at(number, EXTRA + 1));
    let cuts = spread.chain(extra).enumerate();
    Ok(cuts.map(|(seed, flush)| Cut { flush, seed: seed as u64 }).collect())
}

/// One message after the other in small groups, so that there are many flushes.
async fn chat(
    crowd: &mut Crowd,
    rooms: &Rooms,
    https: &vm::ports::Forward,
    log: &Path,
) -> Result<Vec<Logged>> {
    let mut logged = Vec::new();
    for group in 0..MESSAGES / 4 {
        let speaker = crowd.speaker(group);
        speaker.forget_session_of_another_start(https);
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

/// DATA as a file of its own: e2fsck loses an offset when it opens the file again.
fn extract_data(card: &Path, target: &Path) -> Result<Extent> {
    let place = image::card::partition(&fs::File::open(card)?, DATA_PARTITION)?;
    let output = Command::new("dd")
        .arg(format!("if={}", card.display()))
        .arg(format!("of={}", target.display()))
        .args(["bs=1M", "conv=sparse"])
        .arg(format!("skip={}", place.start / MIB))
        .output()?;
    if !output.status.success() {
        bail!("taking DATA out of the card: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(place)
}

fn serve(server: &Path, data: &Path, port: u16) -> Result<Child> {
    let child = Command::new(server)
        .arg("--data")
        .arg(data)
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    Ok(child)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn cuts_cover_the_whole_run_and_no_boundary_is_counted_twice() {
        for flushes in [BOUNDARIES - 1, 57, 400] {
            let cuts = choose(flushes).unwrap();
            let spread: BTreeSet<usize> = cuts[..BOUNDARIES].iter().map(|cut| cut.flush).collect();
            assert_eq!(spread.len(), BOUNDARIES);
            assert_eq!((spread.first(), spread.last()), (Some(&0), Some(&flushes)));
            assert_eq!(cuts.iter().map(|cut| cut.seed).collect::<BTreeSet<_>>().len(), cuts.len());
        }
        assert!(choose(BOUNDARIES - 2).is_err());
    }
}
