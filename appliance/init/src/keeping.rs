//! What the main loop writes to DATA about itself, and when: seldom, because every write wears the
//! card, and on a thread, because a card that stalls must not stall pid 1. The log's tail goes
//! there with the clock's floor, after the first crash of `linnetd` in a quarter of an hour, and at
//! the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock;
use crate::evidence::Diary;
use crate::limits::TAIL_KEEP_MS;
use crate::logs::Logs;
use crate::run::Running;

/// One write at a time; what comes while the card is busy is left out, as a later one says more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keeper {
    busy: Arc<AtomicBool>,
}

impl Keeper {
    fn start(&self, work: impl FnOnce() + Send + 'static) {
        if self.busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let busy = Arc::clone(&self.busy);
        std::thread::spawn(move || {
            work();
            busy.store(false, Ordering::Release);
        });
    }
}

/// What is written, and where; nothing in rescue, where DATA stands in memory.
#[derive(Clone)]
pub(crate) struct Writes {
    diary: Option<Diary>,
    logs: Logs,
    rescue: bool,
}

impl Writes {
    fn clock(&self) {
        if self.rescue {
            return;
        }
        if let Err(error) = clock::persist() {
            self.logs.say(&format!("The time could not be stored: {error}."));
        }
    }

    /// Stores the log's tail; a card that is full or broken is known by then.
    fn tail(&self) {
        if let Some(diary) = &self.diary {
            let _ = diary.keep_tail(&self.logs);
        }
    }

    /// The last writes of an orderly end.
    pub(crate) fn end(&self) {
        self.clock();
        self.tail();
        if let Some(diary) = &self.diary
            && let Err(error) = diary.ended()
        {
            self.logs.say(&format!("The orderly end could not be noted: {error}."));
        }
    }

    /// Without the card there is nobody to tell; pstore has the line, too.
    fn stuck(&self, complaint: Option<&str>) {
        let Some(diary) = &self.diary else { return };
        let _ = match complaint {
            Some(why) => diary.stuck(why).and_then(|()| diary.keep_tail(&self.logs)),
            None => diary.unstuck(),
        };
    }
}

impl Running {
    /// What is to be written, for a thread.
    pub(crate) fn writes(&self) -> Writes {
        Writes {
            diary: self.booted.diary.clone(),
            logs: self.logs.clone(),
            rescue: self.booted.welcome.rescue.is_some(),
        }
    }

    /// The clock's floor, soon.
    pub(crate) fn persist_clock(&self) {
        let writes = self.writes();
        self.keeper.start(move || writes.clock());
    }

    /// The clock's floor and the log's tail, soon.
    pub(crate) fn keep(&self) {
        let writes = self.writes();
        self.keeper.start(move || {
            writes.clock();
            writes.tail();
        });
    }

    /// `linnetd` ended by itself: its last words may be needed, but a crash loop must not wear the
    /// card.
    pub(crate) fn keep_crash(&mut self, now_ms: u64) {
        let due = self.crash_kept_at_ms.is_none_or(|at| now_ms >= at + TAIL_KEEP_MS);
        if due {
            self.crash_kept_at_ms = Some(now_ms);
            let writes = self.writes();
            self.keeper.start(move || writes.tail());
        }
    }

    /// The watchdog is about to reset the box, or not any more. Not through the keeper: it may be
    /// what waits for the card.
    pub(crate) fn note_stuck(&self, complaint: Option<&'static str>) {
        let writes = self.writes();
        std::thread::spawn(move || writes.stuck(complaint));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_card_that_stalls_holds_up_one_thread_and_nobody_else() {
        let keeper = Keeper::default();
        let (go, wait) = channel::<()>();
        let (sender, done) = channel();
        let first = sender.clone();
        keeper.start(move || {
            let _ = wait.recv();
            first.send("first").unwrap();
        });
        keeper.start(move || sender.send("left out").unwrap());
        go.send(()).unwrap();
        assert_eq!(done.recv_timeout(Duration::from_secs(10)), Ok("first"));
        assert!(done.recv_timeout(Duration::from_secs(10)).is_err(), "both senders are gone");
        let deadline = Instant::now() + Duration::from_secs(10);
        while keeper.busy.load(Ordering::Acquire) {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    }
}
