//! Tables of what was found, and RESULTS.md with versions, configurations and plots.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::experiment::Finding;
use super::loads::Measure;
use super::peers::Peer;
use super::plots;
use super::spread::Spread;
use super::target::Target;
use crate::floor::Mode;

/// All tables as Markdown.
pub(super) fn tables(findings: &[Finding]) -> String {
    let mut names: Vec<&str> = findings.iter().map(|finding| finding.name).collect();
    names.dedup();
    names.iter().map(|name| table(name, findings)).collect()
}

fn table(name: &str, findings: &[Finding]) -> String {
    let rows: Vec<&Finding> = findings.iter().filter(|finding| finding.name == name).collect();
    let Some(first) = rows.first() else { return String::new() };
    let mut text = format!("### {name}\n\n| server |");
    if let Some((what, _)) = first.x {
        let _ = write!(text, " {what} |");
    }
    let has_floor = rows.iter().any(|row| is_ring_floor(row));
    for measure in first.measures {
        let _ = write!(text, " {} |", measure.head());
    }
    text.push_str(if has_floor { " CPU to ring floor | runs |\n" } else { " runs |\n" });
    let columns =
        2 + first.measures.len() + usize::from(first.x.is_some()) + usize::from(has_floor);
    let _ = writeln!(text, "|{}", "---|".repeat(columns));
    for row in &rows {
        let _ = writeln!(text, "{}", line(row, &rows, has_floor));
    }
    text.push_str(&floor_itself(&rows));
    text.push_str(&troubles(&rows));
    text.push('\n');
    text
}

fn line(row: &Finding, rows: &[&Finding], has_floor: bool) -> String {
    let mut text = format!("| {} |", row.target.label());
    if let Some((_, value)) = row.x {
        let _ = write!(text, " {value} |");
    }
    for measure in row.measures {
        let _ = write!(text, " {} |", row.spread(*measure).map_or("–".into(), cell));
    }
    if has_floor {
        let ratio = ratio_to_floor(row, rows).map_or("–".into(), |ratio| format!("{ratio:.2}"));
        let _ = write!(text, " {ratio} |");
    }
    let _ = write!(text, " {} |", row.reports.len());
    text
}

/// CPU against the ring floor's at the same point.
fn ratio_to_floor(row: &Finding, rows: &[&Finding]) -> Option<f64> {
    let measure = *row.measures.first()?;
    let floor = rows.iter().find(|other| is_ring_floor(other) && other.x == row.x)?;
    Some(row.spread(measure)?.median / floor.spread(measure)?.median)
}

/// A floor that cost more than a plain loop of system calls would be none.
fn floor_itself(rows: &[&Finding]) -> String {
    let cpu = |mode| {
        let row = rows.iter().find(|row| row.target == Target::Floor(mode))?;
        Some(row.spread(*row.measures.first()?)?.median)
    };
    let ratio = cpu(Mode::UringBroadcast).zip(cpu(Mode::BlockingSend));
    ratio.map_or_else(String::new, |(ring, plain)| {
        let ratio = ring / plain;
        format!(
            "\nThe ring floor takes {ratio:.2} times the plain loop's CPU (at most 1.10 wanted).\n"
        )
    })
}

fn is_ring_floor(finding: &Finding) -> bool {
    matches!(finding.target, Target::Floor(Mode::UringBroadcast | Mode::UringPairs))
}

fn cell(spread: Spread) -> String {
    let Spread { median, min, max } = spread;
    let digits = if median.abs() >= 100.0 { 0 } else { 2 };
    format!("{median:.digits$} ({min:.digits$}–{max:.digits$})")
}

fn troubles(rows: &[&Finding]) -> String {
    let mut text = String::new();
    for row in rows {
        let Some(trouble) = &row.trouble else { continue };
        let line = trouble.lines().next().unwrap_or_default();
        let _ = write!(text, "\n{} was left out: {line}\n", row.target.label());
    }
    text
}

/// Writes RESULTS.md and the plots beside it.
pub(super) fn write(folder: &Path, findings: &[Finding]) -> Result<()> {
    let plots = plots::write(&folder.join("plots"), findings)?;
    let mut text = String::from(HEAD);
    let _ = write!(text, "\n## Machine and versions\n\n{}", machine());
    let _ = write!(text, "\n## Plots\n\n");
    for (title, file) in plots {
        let _ = writeln!(text, "![{title}](plots/{file})\n");
    }
    let _ = write!(text, "## Tables\n\n{}", tables(findings));
    let _ = write!(text, "## Configurations\n\n{}", configurations());
    let path = folder.join("RESULTS.md");
    std::fs::write(&path, text).with_context(|| format!("{} can't be written", path.display()))
}

const HEAD: &str = "# What was measured\n
Written by `cargo xtask bench --full`; run it again rather than trusting it. Each cell is the \
median of the runs (lowest–highest), servers taking turns within one experiment. CPU is user \
and kernel time of the server's threads from schedstat; on loopback it holds the receivers' \
part of the network too, so ratios within one table say more than figures. The ring floor \
passes frames on with `io_uring`, one send for each receiver, and does nothing else: see \
`src/floor`. No server used TLS unless its row says so. Latencies count from when a message \
was due. What is acknowledged differs: Linnet acknowledges after fdatasync; a peer's row says \
when it does not wait for the disk. In `pairs` Linnet makes every message durable, \
acknowledges it, and sends the author a copy as well; peers and floors pass it to the other \
half only. XMPP servers send no presence of members to one another here, which they do by \
default and which makes joining quadratic.\n";

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let mut text = format!("- {count} processors, {model}\n");
    let _ = writeln!(text, "- Linux {}", read("/proc/sys/kernel/osrelease").trim());
    let load = read("/proc/loadavg");
    let _ = writeln!(text, "- load average at the end: {}", load.trim());
    let mut git = Command::new("git");
    if let Ok(commit) = git.args(["rev-parse", "--short=12", "HEAD"]).output() {
        let _ = writeln!(text, "- Linnet: {}", String::from_utf8_lossy(&commit.stdout).trim());
    }
    for peer in [Peer::Mosquitto, Peer::Nats, Peer::Bun, Peer::Ejabberd, Peer::Prosody] {
        let version = peer.version().unwrap_or_else(|| "not installed".to_owned());
        let _ = writeln!(text, "- {}: {version}", peer.label());
    }
    text
}

fn configurations() -> String {
    let mut shown: Vec<&str> = Vec::new();
    let mut text = String::new();
    for peer in Peer::ALL {
        let (name, configuration) = peer.configuration();
        if !shown.contains(&name) {
            shown.push(name);
            let _ = write!(text, "### {name}\n\n```\n{}\n```\n\n", configuration.trim_end());
        }
    }
    text
}

/// The value of a measure at every point of a table, for each server.
pub(super) fn series<'a>(
    findings: &'a [Finding],
    name: &'a str,
    measure: Measure,
) -> Vec<(String, Vec<(f64, f64)>)> {
    let mut all: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for finding in findings.iter().filter(|finding| finding.name == name) {
        let point = finding.x.map(|(_, x)| f64::from(x)).zip(finding.spread(measure));
        let Some((x, spread)) = point else { continue };
        let label = finding.target.label();
        match all.iter_mut().find(|(name, _)| *name == label) {
            Some((_, points)) => points.push((x, spread.median)),
            None => all.push((label, vec![(x, spread.median)])),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(target: Target, trouble: Option<&str>) -> Finding {
        Finding {
            name: "fanout",
            x: Some(("members", 7)),
            target,
            measures: &[Measure::CpuPerDelivery],
            reports: Vec::new(),
            trouble: trouble.map(str::to_owned),
            took: std::time::Duration::ZERO,
        }
    }

    #[test]
    fn a_table_names_what_was_left_out() {
        let floor = finding(Target::Floor(Mode::UringBroadcast), None);
        let peer = finding(Target::Peer(Peer::Nats), Some("is not installed"));
        let text = tables(&[floor, peer]);
        assert!(
            text.contains("| server | members | CPU µs per delivery | CPU to ring floor | runs |")
        );
        assert!(text.contains("| ring floor | 7 | – | – | 0 |"), "{text}");
        assert!(text.contains("NATS was left out: is not installed"), "{text}");
    }

    #[test]
    fn small_figures_have_digits_and_large_ones_none() {
        assert_eq!(cell(Spread { median: 1.234, min: 1.0, max: 2.0 }), "1.23 (1.00–2.00)");
        assert_eq!(cell(Spread { median: 60_123.4, min: 1.0, max: 7e4 }), "60123 (1–70000)");
    }
}
