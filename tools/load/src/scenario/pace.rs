//! When messages are posted: each lane after its last one (closed loop), or at a rate whatever the
//! server does (open loop), where a message counts as late from the time it was due.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::limits::TURN;
use crate::run::{News, Run};

/// What lets a lane post its next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The last one was taken by the server.
    Ack,
    /// The last one reached everybody, and was taken.
    Everybody,
    /// The last one reached the other half of the pair (lanes are even, their partners odd). Acks
    /// and what a server sends back to the author may come later, but must come.
    Partner,
}

impl After {
    /// The lane that may go on.
    const fn lane(self, news: &News) -> Option<usize> {
        match (self, news) {
            (Self::Ack, News::Acked(lane)) | (Self::Everybody, News::Done(lane)) => Some(*lane),
            (Self::Partner, News::Delivered { slot, .. }) if *slot % 2 == 1 => Some(*slot - 1),
            _ => None,
        }
    }
}

/// How much a closed loop posts: no more messages, and none after this long.
pub(super) struct Quota {
    pub(super) messages: u64,
    pub(super) time: Option<Duration>,
}

impl From<u64> for Quota {
    fn from(messages: u64) -> Self {
        Self { messages, time: None }
    }
}

/// Posts the messages of `quota`: each of `lanes` (slots) keeps `outstanding` under way. `post`
/// posts one of a slot, due at a time.
pub(super) fn closed_loop(
    run: &mut Run<'_>,
    quota: impl Into<Quota>,
    lanes: &[usize],
    outstanding: u32,
    after: After,
    mut post: impl FnMut(&mut Run<'_>, usize, u64),
) -> Result<()> {
    let Quota { messages: mut total, time } = quota.into();
    run.expect("messages", total);
    let end = time.map(|time| Instant::now() + time);
    let (mut posted, mut done) = (0, 0);
    for lane in lanes.iter().cycle().take(lanes.len() * usize::try_from(outstanding)?) {
        if posted < total {
            let now = run.pool.now_ns();
            post(run, *lane, now);
            posted += 1;
        }
    }
    while done < total && !run.is_over() {
        run.turn(TURN)?;
        if end.is_some_and(|end| Instant::now() >= end) {
            total = posted;
        }
        for place in 0..run.news.len() {
            let Some(lane) = after.lane(&run.news[place]) else { continue };
            done += 1;
            if posted < total {
                let now = run.pool.now_ns();
                post(run, lane, now);
                posted += 1;
            }
        }
        run.progress(done);
    }
    if after == After::Partner { run.settle() } else { Ok(()) }
}

/// Posts `total` messages, `rate` a second; `post` posts number `n`, due at a time. Then waits
/// until all have arrived.
pub(super) fn open_loop(
    run: &mut Run<'_>,
    total: u64,
    rate: f64,
    post: impl FnMut(&mut Run<'_>, u64, u64),
) -> Result<()> {
    run.expect("messages", total);
    post_at(run, total, rate, post)?;
    run.settle()
}

/// As [`open_loop`], but waits for nothing in the end.
pub(super) fn post_at(
    run: &mut Run<'_>,
    total: u64,
    rate: f64,
    mut post: impl FnMut(&mut Run<'_>, u64, u64),
) -> Result<()> {
    let start = run.pool.now_ns();
    let mut posted = 0;
    while posted < total && !run.is_over() {
        let mut due = due_ns(start, posted, rate);
        while posted < total && due <= run.pool.now_ns() {
            post(run, posted, due);
            posted += 1;
            due = due_ns(start, posted, rate);
        }
        run.pool.wake_at(due);
        run.turn(TURN)?;
        run.progress(posted);
    }
    Ok(())
}

/// When message number `n` is due.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a run's time in nanoseconds is far below 2^53"
)]
fn due_ns(start_ns: u64, number: u64, rate: f64) -> u64 {
    start_ns + (number as f64 * 1e9 / rate) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_evenly() {
        assert_eq!(due_ns(5, 0, 2_000.0), 5);
        assert_eq!(due_ns(5, 2_000, 2_000.0), 1_000_000_005);
        assert_eq!(due_ns(0, 3, 0.5), 6_000_000_000);
    }
}
