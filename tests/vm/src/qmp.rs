//! QEMU's monitor (QMP): JSON lines on a unix socket. A reader thread takes answers and events
//! apart, so that the reason of a machine's end is known even when it ends by itself.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::machine::{BRAKE, CABLE};

/// The monitor answers at once; a busy host may delay it.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// QEMU makes its socket within this time or not at all.
const SOCKET_MAX: Duration = Duration::from_secs(30);

/// Why the machine ended, in QEMU's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The guest asked for a reset, or its watchdog did.
    Reset,
    /// The guest switched itself off.
    Off,
    /// The host ended it.
    Host,
}

#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    answers: Receiver<Value>,
    ends: Receiver<End>,
}

impl Qmp {
    /// Connects as soon as QEMU has made the socket. `alive` says whether QEMU still runs.
    pub fn connect(socket: &Path, mut alive: impl FnMut() -> bool) -> Result<Self> {
        let deadline = Instant::now() + SOCKET_MAX;
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(_) if alive() && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return Err(error).context("connecting to QEMU's monitor"),
            }
        };
        Self::over(stream)
    }

    fn over(stream: UnixStream) -> Result<Self> {
        let (answer_sender, answers) = channel();
        let (end_sender, ends) = channel();
        let reader = BufReader::new(stream.try_clone()?);
        std::thread::spawn(move || sort(reader, &answer_sender, &end_sender));
        let mut monitor = Self { stream, answers, ends };
        monitor.execute("qmp_capabilities", json!({}))?;
        Ok(monitor)
    }

    /// Runs one command and returns what it returned.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.stream, "{request}").with_context(|| format!("sending {command}"))?;
        let mut answer = self
            .answers
            .recv_timeout(ANSWER_MAX)
            .with_context(|| format!("no answer to {command}"))?;
        if let Some(error) = answer.get("error") {
            bail!("QEMU refused {command}: {error}");
        }
        Ok(answer["return"].take())
    }

    /// Runs a command of the human monitor, for what QMP lacks.
    pub fn human(&mut self, line: &str) -> Result<String> {
        let answer = self.execute("human-monitor-command", json!({ "command-line": line }))?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }

    /// One 32-bit word of the guest's physical memory, as devices see it.
    pub fn read_word(&mut self, address: u64) -> Result<u32> {
        let text = self.human(&format!("xp /1xw {address:#x}"))?;
        parse_word(&text).with_context(|| format!("QEMU's answer to xp: {text}"))
    }

    /// Pulls the cable out of the box, or puts it back.
    pub fn set_link(&mut self, up: bool) -> Result<()> {
        self.execute("set_link", json!({ "name": CABLE, "up": up })).map(drop)
    }

    /// Lets the card read no more than this in a second; 0 lets it go. Only with a brake.
    pub fn throttle(&mut self, read_bytes_per_second: u64) -> Result<()> {
        let limits = json!({ "bps-read": read_bytes_per_second });
        let path = format!("/objects/{BRAKE}");
        let arguments = json!({ "path": path, "property": "limits", "value": limits });
        self.execute("qom-set", arguments).map(drop)
    }

    /// Presses the power key.
    pub fn power_key(&mut self) -> Result<()> {
        self.execute("system_powerdown", json!({})).map(drop)
    }

    /// Ends QEMU after it wrote back what it holds.
    pub fn quit(&mut self) -> Result<()> {
        self.execute("quit", json!({})).map(drop)
    }

    /// Why the machine ended; to be asked after its console closed.
    pub fn end(&self) -> Option<End> {
        self.ends.recv_timeout(ANSWER_MAX).ok()
    }
}

fn sort(reader: impl BufRead, answers: &Sender<Value>, ends: &Sender<End>) {
    for line in reader.lines() {
        let Ok(message) =
            line.map_err(drop).and_then(|line| serde_json::from_str(&line).map_err(drop))
        else {
            return;
        };
        if let Some(end) = shutdown(&message) {
            ends.send(end).ok();
        } else if is_answer(&message) && answers.send(message).is_err() {
            return;
        }
    }
}

fn is_answer(message: &Value) -> bool {
    message.get("return").is_some() || message.get("error").is_some()
}

fn shutdown(message: &Value) -> Option<End> {
    if message.get("event")? != "SHUTDOWN" {
        return None;
    }
    Some(match message["data"]["reason"].as_str()? {
        "guest-reset" => End::Reset,
        "guest-shutdown" | "guest-panic" => End::Off,
        _ => End::Host,
    })
}

/// `00000000fe200034: 0x00000400`
fn parse_word(text: &str) -> Option<u32> {
    let word = text.trim().rsplit_once(": 0x")?.1;
    u32::from_str_radix(word, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_words_are_read_from_the_human_monitors_answer() {
        assert_eq!(parse_word("00000000fe200034: 0x00000400\r\n"), Some(0x400));
        assert_eq!(parse_word("Cannot access memory\r\n"), None);
    }

    #[test]
    fn the_reason_of_an_end_is_taken_from_the_event() {
        let event =
            |reason: &str| json!({"event": "SHUTDOWN", "data": {"guest": true, "reason": reason}});
        assert_eq!(shutdown(&event("guest-reset")), Some(End::Reset));
        assert_eq!(shutdown(&event("guest-shutdown")), Some(End::Off));
        assert_eq!(shutdown(&event("host-qmp-quit")), Some(End::Host));
        assert_eq!(shutdown(&json!({"return": {}})), None);
    }

    #[test]
    fn answers_and_events_are_told_apart_and_refusals_are_errors() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = std::thread::spawn(move || {
            let mut writer = theirs.try_clone().unwrap();
            let mut lines = BufReader::new(theirs).lines();
            writeln!(writer, r#"{{"QMP": {{}}}}"#).unwrap();
            for answer in [
                "{\"return\": {}}",
                "{\"event\": \"RTC_CHANGE\"}\n{\"return\": \"fe200034: 0x00000001\"}",
                "{\"error\": {\"desc\": \"no\"}}",
            ] {
                lines.next().unwrap().unwrap();
                writeln!(writer, "{answer}").unwrap();
            }
        });
        let mut monitor = Qmp::over(ours).unwrap();
        assert_eq!(monitor.read_word(0xfe20_0034).unwrap(), 1);
        assert!(monitor.quit().unwrap_err().to_string().contains("refused quit"));
        server.join().unwrap();
    }
}
