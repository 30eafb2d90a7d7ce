//! All connections of this process, on one epoll: drives them and tells what happened.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use crate::carrier::Carrier;
use crate::dialect::{Broken, Dialect, Event, Session};
use crate::limits::{EXPIRE_EVERY, READY_MAX, REASONS_MAX, RECEIVE_BYTES};
use crate::link::Buffers;
use crate::tls::Tls;

/// Marks the timer among ready descriptors; slots are far below.
const TIMER: u64 = u64::MAX;

/// Something happened on a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Happening {
    /// Which connection, counted from the first session of this process.
    pub(crate) slot: usize,
    /// When it was read, on the pool's clock.
    pub(crate) at_ns: u64,
    /// What.
    pub(crate) event: Event,
}

/// The connections of sessions `first..first + slots`.
pub(crate) struct Pool<'a> {
    dialect: &'a dyn Dialect,
    target: SocketAddr,
    tls: Option<Tls>,
    first: u32,
    epoll: OwnedFd,
    timer: OwnedFd,
    begun: Instant,
    links: Vec<Option<Carrier>>,
    ready: Vec<epoll::Event>,
    buffers: Buffers,
    events: Vec<Event>,
    /// When a connection next wants to look at the clock.
    expiry: Option<Instant>,
    /// Never sleeps.
    pub(crate) spin: bool,
    /// While set, slots whose connection breaks are listed in `refused` instead of counted.
    pub(crate) forgiving: bool,
    /// Slots to connect again.
    pub(crate) refused: Vec<usize>,
    /// Connections that broke and were not expected to.
    pub(crate) broken: u64,
    /// Why the first ones did.
    pub(crate) reasons: Vec<String>,
    /// Bytes received from sockets.
    pub(crate) bytes_received: u64,
}

impl<'a> Pool<'a> {
    pub(crate) fn new(
        dialect: &'a dyn Dialect,
        target: SocketAddr,
        tls: Option<Tls>,
        first: u32,
        slots: usize,
    ) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("no epoll")?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).context("no timer")?;
        let data = epoll::EventData::new_u64(TIMER);
        epoll::add(&epoll, &timer, data, epoll::EventFlags::IN).context("epoll takes no timer")?;
        Ok(Self {
            dialect,
            target,
            tls,
            first,
            epoll,
            timer,
            begun: Instant::now(),
            links: (0..slots).map(|_| None).collect(),
            ready: Vec::with_capacity(READY_MAX),
            buffers: Buffers::new(RECEIVE_BYTES),
            events: Vec::new(),
            expiry: None,
            spin: false,
            forgiving: false,
            refused: Vec::new(),
            broken: 0,
            reasons: Vec::new(),
            bytes_received: 0,
        })
    }

    /// Nanoseconds since the pool began: the clock of all its times.
    pub(crate) fn now_ns(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).expect("five centuries fit")
    }

    pub(crate) fn slots(&self) -> usize {
        self.links.len()
    }

    /// Session number of a slot.
    pub(crate) fn index(&self, slot: usize) -> u32 {
        self.first + u32::try_from(slot).expect("sessions are counted in 32 bits")
    }

    /// Slot of a session number; none for sessions of other processes.
    pub(crate) fn slot(&self, index: u32) -> Option<usize> {
        let slot = usize::try_from(index.checked_sub(self.first)?).ok()?;
        (slot < self.links.len()).then_some(slot)
    }

    /// Begins to connect a slot.
    pub(crate) fn connect(&mut self, slot: usize) {
        let index = self.index(slot);
        let tls = self.tls.as_mut().map(|tls| tls.for_slot(slot));
        let quic = self.dialect.quic();
        match Carrier::connect(self.target, index, self.dialect.session(index), tls, quic) {
            Ok(link) => self.add(slot, link),
            Err(reason) => self.note(slot, reason),
        }
    }

    fn add(&mut self, slot: usize, mut link: Carrier) {
        let flags = flags_of(&link);
        self.expiry = earlier(self.expiry, link.expiry());
        match epoll::add(&self.epoll, link.socket(), data_of(slot), flags) {
            Ok(()) => self.links[slot] = Some(link),
            Err(error) => self.note(slot, Broken(format!("epoll: {error}"))),
        }
    }

    /// Ends a connection on purpose.
    pub(crate) fn close(&mut self, slot: usize) {
        self.links[slot] = None;
    }

    /// Stops or resumes reading from a connection.
    pub(crate) fn stall(&mut self, slot: usize, stalled: bool) {
        let flags = if stalled { epoll::EventFlags::empty() } else { epoll::EventFlags::IN };
        if let Some(link) = &self.links[slot] {
            epoll::modify(&self.epoll, link.socket(), data_of(slot), flags)
                .expect("the socket is registered");
        }
    }

    /// Gives a connection a small receive window.
    pub(crate) fn shrink_window(&mut self, slot: usize, bytes: usize) {
        let Some(link) = &self.links[slot] else { return };
        if let Err(reason) = link.shrink_window(bytes) {
            self.note(slot, reason);
        }
    }

    /// Lets a session write something; none when the connection is gone.
    pub(crate) fn act<T>(
        &mut self,
        slot: usize,
        write: impl FnOnce(&mut dyn Session, &mut Vec<u8>) -> T,
    ) -> Option<T> {
        let link = self.links[slot].as_mut()?;
        let before = link.wants_write();
        match link.act(&mut self.buffers, write) {
            Ok(value) => {
                self.watch(slot, before);
                Some(value)
            }
            Err(reason) => {
                self.note(slot, reason);
                None
            }
        }
    }

    /// Lets the next [`Pool::turn`] end at this time, to the microsecond.
    pub(crate) fn wake_at(&mut self, at_ns: u64) {
        let wait = at_ns.saturating_sub(self.now_ns()).max(1);
        let it_value = Timespec {
            tv_sec: i64::try_from(wait / 1_000_000_000).expect("runs are short"),
            tv_nsec: i64::try_from(wait % 1_000_000_000).expect("below a second"),
        };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Itimerspec { it_interval, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &value)
            .expect("the time is valid");
    }

    /// Waits for sockets or the timer, at most this long, and drives what is ready.
    ///
    /// # Errors
    /// When epoll fails: the process is of no use then.
    pub(crate) fn turn(&mut self, wait: Duration, happenings: &mut Vec<Happening>) -> Result<()> {
        let left = |expiry: Instant| expiry.saturating_duration_since(Instant::now());
        let wait = if self.spin { Duration::ZERO } else { wait };
        let wait = self.expiry.map_or(wait, |expiry| wait.min(left(expiry)));
        let timeout = Timespec::try_from(wait).context("the wait is too long")?;
        self.ready.clear();
        let space = rustix::buffer::spare_capacity(&mut self.ready);
        match epoll::wait(&self.epoll, space, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("epoll failed"),
        }
        let ready = std::mem::take(&mut self.ready);
        for event in &ready {
            self.drive(event.data.u64(), event.flags, happenings);
        }
        self.ready = ready;
        if self.expiry.is_some_and(|expiry| expiry <= Instant::now()) {
            self.expire(happenings);
        }
        Ok(())
    }

    /// Lets every connection look at the clock; those on TCP have no use for it.
    fn expire(&mut self, happenings: &mut Vec<Happening>) {
        let mut next = None;
        for slot in 0..self.links.len() {
            let Some(link) = self.links[slot].as_mut() else { continue };
            let outcome = link.expire(&mut self.buffers, &mut self.events);
            next = earlier(next, link.expiry());
            self.tell(slot, happenings);
            if let Err(reason) = outcome {
                self.note(slot, reason);
            }
        }
        let soonest = Instant::now() + EXPIRE_EVERY;
        self.expiry = next.map(|next| next.max(soonest));
    }

    fn drive(&mut self, data: u64, flags: epoll::EventFlags, happenings: &mut Vec<Happening>) {
        if data == TIMER {
            // Ready until it is read; what it wakes for is decided by the clock, not by it.
            let _ = rustix::io::read(&self.timer, &mut [0_u8; 8]);
            return;
        }
        let slot = usize::try_from(data).expect("a slot was put in");
        let Some(link) = self.links[slot].as_mut() else { return };
        let before = link.wants_write();
        let outcome = drive_link(link, flags, &mut self.buffers, &mut self.events);
        self.tell(slot, happenings);
        match outcome {
            Ok(bytes) => {
                self.bytes_received += u64::try_from(bytes).expect("usize fits 64 bits");
                self.watch(slot, before);
            }
            Err(reason) => self.note(slot, reason),
        }
    }

    fn tell(&mut self, slot: usize, happenings: &mut Vec<Happening>) {
        if !self.events.is_empty() {
            let at_ns = self.now_ns();
            happenings.extend(self.events.drain(..).map(|event| Happening { slot, at_ns, event }));
        }
    }

    /// Asks for writability exactly while bytes wait.
    fn watch(&mut self, slot: usize, before: bool) {
        let Some(link) = &mut self.links[slot] else { return };
        self.expiry = earlier(self.expiry, link.expiry());
        if link.wants_write() != before {
            epoll::modify(&self.epoll, link.socket(), data_of(slot), flags_of(link))
                .expect("the socket is registered");
        }
    }

    fn note(&mut self, slot: usize, reason: Broken) {
        self.links[slot] = None;
        self.buffers.drop_output();
        if self.forgiving {
            self.refused.push(slot);
        } else {
            self.broken += 1;
        }
        if self.reasons.len() < REASONS_MAX {
            self.reasons.push(format!("session {}: {reason}", self.index(slot)));
        }
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

fn flags_of(link: &Carrier) -> epoll::EventFlags {
    if link.wants_write() {
        epoll::EventFlags::IN | epoll::EventFlags::OUT
    } else {
        epoll::EventFlags::IN
    }
}

fn data_of(slot: usize) -> epoll::EventData {
    epoll::EventData::new_u64(u64::try_from(slot).expect("usize fits 64 bits"))
}

fn drive_link(
    link: &mut Carrier,
    flags: epoll::EventFlags,
    buffers: &mut Buffers,
    events: &mut Vec<Event>,
) -> Result<usize, Broken> {
    if !link.is_connected() {
        link.established(buffers)?;
    } else if flags.contains(epoll::EventFlags::OUT) {
        link.flush()?;
    }
    if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
        return link.receive(buffers, events);
    }
    Ok(0)
}
