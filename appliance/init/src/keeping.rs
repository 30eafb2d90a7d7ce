//! What the main loop writes to DATA about itself, and when: seldom, because every write wears the
//! card. The log's tail goes there with the clock's floor, after the first crash of `linnetd` in a
//! quarter of an hour, and at the end.

use crate::clock::{self};
use crate::evidence::Diary;
use crate::limits::TAIL_KEEP_MS;
use crate::run::Running;

impl Running {
    pub(crate) fn persist_clock(&self) {
        if self.booted.welcome.rescue.is_some() {
            return;
        }
        if let Err(error) = clock::persist() {
            self.logs.say(&format!("The time could not be stored: {error}."));
        }
    }

    /// Stores the log's tail; a card that is full or broken is known by then.
    pub(crate) fn keep_tail(&self) {
        if let Some(diary) = &self.booted.diary {
            let _ = diary.keep_tail(&self.logs);
        }
    }

    /// `linnetd` ended by itself: its last words may be needed, but a loop must not wear the card.
    pub(crate) fn keep_crash(&mut self, now_ms: u64) {
        let due = self.crash_kept_at_ms.is_none_or(|at| now_ms >= at + TAIL_KEEP_MS);
        if due {
            self.crash_kept_at_ms = Some(now_ms);
            self.keep_tail();
        }
    }

    /// The watchdog is about to reset the box, or not any more. On a thread: the card may be what
    /// hangs, and pid 1 must not hang with it.
    pub(crate) fn note_stuck(&self, complaint: Option<&'static str>) {
        let Some(diary) = self.booted.diary.clone() else { return };
        let logs = self.logs.clone();
        std::thread::spawn(move || write_stuck(&diary, complaint, &logs));
    }

    /// The last writes of an orderly end.
    pub(crate) fn end_diary(&self) {
        self.persist_clock();
        self.keep_tail();
        if let Some(diary) = &self.booted.diary
            && let Err(error) = diary.ended()
        {
            self.logs.say(&format!("The orderly end could not be noted: {error}."));
        }
    }
}

fn write_stuck(diary: &Diary, complaint: Option<&str>, logs: &crate::logs::Logs) {
    // Without the card there is nobody to tell; pstore has the line, too.
    let _ = match complaint {
        Some(why) => diary.stuck(why).and_then(|()| diary.keep_tail(logs)),
        None => diary.unstuck(),
    };
}
