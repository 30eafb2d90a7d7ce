//! Log lines: to the console at once, to pstore where the kernel has it, and into a bounded ring
//! that the control socket and the rescue page read. Lines from services are hostile text: cut and
//! freed of control characters.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use update::limits::{LOG_LINE_BYTES_MAX, LOG_LINES_MAX};

use crate::clock::boot_ms;
use crate::limits::{CONSOLE_LINES_PER_SECOND, LOG_RING_LINES, SYSLOG_QUEUE_LINES};

/// Survives a warm reset where the kernel keeps ramoops.
const PSTORE: &str = "/dev/pmsg0";

/// A handle; clones write into the same ring.
#[derive(Clone, Default)]
pub(crate) struct Logs {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    ring: VecDeque<String>,
    pstore: Option<File>,
    /// To the log server's child; what does not fit is left out.
    forward: Option<SyncSender<String>>,
}

impl Logs {
    /// Opens pstore; to be called once /dev is there.
    pub(crate) fn open_pstore(&self) {
        self.lock().pstore = OpenOptions::new().write(true).open(PSTORE).ok();
    }

    /// A sentence of init's own.
    pub(crate) fn say(&self, sentence: &str) {
        self.line("linnet-init", sentence);
    }

    /// One line of `who`.
    pub(crate) fn line(&self, who: &str, text: &str) {
        let line = format!("{who}: {}", clean(text));
        console(&line);
        self.keep(line);
    }

    /// Into pstore and ring only.
    fn keep(&self, line: String) {
        let mut inner = self.lock();
        if let Some(pstore) = &mut inner.pstore {
            let _ = writeln!(pstore, "{line}");
        }
        if inner.ring.len() >= LOG_RING_LINES {
            inner.ring.pop_front();
        }
        if let Some(forward) = &inner.forward {
            let _ = forward.try_send(line.clone());
        }
        inner.ring.push_back(line);
    }

    /// Every line goes to `child` from now on, those of the start first. Until it ends.
    pub(crate) fn forward_to(&self, mut child: impl Write + Send + 'static) {
        let (sender, lines) = sync_channel::<String>(SYSLOG_QUEUE_LINES);
        let mut inner = self.lock();
        if inner.forward.is_none() {
            for line in inner.ring.iter().rev().take(SYSLOG_QUEUE_LINES).rev() {
                let _ = sender.try_send(line.clone());
            }
        }
        inner.forward = Some(sender);
        std::thread::spawn(move || {
            for line in lines {
                if writeln!(child, "{line}").is_err() {
                    return;
                }
            }
        });
    }

    /// The newest lines, oldest first, as many as fit into a control frame.
    pub(crate) fn tail(&self, lines_max: usize) -> Vec<String> {
        let inner = self.lock();
        let count = lines_max.min(LOG_LINES_MAX).min(inner.ring.len());
        inner.ring.range(inner.ring.len() - count..).cloned().collect()
    }

    /// Copies a service's output line by line until it closes. Runs on its own thread.
    pub(crate) fn copy(&self, who: &str, from: impl Read) {
        self.copy_except(who, from, |_| false);
    }

    /// The same, without the lines that `taken` takes for itself.
    pub(crate) fn copy_except(&self, who: &str, from: impl Read, taken: impl Fn(&str) -> bool) {
        let mut reader = BufReader::new(from);
        let mut bytes = Vec::new();
        let mut allowance = Allowance::default();
        while let Ok(true) = read_line(&mut reader, &mut bytes) {
            let text = String::from_utf8_lossy(&bytes);
            if taken(&text) {
                continue;
            }
            let line = format!("{who}: {}", clean(&text));
            if allowance.takes(boot_ms()) {
                console(&line);
            }
            self.keep(line);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The ring is whole after every statement, so a poisoned lock harms nothing.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a line to the console and nowhere else. One that went away must not stop pid 1.
pub(crate) fn console(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// How many lines of one service may still go to the console in this second. A serial line takes
/// 11 KB/s; a service that says more would wait for it, and everybody who chats with it.
#[derive(Debug, Default)]
struct Allowance {
    second: u64,
    used: u32,
}

impl Allowance {
    fn takes(&mut self, now_ms: u64) -> bool {
        let second = now_ms / 1_000;
        if second != self.second {
            *self = Self { second, used: 0 };
        }
        self.used = self.used.saturating_add(1);
        self.used <= CONSOLE_LINES_PER_SECOND
    }
}

/// Reads one line and keeps at most the limit of it; `false` at the end.
fn read_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let available = from.fill_buf()?;
        if available.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = available.iter().position(|byte| *byte == b'\n');
        let part = &available[..end.unwrap_or(available.len())];
        let room = (LOG_LINE_BYTES_MAX + 1).saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = end.map_or(available.len(), |end| end + 1);
        from.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// Room for the name in front, so that a whole line stays within the limit.
const TEXT_BYTES_MAX: usize = LOG_LINE_BYTES_MAX - 20;

fn clean(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(TEXT_BYTES_MAX));
    for character in text.trim_end().chars() {
        if line.len() + character.len_utf8() > TEXT_BYTES_MAX - 3 {
            line.push('…');
            break;
        }
        line.push(if character.is_control() { ' ' } else { character });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_is_bounded_and_the_tail_is_the_newest() {
        let logs = Logs::default();
        for number in 0..LOG_RING_LINES + 5 {
            logs.line("t", &number.to_string());
        }
        assert_eq!(logs.lock().ring.len(), LOG_RING_LINES);
        let last = LOG_RING_LINES + 4;
        assert_eq!(logs.tail(2), [format!("t: {}", last - 1), format!("t: {last}")]);
        assert_eq!(logs.tail(usize::MAX).len(), LOG_LINES_MAX);
    }

    #[test]
    fn lines_of_the_start_and_all_later_ones_are_forwarded_until_the_child_is_gone() {
        let logs = Logs::default();
        logs.line("t", "early");
        let (mut reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
        logs.forward_to(writer);
        logs.line("t", "late");
        let mut bytes = [0; 17];
        reader.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"t: early\nt: late\n");
        drop(reader);
        (0..2 * SYSLOG_QUEUE_LINES).for_each(|_| logs.line("t", "nobody listens"));
    }

    #[test]
    fn flood_of_a_service_reaches_the_ring_but_not_the_console() {
        let mut allowance = Allowance::default();
        let taken = (0..1_000).filter(|_| allowance.takes(5_000)).count();
        assert_eq!(taken, CONSOLE_LINES_PER_SECOND as usize);
        assert!(allowance.takes(6_000));
        let logs = Logs::default();
        logs.copy("t", "line\n".repeat(200).as_bytes());
        assert_eq!(logs.tail(usize::MAX).len(), 200);
    }

    #[test]
    fn endless_line_is_cut_and_escape_sequences_do_not_reach_the_console() {
        let logs = Logs::default();
        let mut text = "\u{1b}[2Jevil\u{7}".to_owned();
        text.push_str(&"é".repeat(100_000));
        text.push_str("\nnext\nlast without end");
        logs.copy("linnetd", text.as_bytes());
        let lines = logs.tail(10);
        assert_eq!(lines.len(), 3);
        assert!(lines[0].len() <= LOG_LINE_BYTES_MAX && lines[0].ends_with('…'), "{lines:?}");
        assert!(!lines[0].contains(char::is_control));
        assert_eq!(lines[1..], ["linnetd: next", "linnetd: last without end"]);
    }
}
