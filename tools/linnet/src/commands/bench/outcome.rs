//! What a run found, for programs and as text to share: no names and no addresses of anybody. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use super::figures::{Board, Figures};
use super::plan::{DEVICES, PAYLOAD_BYTES, SESSION_PACE};
use super::stage::Stage;
use crate::commands::print::plain;

/// The whole result. Times are in microseconds, sizes in bytes.
#[derive(Serialize)]
pub(super) struct Outcome {
    /// Of the box.
    version: String,
    board: Board,
    /// Sessions held at once; as many as the devices allow, which is not the box's limit.
    sessions: u64,
    durable: Messages,
    lone: Messages,
    memory: Memory,
    temperature_millidegrees: Range<i64>,
    /// To the card, in the whole run.
    written: Written,
}

/// Messages of one kind.
#[derive(Serialize)]
struct Messages {
    devices: u32,
    payload_bytes: usize,
    messages: u64,
    seconds: f64,
    per_second: f64,
    /// From when a message was sent until it was known to be on the card.
    ack_us: Option<Ack>,
    write_bytes_per_message: Option<f64>,
    device_bytes_per_message: Option<f64>,
}

#[derive(Serialize)]
struct Ack {
    p50: f64,
    p99: f64,
    max: f64,
}

/// Of the server.
#[derive(Serialize)]
struct Memory {
    before_bytes: Option<u64>,
    sessions_bytes: Option<u64>,
    most_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Range<T> {
    before: Option<T>,
    most: Option<T>,
}

/// By the server, and by anybody to the device under the data.
#[derive(Serialize)]
struct Written {
    server_bytes: Option<u64>,
    device_bytes: Option<u64>,
}

impl Outcome {
    pub(super) fn new(
        version: String,
        start: &Figures,
        idle: &Stage,
        lone: &Stage,
        durable: &Stage,
    ) -> Self {
        let mut peak = start.clone();
        [idle, lone, durable].iter().for_each(|stage| peak.take_peak(&stage.peak));
        Self {
            version,
            board: start.board.clone(),
            sessions: idle.report.sessions,
            durable: Messages::of(durable, DEVICES),
            lone: Messages::of(lone, 1),
            memory: Memory {
                before_bytes: start.pss_bytes,
                sessions_bytes: idle.peak.pss_bytes,
                most_bytes: peak.pss_bytes,
            },
            temperature_millidegrees: Range {
                before: start.temperature_millidegrees,
                most: peak.temperature_millidegrees,
            },
            written: Written::between(start, &durable.after),
        }
    }

    /// For people, to share.
    pub(super) fn text(&self) -> String {
        let mut text = format!("Linnet {} on {}\n", self.version, self.board.text());
        let rows = [
            ("durable messages", self.durable.rate()),
            ("  until on the card", self.durable.ack()),
            ("  written for each", self.durable.written()),
            ("one at a time", self.lone.rate()),
            ("  until on the card", self.lone.ack()),
            ("  written for each", self.lone.written()),
            ("sessions held", self.sessions_text()),
            ("server's memory", self.memory_text()),
            ("temperature", self.temperature_text()),
            ("written to the card", self.written.text()),
        ];
        for (name, value) in rows {
            let _ = writeln!(text, "  {name:<21} {value}");
        }
        let pace = DEVICES * SESSION_PACE;
        let _ = write!(
            text,
            "From one computer over TLS: {DEVICES} devices of one account, which the box paces at \
             {pace} messages/s together; each message reaches all of them."
        );
        text
    }

    fn sessions_text(&self) -> String {
        format!("{} (all that {DEVICES} devices may have, not the box's limit)", self.sessions)
    }

    fn memory_text(&self) -> String {
        let Memory { before_bytes, sessions_bytes, most_bytes } = self.memory;
        let [before, held, most] = [before_bytes, sessions_bytes, most_bytes].map(megabytes);
        format!("{before} before, {held} with the sessions, {most} at most")
    }

    fn temperature_text(&self) -> String {
        let Range { before, most } = self.temperature_millidegrees;
        format!("{} before, {} at most", celsius(before), celsius(most))
    }
}

impl Messages {
    fn of(stage: &Stage, devices: u32) -> Self {
        let report = &stage.report;
        let written = Written::between(&stage.before, &stage.after);
        let each = |bytes: Option<u64>| {
            bytes.filter(|_| report.messages > 0).map(|bytes| real(bytes) / real(report.messages))
        };
        Self {
            devices,
            payload_bytes: PAYLOAD_BYTES,
            messages: report.messages,
            seconds: report.seconds,
            per_second: report.acks_per_s,
            ack_us: report.ack_us.map(|it| Ack { p50: it.p50, p99: it.p99, max: it.max }),
            write_bytes_per_message: each(written.server_bytes),
            device_bytes_per_message: each(written.device_bytes),
        }
    }

    fn rate(&self) -> String {
        let Self { per_second, messages, payload_bytes, .. } = self;
        format!("{per_second:.0}/s ({messages} messages of {payload_bytes} bytes)")
    }

    fn ack(&self) -> String {
        let Some(Ack { p50, p99, max }) = self.ack_us else { return UNKNOWN.to_owned() };
        let [p50, p99, max] = [p50, p99, max].map(|us| us / 1_000.0);
        format!("p50 {p50:.1} ms, p99 {p99:.1} ms, slowest {max:.1} ms")
    }

    fn written(&self) -> String {
        match (self.device_bytes_per_message, self.write_bytes_per_message) {
            (Some(bytes), _) => format!("{bytes:.0} bytes"),
            (None, Some(bytes)) => format!("{bytes:.0} bytes{ROUNDED_UP}"),
            (None, None) => UNKNOWN.to_owned(),
        }
    }
}

impl Written {
    fn between(before: &Figures, after: &Figures) -> Self {
        // A counter that went back began anew: the box restarted, and nobody knows the difference.
        let grown = |from: Option<u64>, to: Option<u64>| to?.checked_sub(from?);
        Self {
            server_bytes: grown(before.write_bytes, after.write_bytes),
            device_bytes: grown(before.device_write_bytes, after.device_write_bytes),
        }
    }

    fn text(&self) -> String {
        match self.device_bytes {
            Some(_) => format!("{} by everything on the box", megabytes(self.device_bytes)),
            None if self.server_bytes.is_none() => UNKNOWN.to_owned(),
            None => format!("{}{ROUNDED_UP}", megabytes(self.server_bytes)),
        }
    }
}

impl Board {
    /// `Raspberry Pi 4, 4 cores, 4.0 GB, Linux 6.18; card SC64G SD 03/2024 64.0 GB`.
    fn text(&self) -> String {
        let mut text = self.board.as_deref().map_or("an unnamed board".into(), plain).into_owned();
        if let Some(cores) = self.cores {
            let _ = write!(text, ", {cores} cores");
        }
        if let Some(bytes) = self.memory_bytes {
            let _ = write!(text, ", {}", gigabytes(bytes));
        }
        if let Some(kernel) = &self.kernel {
            let _ = write!(text, ", Linux {}", plain(kernel));
        }
        let Some(card) = &self.card else { return text };
        let facts = [&card.name, &card.kind, &card.date].into_iter().flatten();
        let facts = facts.map(|fact| plain(fact).into_owned()).chain(card.bytes.map(gigabytes));
        let facts: Vec<String> = facts.collect();
        if !facts.is_empty() {
            let _ = write!(text, "; card {}", facts.join(" "));
        }
        text
    }
}

const UNKNOWN: &str = "not told";

/// The count of a process grows by a whole unit of the page cache, up to hundreds of kilobytes, for
/// any part of it that is written.
const ROUNDED_UP: &str = " at most (as the kernel counts for the server: in large units)";

fn megabytes(bytes: Option<u64>) -> String {
    bytes.map_or(UNKNOWN.into(), |bytes| format!("{:.1} MB", real(bytes) / 1e6))
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", real(bytes) / 1e9)
}

fn celsius(thousandths: Option<i64>) -> String {
    // Tenths: sensors know no more.
    thousandths.map_or(UNKNOWN.into(), |it| {
        let (sign, tenths) = (if it < 0 { "-" } else { "" }, it.unsigned_abs() / 100);
        format!("{sign}{}.{} °C", tenths / 10, tenths % 10)
    })
}

#[allow(clippy::cast_precision_loss, reason = "bytes and counts of a run are below 2^53")]
const fn real(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
#[path = "outcome_tests.rs"]
mod tests;
