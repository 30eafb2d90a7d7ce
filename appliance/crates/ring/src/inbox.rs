//! The bounded queue of batches into one ring and its doorbell, an eventfd that the ring reads.
//!
//! A batch is what one thread wants in one turn, so the ring finds all of it at once. The doorbell
//! is rung only while the ring sleeps or is about to: `awake` spares a system call per batch under
//! load. A sender waits when the queue is full; the ring never waits for it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};
use wire::{SessionId, Targets};

use crate::handle::{Door, Handover};
use crate::limits::BATCHES_MAX;
use crate::shared::SharedFrame;

/// What the other threads want of a ring.
pub(crate) enum Command {
    Adopt(Box<Handover>),
    Listen(Box<Door>),
    Send { to: Targets, frame: SharedFrame, flush_note: bool },
    Close { session: SessionId, frame: SharedFrame },
    Stop { frame: SharedFrame, until: Instant },
}

/// The sending half: shared by every handle.
#[derive(Clone)]
pub(crate) struct Outlet {
    batches: SyncSender<Vec<Command>>,
    bell: Arc<Bell>,
}

/// The ring's half.
pub(crate) struct Inbox {
    batches: Receiver<Vec<Command>>,
    bell: Arc<Bell>,
    /// The rest of the batch that was taken last.
    front: std::vec::IntoIter<Command>,
}

struct Bell {
    eventfd: OwnedFd,
    awake: AtomicBool,
}

/// Makes a queue with its doorbell.
pub(crate) fn inbox() -> std::io::Result<(Outlet, Inbox)> {
    let eventfd = eventfd(0, EventfdFlags::CLOEXEC)?;
    let bell = Arc::new(Bell { eventfd, awake: AtomicBool::new(true) });
    let (sender, receiver) = sync_channel(BATCHES_MAX);
    let outlet = Outlet { batches: sender, bell: Arc::clone(&bell) };
    Ok((outlet, Inbox { batches: receiver, bell, front: Vec::new().into_iter() }))
}

impl Outlet {
    /// Queues a batch, waiting for room; gives it back when the ring has ended.
    pub(crate) fn send(&self, batch: Vec<Command>) -> Result<(), Vec<Command>> {
        match self.batches.try_send(batch) {
            Ok(()) => {}
            Err(TrySendError::Full(batch)) => {
                self.bell.ring();
                self.batches.send(batch).map_err(|error| error.0)?;
            }
            Err(TrySendError::Disconnected(batch)) => return Err(batch),
        }
        self.bell.ring();
        Ok(())
    }

    /// Queues one command if there is room at once; else gives it back.
    pub(crate) fn try_send(&self, command: Command) -> Result<(), Option<Command>> {
        self.batches.try_send(vec![command]).map_err(|error| match error {
            TrySendError::Full(mut batch) | TrySendError::Disconnected(mut batch) => batch.pop(),
        })?;
        self.bell.ring();
        Ok(())
    }
}

impl Bell {
    fn ring(&self) {
        if !self.awake.swap(true, SeqCst) {
            // A failure means that the counter is at its end: the ring has been rung.
            let _ = rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes());
        }
    }
}

impl Inbox {
    /// The next command, if there is one.
    pub(crate) fn take(&mut self) -> Option<Command> {
        if let Some(command) = self.front.next() {
            return Some(command);
        }
        self.front = self.batches.try_recv().ok()?.into_iter();
        self.front.next()
    }

    /// Says that the ring will sleep: true when it may, false when a command is there already.
    /// What is queued after a true rings the doorbell.
    pub(crate) fn may_sleep(&mut self) -> bool {
        if self.front.len() > 0 {
            return false;
        }
        self.bell.awake.store(false, SeqCst);
        match self.batches.try_recv() {
            Ok(batch) => {
                self.bell.awake.store(true, SeqCst);
                self.front = batch.into_iter();
                false
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => true,
        }
    }

    /// Says that the ring is up again: senders need not ring.
    pub(crate) fn wake(&self) {
        self.bell.awake.store(true, SeqCst);
    }

    /// The doorbell, to be read by the ring.
    pub(crate) fn eventfd(&self) -> &OwnedFd {
        &self.bell.eventfd
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::ids::TimeMs;
    use wire::server::Pong;

    fn command() -> Command {
        let frame = SharedFrame::new(Pong { time_ms: TimeMs(1) }, 0);
        Command::Send { to: Targets::One(SessionId(0)), frame, flush_note: false }
    }

    fn rings(inbox: &Inbox) -> u64 {
        let mut fds = [rustix::event::PollFd::new(inbox.eventfd(), rustix::event::PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        if rustix::event::poll(&mut fds, Some(&now)).unwrap() == 0 {
            return 0;
        }
        let mut count = [0; 8];
        rustix::io::read(inbox.eventfd(), &mut count).unwrap();
        u64::from_ne_bytes(count)
    }

    #[test]
    fn the_bell_rings_once_per_sleep_and_never_while_awake() {
        let (outlet, mut inbox) = inbox().unwrap();
        assert!(outlet.send(vec![command()]).is_ok());
        assert_eq!(rings(&inbox), 0);
        assert!(!inbox.may_sleep(), "a command is waiting");
        assert!(inbox.take().is_some() && inbox.take().is_none());
        assert!(inbox.may_sleep());
        assert!(outlet.send(vec![command(), command()]).is_ok());
        assert!(outlet.send(vec![command()]).is_ok());
        assert_eq!(rings(&inbox), 1);
        assert!(inbox.take().is_some() && !inbox.may_sleep(), "half a batch is left");
        assert!(inbox.take().is_some() && inbox.take().is_some() && inbox.take().is_none());
    }

    #[test]
    fn a_full_queue_makes_adopt_fail_and_send_wait() {
        let (outlet, mut inbox) = inbox().unwrap();
        for _ in 0..BATCHES_MAX {
            assert!(outlet.try_send(command()).is_ok());
        }
        assert!(outlet.try_send(command()).is_err());
        let sender = std::thread::spawn(move || outlet.send(vec![command()]).is_ok());
        for _ in 0..=BATCHES_MAX {
            while inbox.take().is_none() {
                std::thread::yield_now();
            }
        }
        assert!(sender.join().unwrap());
    }
}
