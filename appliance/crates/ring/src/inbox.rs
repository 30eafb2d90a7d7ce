//! The bounded queue into one ring and its doorbell, an eventfd that the ring reads.
//!
//! The doorbell is rung only while the ring sleeps or is about to: `awake` spares a system call
//! per command under load. A sender waits when the queue is full; the ring never waits for it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};

use crate::event::SessionId;
use crate::handle::{Door, Handover};
use crate::limits::COMMANDS_MAX;
use crate::shared::SharedFrame;

/// What the other threads want of a ring.
pub(crate) enum Command {
    Adopt(Box<Handover>),
    Listen(Box<Door>),
    Send { to: Targets, frame: SharedFrame, flush_note: bool },
    Close { session: SessionId, frame: SharedFrame },
    Stop { frame: SharedFrame, until: Instant },
}

/// Receivers of a frame on one ring; most frames have one.
pub(crate) enum Targets {
    One(SessionId),
    Many(Box<[SessionId]>),
}

impl Targets {
    pub(crate) fn as_slice(&self) -> &[SessionId] {
        match self {
            Self::One(session) => std::slice::from_ref(session),
            Self::Many(sessions) => sessions,
        }
    }
}

/// The sending half: shared by every handle.
#[derive(Clone)]
pub(crate) struct Outlet {
    commands: SyncSender<Command>,
    bell: Arc<Bell>,
}

/// The ring's half.
pub(crate) struct Inbox {
    commands: Receiver<Command>,
    bell: Arc<Bell>,
    peeked: Option<Command>,
}

struct Bell {
    eventfd: OwnedFd,
    awake: AtomicBool,
}

/// Makes a queue with its doorbell.
pub(crate) fn inbox() -> std::io::Result<(Outlet, Inbox)> {
    let eventfd = eventfd(0, EventfdFlags::CLOEXEC)?;
    let bell = Arc::new(Bell { eventfd, awake: AtomicBool::new(true) });
    let (sender, receiver) = sync_channel(COMMANDS_MAX);
    let outlet = Outlet { commands: sender, bell: Arc::clone(&bell) };
    Ok((outlet, Inbox { commands: receiver, bell, peeked: None }))
}

impl Outlet {
    /// Queues a command, waiting for room; gives it back when the ring has ended.
    pub(crate) fn send(&self, command: Command) -> Result<(), Command> {
        match self.commands.try_send(command) {
            Ok(()) => {}
            Err(TrySendError::Full(command)) => {
                self.bell.ring();
                self.commands.send(command).map_err(|error| error.0)?;
            }
            Err(TrySendError::Disconnected(command)) => return Err(command),
        }
        self.bell.ring();
        Ok(())
    }

    /// Queues a command if there is room at once; else gives it back.
    pub(crate) fn try_send(&self, command: Command) -> Result<(), Command> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(command) | TrySendError::Disconnected(command) => command,
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
        self.peeked.take().or_else(|| self.commands.try_recv().ok())
    }

    /// Says that the ring will sleep: true when it may, false when a command is there already.
    /// What is queued after a true rings the doorbell.
    pub(crate) fn may_sleep(&mut self) -> bool {
        if self.peeked.is_some() {
            return false;
        }
        self.bell.awake.store(false, SeqCst);
        match self.commands.try_recv() {
            Ok(command) => {
                self.bell.awake.store(true, SeqCst);
                self.peeked = Some(command);
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
        assert!(outlet.send(command()).is_ok());
        assert_eq!(rings(&inbox), 0);
        assert!(!inbox.may_sleep(), "a command is waiting");
        assert!(inbox.take().is_some() && inbox.take().is_none());
        assert!(inbox.may_sleep());
        assert!(outlet.send(command()).is_ok() && outlet.send(command()).is_ok());
        assert_eq!(rings(&inbox), 1);
        assert!(inbox.take().is_some() && inbox.take().is_some());
    }

    #[test]
    fn a_full_queue_makes_adopt_fail_and_send_wait() {
        let (outlet, mut inbox) = inbox().unwrap();
        for _ in 0..COMMANDS_MAX {
            assert!(outlet.try_send(command()).is_ok());
        }
        assert!(outlet.try_send(command()).is_err());
        let sender = std::thread::spawn(move || outlet.send(command()).is_ok());
        for _ in 0..=COMMANDS_MAX {
            while inbox.take().is_none() {
                std::thread::yield_now();
            }
        }
        assert!(sender.join().unwrap());
    }
}
