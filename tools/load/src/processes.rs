//! A run in one process, or in several: this program starts itself again with the same arguments
//! and an environment variable that says which part is meant.
//!
//! A child writes a line `step` wherever it has to wait and reads a line before it goes on; last it
//! writes `tally` and its counts. The parent looks at the server when all children wait.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use rustls::pki_types::ServerName;

use crate::dialect::Dialect;
use crate::gate::{Gate, Samples, Step};
use crate::layout::Layout;
use crate::options::{Options, raise_descriptors};
use crate::pool::Pool;
use crate::report::Report;
use crate::run::{Run, Share};
use crate::scenario::{Drive, Scenario, check};
use crate::server::Meter;
use crate::tally::Tally;
use crate::tls::Tls;

/// Tells a child its part, as `part/parts`.
const PART: &str = "LINNET_LOAD_PART";

/// Runs a scenario and reports. With several processes it starts the running program again with the
/// same arguments; in such a child this function does its part and then ends the process.
///
/// # Errors
/// What the server, the layout or the limits do not allow; sessions that never became ready.
pub fn run(
    scenario: &Scenario,
    dialect: &dyn Dialect,
    layout: &Layout,
    options: &Options,
) -> Result<Report> {
    let drive = scenario.drive();
    options.check()?;
    check(drive, layout, dialect)?;
    if let Ok(part) = std::env::var(PART) {
        let share = parse_share(&part).context("the part in the environment is unreadable")?;
        child(drive, dialect, layout, options, share)?;
        std::process::exit(0);
    }
    let meter = options.server_pid.map(|pid| Meter::new(pid, options.data.as_deref()));
    let samples = Samples::new(meter.transpose()?);
    let (tally, samples) = if options.processes == 1 {
        let gate = Gate::Alone(samples);
        let (tally, gate) = part(drive, dialect, layout, options, Share::ALL, gate)?;
        match gate {
            Gate::Alone(samples) => (tally, samples),
            Gate::Child => bail!("a lone process has no parent"),
        }
    } else {
        parent(drive, options.processes, samples)?
    };
    let payload = options.payload_bytes.unwrap_or(drive.payload_bytes());
    Ok(Report::new(drive, dialect.name(), options.processes, payload, tally, &samples))
}

fn parse_share(text: &str) -> Option<Share> {
    let (part, parts) = text.split_once('/')?;
    let share = Share { part: part.parse().ok()?, parts: parts.parse().ok()? };
    (share.part < share.parts).then_some(share)
}

/// Does one part of a run.
fn part(
    drive: &dyn Drive,
    dialect: &dyn Dialect,
    layout: &Layout,
    options: &Options,
    share: Share,
    gate: Gate,
) -> Result<(Tally, Gate)> {
    let unit = drive.unit();
    let units = u64::from(drive.sessions() / unit);
    let (first, end) = share.of(units);
    let sessions = (end - first) * u64::from(unit);
    ensure!(sessions > 0, "{} processes are too many for so few sessions", share.parts);
    let fit = raise_descriptors()?;
    ensure!(
        sessions <= fit,
        "{sessions} sessions need more descriptors than the {fit} that are free: --processes {}",
        (u64::from(drive.sessions())).div_ceil(fit)
    );
    let tls = dialect.tls().then(|| match dialect.trust() {
        Some((config, name)) => Ok(Tls::given(config, name, drive.resumes())),
        None => {
            let name = ServerName::from(options.connect.ip());
            Tls::new(dialect.alpn(), options.ca.as_deref(), name, drive.resumes())
        }
    });
    let first = u32::try_from(first)? * unit;
    let slots = usize::try_from(sessions)?;
    let mut pool = Pool::new(dialect, options.connect, tls.transpose()?, first, slots)?;
    pool.spin = options.spin;
    let mut run = Run::new(pool, dialect, layout, options, share, gate, bar(share));
    drive.drive(&mut run)?;
    run.finish()
}

/// Shown on a terminal only.
fn bar(share: Share) -> ProgressBar {
    if share.parts > 1 {
        return ProgressBar::hidden();
    }
    let style = "{msg:12} {wide_bar} {pos}/{len} {elapsed}";
    let style = ProgressStyle::with_template(style).expect("the template is sound");
    ProgressBar::new(0).with_style(style)
}

fn child(
    drive: &dyn Drive,
    dialect: &dyn Dialect,
    layout: &Layout,
    options: &Options,
    share: Share,
) -> Result<()> {
    let (tally, _) = part(drive, dialect, layout, options, share, Gate::Child)?;
    let mut output = std::io::stdout().lock();
    writeln!(output, "tally {}", serde_json::to_string(&tally)?)?;
    output.flush().context("the process that started this one is gone")
}

/// A child and both ends of the talk with it. Its input ends with this value, and it with that.
struct Part {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Part {
    fn start(share: Share) -> Result<Self> {
        let program = std::env::current_exe().context("this program can't find itself")?;
        let mut process = Command::new(program)
            .args(std::env::args_os().skip(1))
            .env(PART, format!("{}/{}", share.part, share.parts))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("no further process starts")?;
        let input = process.stdin.take().context("the child has no input")?;
        let output = process.stdout.take().context("the child has no output")?;
        Ok(Self { process, input, output: BufReader::new(output) })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "a part of the load ended early; it said why above");
        Ok(line)
    }
}

fn parent(drive: &dyn Drive, processes: u32, mut samples: Samples) -> Result<(Tally, Samples)> {
    ensure!(
        drive.sessions() / drive.unit() >= processes,
        "{} processes are too many for so few sessions",
        processes
    );
    let parts = (0..processes).map(|part| Part::start(Share { part, parts: processes }));
    let mut parts = parts.collect::<Result<Vec<Part>>>()?;
    for step in Step::ALL {
        for part in &mut parts {
            let line = part.line()?;
            ensure!(line.trim_end() == "step", "a part of the load said: {line}");
        }
        samples.take(step)?;
        for part in &mut parts {
            writeln!(part.input, "go").context("a part of the load is gone")?;
        }
    }
    let mut total = Tally::default();
    for mut part in parts {
        let line = part.line()?;
        let text = line.strip_prefix("tally ").context("a part of the load counted nothing")?;
        total.merge(serde_json::from_str(text)?);
        part.process.wait()?;
    }
    Ok((total, samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_one_of_its_number() {
        assert_eq!(parse_share("2/3"), Some(Share { part: 2, parts: 3 }));
        for wrong in ["", "3/3", "1", "1/0", "a/2", "-1/2"] {
            assert_eq!(parse_share(wrong), None, "{wrong}");
        }
    }
}
