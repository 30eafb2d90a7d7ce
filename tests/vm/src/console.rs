//! The serial console as lines with the time they came, read on a thread of its own. Every wait in
//! the harness is a wait for one of these lines or for the end of the machine.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A guest that prints without line feeds must not fill the host's memory.
const LINE_BYTES_MAX: u64 = 16 << 10;

/// One line of the console, without its line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    pub at: Instant,
}

/// What a wait ended with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waited {
    Line(Line),
    /// The console closed: the machine is gone.
    Closed,
    TimedOut,
}

#[derive(Debug)]
pub struct Console {
    lines: Receiver<Line>,
    _reader: JoinHandle<()>,
}

impl Console {
    /// Reads `stream` to its end in the background.
    pub fn read(stream: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        let reader = std::thread::spawn(move || forward(stream, &sender));
        Self { lines, _reader: reader }
    }

    /// The next line, waiting at most until `deadline`.
    pub fn next(&self, deadline: Instant) -> Waited {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left.max(Duration::from_millis(1))) {
            Ok(line) => Waited::Line(line),
            Err(RecvTimeoutError::Timeout) => Waited::TimedOut,
            Err(RecvTimeoutError::Disconnected) => Waited::Closed,
        }
    }
}

fn forward(stream: impl Read, lines: &Sender<Line>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut bytes = Vec::new();
        match reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(bytes.trim_ascii_end()).into_owned();
        if lines.send(Line { text, at: Instant::now() }).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn lines_come_without_their_ends_and_then_the_console_closes() {
        let console = Console::read(Cursor::new(b"one\r\ntwo".to_vec()));
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut texts = Vec::new();
        while let Waited::Line(line) = console.next(deadline) {
            texts.push(line.text);
        }
        assert_eq!(texts, ["one", "two"]);
        assert_eq!(console.next(deadline), Waited::Closed);
    }

    #[test]
    fn a_line_without_end_comes_in_bounded_pieces() {
        let console = Console::read(Cursor::new(vec![b'x'; 40 << 10]));
        let Waited::Line(line) = console.next(Instant::now() + Duration::from_secs(5)) else {
            panic!("no line");
        };
        assert_eq!(line.text.len() as u64, LINE_BYTES_MAX);
    }
}
