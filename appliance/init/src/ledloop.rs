//! The thread that plays the pattern of the present status, and nothing else: a blocked main loop
//! must not look like a dead box, and a slow pin must not hold up the main loop.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use led::{EXTERNAL_PIN_DEFAULT, Lamp, Status};

use crate::logs::Logs;

/// Sends the status to the thread; remembers the last one.
#[derive(Debug)]
pub(crate) struct LedLoop {
    sender: Sender<Status>,
    shown: Status,
}

impl LedLoop {
    /// Starts with "booting".
    pub(crate) fn start(external_pin: Option<u8>, logs: &Logs) -> Self {
        let lamp =
            Lamp::open(external_pin.unwrap_or(EXTERNAL_PIN_DEFAULT)).unwrap_or_else(|error| {
                logs.say(&error.to_string());
                Lamp::default()
            });
        let (sender, receiver) = channel();
        let shown = Status::Booting;
        std::thread::spawn(move || play(lamp, &receiver, shown));
        Self { sender, shown }
    }

    /// Shows `status` from its beginning, unless it is shown already.
    pub(crate) fn show(&mut self, status: Status) {
        if status != self.shown {
            self.shown = status;
            // The thread ends only together with the process.
            let _ = self.sender.send(status);
        }
    }
}

fn play(mut lamp: Lamp, statuses: &Receiver<Status>, first: Status) {
    let mut pattern = first.pattern();
    let mut since = Instant::now();
    loop {
        let at = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        lamp.set(pattern.level(at));
        let wait = Duration::from_millis(pattern.next_edge_in_ms(at));
        match statuses.recv_timeout(wait) {
            Ok(status) => {
                pattern = status.pattern();
                since = Instant::now();
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return lamp.set(false),
        }
    }
}
