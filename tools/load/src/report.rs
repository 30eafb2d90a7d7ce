//! What a run found: one structure, printed as a table or as JSON. The keys are documented in
//! README.md beside this crate and stay.

use std::fmt::Write as _;

use serde::Serialize;

use crate::gate::Samples;
use crate::latency::Figures;
use crate::scenario::Drive;
use crate::server::ServerUse;
use crate::tally::Tally;

/// The report of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Which scenario.
    pub scenario: &'static str,
    /// Protocol and transport.
    pub protocol: String,
    /// Generator processes.
    pub processes: u32,
    /// Sessions that were ready.
    pub sessions: u64,
    /// Bytes of a message.
    pub payload_bytes: usize,
    /// Messages posted.
    pub messages: u64,
    /// Copies that reached a session.
    pub deliveries: u64,
    /// Messages that the server acknowledged.
    pub acks: u64,
    /// Deliveries, acks and pongs that never came.
    pub lost: u64,
    /// Copies that reached a session twice.
    pub duplicates: u64,
    /// Connections that ended unasked.
    pub broken: u64,
    /// Why the first of them did.
    pub reasons: Vec<String>,
    /// The time limit ended the run.
    pub timed_out: bool,
    /// Seconds of the measured phase.
    pub seconds: f64,
    /// Messages a second.
    pub messages_per_s: f64,
    /// Deliveries a second.
    pub deliveries_per_s: f64,
    /// Acknowledgements a second.
    pub acks_per_s: f64,
    /// From due to delivered, in microseconds.
    pub delivery_us: Option<Figures>,
    /// From due to acknowledged, in microseconds.
    pub ack_us: Option<Figures>,
    /// From connect to ready, in microseconds.
    pub ready_us: Option<Figures>,
    /// From due to delivered in the phase that `delivery_us` is compared with.
    pub baseline_us: Option<Figures>,
    /// Highest mean delivery latency of any ten seconds, in microseconds.
    pub worst_10s_mean_us: Option<f64>,
    /// Times a session connected again.
    pub reconnects: u64,
    /// Bytes received from the server in the measured phase.
    pub bytes_received: u64,
    /// The generator's own processor time in the measured phase, in microseconds.
    pub load_cpu_us: u64,
    /// What the server used; none without `--server-pid`.
    pub server: Option<ServerUse>,
    /// The server's use for each message, delivery and session.
    pub per: Option<Per>,
}

/// The server's use, divided.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Per {
    /// Processor microseconds for each message posted.
    pub cpu_us_per_message: Option<f64>,
    /// Processor microseconds for each delivery.
    pub cpu_us_per_delivery: Option<f64>,
    /// The busiest thread's microseconds for each delivery.
    pub busiest_thread_us_per_delivery: Option<f64>,
    /// Processor microseconds for each session.
    pub cpu_us_per_session: Option<f64>,
    /// Processors kept busy, 1 being one of them.
    pub cpu_share: Option<f64>,
    /// Bytes written by the process for each message.
    pub write_bytes_per_message: Option<f64>,
    /// Bytes written to the device for each message.
    pub device_bytes_per_message: Option<f64>,
    /// Growth of the proportional set size for each session, in bytes.
    pub pss_bytes_per_session: Option<f64>,
    /// Growth of the kernel's slab at the server's end for each session, in bytes: half of all but
    /// the `io_uring` requests, which are the server's alone.
    pub kernel_bytes_per_session: Option<f64>,
    /// Both together.
    pub bytes_per_session: Option<f64>,
}

#[allow(clippy::cast_precision_loss, reason = "counts and bytes of a run are below 2^53")]
const fn real(value: u64) -> f64 {
    value as f64
}

#[allow(clippy::cast_precision_loss, reason = "bytes of memory are below 2^53")]
const fn real_signed(value: i64) -> f64 {
    value as f64
}

fn divide(value: f64, by: f64) -> Option<f64> {
    (by > 0.0).then(|| value / by)
}

impl Report {
    pub(crate) fn new(
        drive: &dyn Drive,
        protocol: String,
        processes: u32,
        payload_bytes: usize,
        tally: Tally,
        samples: &Samples,
    ) -> Self {
        let (from, to) = drive.measured();
        let seconds = samples.seconds(from, to).unwrap_or(0.0);
        let server = samples.at(to).zip(samples.at(from)).map(|(to, from)| to.since(from));
        let per = server.as_ref().map(|server| Per::new(server, &tally, drive.per_session()));
        let rate = |count: u64| divide(real(count), seconds).unwrap_or(0.0);
        Self {
            scenario: drive.name(),
            protocol,
            processes,
            sessions: tally.sessions,
            payload_bytes,
            messages: tally.messages,
            deliveries: tally.deliveries,
            acks: tally.acks,
            lost: tally.lost,
            duplicates: tally.duplicates,
            broken: tally.broken,
            timed_out: tally.timed_out,
            seconds,
            messages_per_s: rate(tally.messages),
            deliveries_per_s: rate(tally.deliveries),
            acks_per_s: rate(tally.acks),
            delivery_us: tally.delivery.figures(),
            ack_us: tally.ack.figures(),
            ready_us: tally.ready.figures(),
            baseline_us: tally.baseline.figures(),
            worst_10s_mean_us: tally.worst_window_mean_us(),
            reconnects: tally.reconnects,
            bytes_received: tally.bytes_received,
            load_cpu_us: tally.load_cpu_us,
            reasons: tally.reasons,
            server,
            per,
        }
    }

    /// Whether nothing was lost, doubled or broken, in time.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.lost == 0 && self.duplicates == 0 && self.broken == 0 && !self.timed_out
    }

    /// The report for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!(
            "{} over {}: {} sessions, {} messages of {} bytes, {} deliveries, {} acks\n",
            self.scenario,
            self.protocol,
            self.sessions,
            self.messages,
            self.payload_bytes,
            self.deliveries,
            self.acks
        );
        let rates = [self.seconds, self.messages_per_s, self.deliveries_per_s, self.acks_per_s];
        let [seconds, messages, deliveries, acks] = rates;
        let _ = writeln!(
            text,
            "{seconds:.3} s: {messages:.0} messages/s, {deliveries:.0} deliveries/s, \
             {acks:.0} acks/s"
        );
        self.write_latencies(&mut text);
        self.write_server(&mut text);
        self.write_faults(&mut text);
        text
    }

    fn write_latencies(&self, text: &mut String) {
        let rows = [
            ("due to delivered", self.delivery_us),
            ("the same, baseline", self.baseline_us),
            ("due to acked", self.ack_us),
            ("connect to ready", self.ready_us),
        ];
        let heads = ["mean", "p50", "p90", "p99", "p99.9", "max"];
        let _ = write!(text, "{:<20}", "microseconds");
        heads.iter().for_each(|head| {
            let _ = write!(text, "{head:>12}");
        });
        text.push('\n');
        for (name, figures) in rows {
            let Some(it) = figures else { continue };
            let _ = write!(text, "{name:<20}");
            for value in [it.mean, it.p50, it.p90, it.p99, it.p999, it.max] {
                let _ = write!(text, "{value:>12.1}");
            }
            text.push('\n');
        }
        if let Some(worst) = self.worst_10s_mean_us {
            let _ = writeln!(text, "worst ten seconds' mean: {worst:.1} us");
        }
    }

    fn write_server(&self, text: &mut String) {
        let (Some(server), Some(per)) = (&self.server, &self.per) else { return };
        let _ = writeln!(text, "server, {:.0} us of processor time:", server.cpu_us);
        for thread in server.threads.iter().filter(|thread| thread.cpu_us > 0.0) {
            let _ = writeln!(text, "  {:<18}{:>12.0} us", thread.name, thread.cpu_us);
        }
        let rows = [
            ("us per message", per.cpu_us_per_message),
            ("us per delivery", per.cpu_us_per_delivery),
            ("us per delivery, busiest thread", per.busiest_thread_us_per_delivery),
            ("us per session", per.cpu_us_per_session),
            ("processors busy", per.cpu_share),
            ("bytes written per message", per.write_bytes_per_message),
            ("device bytes per message", per.device_bytes_per_message),
            ("PSS bytes per session", per.pss_bytes_per_session),
            ("kernel bytes per session", per.kernel_bytes_per_session),
            ("bytes per session", per.bytes_per_session),
        ];
        for (name, value) in rows {
            if let Some(value) = value {
                let _ = writeln!(text, "  {name:<34}{value:>12.3}");
            }
        }
        if self.reconnects > 0 {
            let _ = writeln!(text, "  {:<34}{:>12}", "connections made again", self.reconnects);
        }
        let load = self.load_cpu_us;
        let _ = writeln!(text, "PSS {} bytes; the generator used {load} us", server.pss_bytes);
    }

    fn write_faults(&self, text: &mut String) {
        if self.is_sound() {
            let _ = writeln!(text, "nothing lost, nothing twice");
            return;
        }
        let _ = writeln!(
            text,
            "LOST {}, TWICE {}, BROKEN {}{}",
            self.lost,
            self.duplicates,
            self.broken,
            if self.timed_out { ", OUT OF TIME" } else { "" }
        );
        self.reasons.iter().for_each(|reason| {
            let _ = writeln!(text, "  {reason}");
        });
    }
}

impl Per {
    fn new(server: &ServerUse, tally: &Tally, per_session: bool) -> Self {
        let each = |value: f64, count: u64| divide(value, real(count));
        let busiest = server.threads.first().map_or(0.0, |thread| thread.cpu_us);
        let sessions = if per_session { tally.sessions } else { 0 };
        let messages = if per_session { 0 } else { tally.messages };
        let deliveries = if per_session { 0 } else { tally.deliveries };
        let (pss, kernel) = (real_signed(server.pss_growth_bytes), server.kernel_bytes());
        Self {
            cpu_us_per_message: each(server.cpu_us, messages),
            cpu_us_per_delivery: each(server.cpu_us, deliveries),
            busiest_thread_us_per_delivery: each(busiest, deliveries),
            cpu_us_per_session: each(server.cpu_us, sessions),
            cpu_share: divide(server.cpu_us / 1e6, server.seconds),
            write_bytes_per_message: each(real(server.write_bytes), messages),
            device_bytes_per_message: server
                .device_write_bytes
                .and_then(|bytes| each(real(bytes), messages)),
            pss_bytes_per_session: each(pss, sessions),
            kernel_bytes_per_session: each(kernel, sessions),
            bytes_per_session: each(pss + kernel, sessions),
        }
    }
}

impl ServerUse {
    /// The server's part of the slab's growth.
    fn kernel_bytes(&self) -> f64 {
        let own = real_signed(self.io_kiocb_growth_bytes);
        (real_signed(self.slab_growth_bytes) - own) / 2.0 + own
    }
}
