//! The door to the kernel: set-up, probing, submission and completions of one io_uring.
//!
//! Everything the kernel reads or writes is owned here until its completion: buffers to send are
//! moved in and come back, receive buffers are `Filled` tokens. So the rest of the crate is safe.
#![allow(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{Builder, IoUring, cqueue, opcode, squeue};
use rustix::net::sockopt;

use crate::buffers::{Buffers, Filled, GROUP};
use crate::error::StartError;
use crate::limits::{COMPLETIONS, RECEIVE_BUFFER_BYTES, SUBMISSIONS};
use crate::staging::{Source, Staging};
use crate::table::Key;

/// One io_uring with its registered files and receive buffers.
pub(crate) struct Uring {
    ring: IoUring,
    buffers: Buffers,
    /// What the next submission sends at once.
    staging: Staging,
    /// Bytes of sends that wait for room in their socket, by slot: few.
    sends: HashMap<u32, Outgoing>,
    /// Where the doorbell's count is read to; nobody looks at it.
    bell: Box<u64>,
    /// Entries that found the submission queue full.
    backlog: VecDeque<squeue::Entry>,
    /// Operations whose last completion has not come.
    in_flight: usize,
    /// Cap on one receive of a multishot; 0 where the kernel does not know it.
    receive_cap: u32,
}

/// Bytes on their way out; those before `sent` are with the socket.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) bytes: Vec<u8>,
    pub(crate) sent: usize,
}

/// What an operation's completion says.
#[derive(Debug)]
pub(crate) enum Completion {
    Doorbell,
    /// `armed` is false when no more come without arming again.
    Received {
        key: Key,
        outcome: Receive,
        armed: bool,
    },
    /// The bytes come back with `sent` moved on, or with the error.
    Sent {
        key: Key,
        outgoing: Outgoing,
        outcome: Result<(), i32>,
    },
    /// A send at once took everything, and wanted to say so.
    SentNow {
        key: Key,
    },
    /// A send at once left this, for lack of room or with an error.
    Short {
        key: Key,
        rest: Vec<u8>,
        outcome: Result<(), i32>,
    },
    ShutDown {
        key: Key,
    },
    Cancelled {
        key: Key,
    },
    Closed {
        key: Key,
    },
    /// Somebody came to the plain door. `armed` as above.
    Accepted {
        outcome: Result<OwnedFd, i32>,
        armed: bool,
    },
}

/// What one receive brought.
#[derive(Debug)]
pub(crate) enum Receive {
    Data(Filled),
    /// The peer sends no more.
    End,
    /// All receive buffers were taken.
    Starved,
    Cancelled,
    Failed(i32),
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Doorbell = 1,
    Receive,
    Send,
    SendNow,
    Shutdown,
    Cancel,
    Close,
    Accept,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Doorbell,
        Self::Receive,
        Self::Send,
        Self::SendNow,
        Self::Shutdown,
        Self::Cancel,
        Self::Close,
        Self::Accept,
    ];

    /// `user_data = kind(8) | generation(24) | slot(32)`.
    fn user_data(self, key: Key) -> u64 {
        u64::from(self as u8) << 56 | u64::from(key.generation) << 32 | u64::from(key.slot)
    }

    fn read(user_data: u64) -> Option<(Self, Key)> {
        let kind = Self::ALL.into_iter().find(|kind| u64::from(*kind as u8) == user_data >> 56)?;
        let [slot, generation] = [user_data & 0xffff_ffff, user_data >> 32 & 0xff_ffff];
        Some((kind, Key { generation: generation as u32, slot: slot as u32 }))
    }
}

impl Uring {
    /// Sets a ring up for `files` connections and the doorbell.
    pub(crate) fn new(files: u32, receive_buffers: u16) -> Result<Self, StartError> {
        let ring = build()?;
        let failed = |step| move |source| StartError::Failed { step, source };
        ring.submitter()
            .register_files_sparse(files)
            .map_err(failed("registering the file table (see the limit on open files)"))?;
        let mut uring = Self {
            ring,
            buffers: Buffers::new(receive_buffers).map_err(StartError::NoMemory)?,
            staging: Staging::new(),
            sends: HashMap::new(),
            bell: Box::default(),
            backlog: VecDeque::new(),
            in_flight: 0,
            receive_cap: RECEIVE_BUFFER_BYTES,
        };
        uring
            .buffers
            .register(&uring.ring.submitter())
            .map_err(failed("registering the receive buffers"))?;
        uring.probe_receive_cap().map_err(failed("probing the multishot receive"))?;
        uring.probe_send_now()?;
        Ok(uring)
    }

    /// Asks the kernel whether it takes a length with a multishot receive (6.17 on do).
    fn probe_receive_cap(&mut self) -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        let key = Key { generation: 0, slot: 0 };
        self.register(key, ours.into())?;
        drop(theirs);
        self.receive(key);
        let mut completions = VecDeque::new();
        while self.in_flight > 0 {
            self.submit_and_wait(Duration::from_secs(1))?;
            self.drain(&mut completions)?;
        }
        for completion in completions {
            if let Completion::Received { outcome: Receive::Failed(libc::EINVAL), .. } = completion
            {
                self.receive_cap = 0;
            }
        }
        self.ring.submitter().register_files_update(0, &[-1]).map(drop)
    }

    /// Makes sure that a send at once says how much it took: a kernel that says nothing would lose
    /// the end of frames.
    fn probe_send_now(&mut self) -> Result<(), StartError> {
        let failed = |source| StartError::Failed { step: "probing the send", source };
        let (ours, _theirs) = UnixStream::pair().map_err(failed)?;
        let key = Key { generation: 0, slot: 0 };
        sockopt::set_socket_send_buffer_size(&ours, PROBE_BUFFER_BYTES)
            .map_err(|error| failed(error.into()))?;
        self.register(key, ours.into()).map_err(failed)?;
        self.staging.append(&[0; PROBE_BYTES]);
        let source = self.staging.finish().expect("something was appended");
        self.send_now(key, source, false);
        let mut completions = VecDeque::new();
        self.submit_now(&mut completions).map_err(failed)?;
        self.ring.submitter().register_files_update(0, &[-1]).map_err(failed)?;
        match completions.pop_front() {
            Some(Completion::Short { rest, outcome: Ok(()), .. })
                if !rest.is_empty() && rest.len() < PROBE_BYTES =>
            {
                Ok(())
            }
            _ => Err(StartError::TooOld),
        }
    }

    /// Puts a descriptor into the file table and closes the ordinary one.
    pub(crate) fn register(&mut self, key: Key, file: OwnedFd) -> io::Result<()> {
        self.ring.submitter().register_files_update(key.slot, &[file.as_raw_fd()]).map(drop)
    }

    /// Reads the doorbell once.
    pub(crate) fn read_doorbell(&mut self, eventfd: &OwnedFd) {
        let into = (&raw mut *self.bell).cast::<u8>();
        let read = opcode::Read::new(Fd(eventfd.as_raw_fd()), into, size_of::<u64>() as u32);
        self.push(read.build(), Kind::Doorbell, DOORBELL);
    }

    /// Arms a multishot receive; at most one per connection.
    pub(crate) fn receive(&mut self, key: Key) {
        let receive = opcode::RecvMulti::new(Fixed(key.slot), GROUP).len(self.receive_cap);
        self.push(receive.build(), Kind::Receive, key);
    }

    /// Where the sends of this tick are put together.
    pub(crate) fn staging(&mut self) -> &mut Staging {
        &mut self.staging
    }

    /// Sends as much as the socket takes within the submission. Whatever was left comes as
    /// `Short`; success is told only with `wants_word`. At most one per connection until settled.
    pub(crate) fn send_now(&mut self, key: Key, bytes: Source, wants_word: bool) {
        let (number, bytes) = self.staging.push(key, bytes, wants_word);
        let length = u32::try_from(bytes.len()).expect("a staged send is below the arena's size");
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_WAITALL;
        let send = opcode::Send::new(Fixed(key.slot), bytes.as_ptr(), length).flags(flags).build();
        let name = Key { generation: 0, slot: number };
        let send = send.flags(squeue::Flags::SKIP_SUCCESS);
        self.queue(send.user_data(Kind::SendNow.user_data(name)));
    }

    /// True when the outcome of every send at once is known, so that a connection may send again.
    pub(crate) fn is_settled(&self) -> bool {
        self.staging.is_empty()
    }

    /// Sends the bytes after `sent` when the socket has room; at most one per connection, as
    /// sends may overtake each other.
    pub(crate) fn send(&mut self, key: Key, outgoing: Outgoing) {
        let rest = &outgoing.bytes[outgoing.sent..];
        let length = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        let send = opcode::Send::new(Fixed(key.slot), rest.as_ptr(), length);
        let before = self.sends.insert(key.slot, outgoing);
        assert!(before.is_none(), "one send at a time per connection");
        self.push(send.flags(libc::MSG_NOSIGNAL).build(), Kind::Send, key);
    }

    /// Says to the peer that nothing more comes.
    pub(crate) fn shut_down(&mut self, key: Key) {
        let shutdown = opcode::Shutdown::new(Fixed(key.slot), libc::SHUT_WR);
        self.push(shutdown.build(), Kind::Shutdown, key);
    }

    /// Ends the connection's receive; its last completion follows.
    pub(crate) fn cancel_receive(&mut self, key: Key) {
        let cancel = opcode::AsyncCancel::new(Kind::Receive.user_data(key));
        self.push(cancel.build(), Kind::Cancel, key);
    }

    /// Ends whatever the connection has in flight; the last completions follow.
    pub(crate) fn cancel_all(&mut self, key: Key) {
        let which = CancelBuilder::fd(Fixed(key.slot)).all();
        self.push(opcode::AsyncCancel2::new(which).build(), Kind::Cancel, key);
    }

    /// Takes connections until the completion says otherwise.
    pub(crate) fn accept(&mut self, listener: &OwnedFd) {
        let accept = opcode::AcceptMulti::new(Fd(listener.as_raw_fd())).flags(libc::SOCK_CLOEXEC);
        self.push(accept.build(), Kind::Accept, DOORBELL);
    }

    /// Ends the taking of connections.
    pub(crate) fn cancel_accept(&mut self) {
        let cancel = opcode::AsyncCancel::new(Kind::Accept.user_data(DOORBELL));
        self.push(cancel.build(), Kind::Cancel, DOORBELL);
    }

    /// Ends the reading of the doorbell.
    pub(crate) fn cancel_doorbell(&mut self) {
        let cancel = opcode::AsyncCancel::new(Kind::Doorbell.user_data(DOORBELL));
        self.push(cancel.build(), Kind::Cancel, DOORBELL);
    }

    /// Takes the connection out of the file table, which closes it. Nothing may be in flight.
    pub(crate) fn close(&mut self, key: Key) {
        self.push(opcode::Close::new(Fixed(key.slot)).build(), Kind::Close, key);
    }

    /// Operations whose last completion has not come.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn bytes(&self, filled: &Filled) -> &[u8] {
        self.buffers.bytes(filled)
    }

    pub(crate) fn give_back(&mut self, filled: Filled) {
        self.buffers.give_back(filled);
    }

    /// Submits everything and waits for one completion or the time: one system call a tick.
    pub(crate) fn submit_and_wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.relieve()?;
        let sleepless = !self.backlog.is_empty() || self.staging.wants_word();
        let time = Timespec::from(if sleepless { Duration::ZERO } else { timeout });
        let args = SubmitArgs::new().timespec(&time);
        ignore_passing(self.ring.submitter().submit_with_args(1, &args).map(drop))
    }

    /// Submits everything and takes what is complete, without waiting.
    pub(crate) fn submit_now(&mut self, into: &mut VecDeque<Completion>) -> io::Result<()> {
        self.relieve()?;
        ignore_passing(self.ring.submit().map(drop))?;
        self.drain(into)
    }

    /// Takes all completions that are there, then what the sends at once came to.
    pub(crate) fn drain(&mut self, into: &mut VecDeque<Completion>) -> io::Result<()> {
        self.reap(into);
        // What found the queue full waits in the kernel; a send's failure may be among it.
        while self.ring.submission().cq_overflow() {
            ignore_passing(self.ring.submit().map(drop))?;
            self.reap(into);
        }
        if self.backlog.is_empty() && self.ring.submission().is_empty() {
            self.staging.settle(|key| into.push_back(Completion::SentNow { key }));
        }
        Ok(())
    }

    fn reap(&mut self, into: &mut VecDeque<Completion>) {
        let Self { ring, buffers, sends, staging, in_flight, .. } = self;
        for entry in ring.completion() {
            let more = cqueue::more(entry.flags());
            let Some((kind, key)) = Kind::read(entry.user_data()) else { continue };
            if kind == Kind::SendNow {
                into.push_back(read_short(&entry, key.slot, staging));
                continue;
            }
            if !more {
                *in_flight -= 1;
            }
            into.push_back(read_completion(&entry, (kind, key), buffers, sends));
        }
    }

    fn push(&mut self, entry: squeue::Entry, kind: Kind, key: Key) {
        self.in_flight += 1;
        self.queue(entry.user_data(kind.user_data(key)));
    }

    /// Puts an entry into the submission queue, submitting first where that is full.
    fn queue(&mut self, entry: squeue::Entry) {
        if !self.backlog.is_empty() || !self.fits(&entry) {
            self.backlog.push_back(entry);
            // An error comes again with the submission that ends the tick.
            let _ = self.relieve();
        }
    }

    /// Submits until everything has found room in the queue, or the kernel takes no more for now.
    fn relieve(&mut self) -> io::Result<()> {
        while !self.backlog.is_empty() {
            let before = self.backlog.len();
            ignore_passing(self.ring.submit().map(drop))?;
            while let Some(entry) = self.backlog.pop_front() {
                if !self.fits(&entry) {
                    self.backlog.push_front(entry);
                    break;
                }
            }
            if self.backlog.len() == before {
                break; // the completion queue is full: reap first, then try again
            }
        }
        Ok(())
    }

    /// Moves an entry into the submission queue if there is room.
    fn fits(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: every pointer in an entry points into `self.sends`, `self.bell`,
        // `self.buffers` or `self.staging`. The first three stay where they are until the
        // operation's last completion, and are leaked when the ring is dropped before that.
        // What is staged stays until `drain` found that the kernel took the submission: with
        // MSG_DONTWAIT a send is over by then, as io_uring never defers such a request.
        unsafe { self.ring.submission().push(entry) }.is_ok()
    }
}

impl Drop for Uring {
    /// The fields are dropped after this, the ring first.
    fn drop(&mut self) {
        if self.in_flight > 0 {
            self.buffers.keep_for_ever();
            std::mem::forget(std::mem::take(&mut self.sends));
            std::mem::forget(std::mem::take(&mut self.bell));
        }
    }
}

/// Room that the probe of a send leaves in its socket, and what it sends.
const PROBE_BUFFER_BYTES: usize = 4 * 1024;
const PROBE_BYTES: usize = 32 * 1024;

/// The doorbell has no slot: this key is never a connection's.
const DOORBELL: Key = Key { generation: 0, slot: u32::MAX };

/// Sets up with the flags of kernel 6.1, and with NO_SQARRAY where 6.6 offers it.
fn build() -> Result<IoUring, StartError> {
    let mut builder: Builder = IoUring::builder();
    builder
        .dontfork()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_cqsize(COMPLETIONS);
    let mut newer = builder.clone();
    match newer.setup_no_sqarray().build(SUBMISSIONS) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => builder.build(SUBMISSIONS),
        built => built,
    }
    .map_err(StartError::from_setup)
}

/// A time-out, a signal and a full completion queue are no errors: reap, then try again.
fn ignore_passing(result: io::Result<()>) -> io::Result<()> {
    const PASSING: [i32; 4] = [libc::ETIME, libc::EINTR, libc::EBUSY, libc::EAGAIN];
    match result {
        Err(error) if error.raw_os_error().is_some_and(|errno| PASSING.contains(&errno)) => Ok(()),
        other => other,
    }
}

fn read_short(entry: &cqueue::Entry, number: u32, staging: &mut Staging) -> Completion {
    let sent = usize::try_from(entry.result()).unwrap_or(0);
    let (key, rest) = staging.fail(number, sent);
    let outcome = match -entry.result() {
        ..=0 | libc::EAGAIN => Ok(()),
        errno => Err(errno),
    };
    Completion::Short { key, rest, outcome }
}

fn read_completion(
    entry: &cqueue::Entry,
    (kind, key): (Kind, Key),
    buffers: &mut Buffers,
    sends: &mut HashMap<u32, Outgoing>,
) -> Completion {
    let armed = cqueue::more(entry.flags());
    match kind {
        Kind::Doorbell => Completion::Doorbell,
        Kind::Receive => Completion::Received { key, outcome: read_receive(entry, buffers), armed },
        Kind::Send => {
            let mut outgoing = sends.remove(&key.slot).expect("a send holds its bytes");
            let outcome = match usize::try_from(entry.result()) {
                Ok(sent) => {
                    outgoing.sent += sent;
                    Ok(())
                }
                Err(_) => Err(-entry.result()),
            };
            Completion::Sent { key, outgoing, outcome }
        }
        Kind::SendNow => unreachable!("told apart before"),
        Kind::Shutdown => Completion::ShutDown { key },
        Kind::Cancel => Completion::Cancelled { key },
        Kind::Close => Completion::Closed { key },
        Kind::Accept => Completion::Accepted { outcome: read_accept(entry), armed },
    }
}

fn read_accept(entry: &cqueue::Entry) -> Result<OwnedFd, i32> {
    match entry.result() {
        // SAFETY: the completion of an accept is the only owner of the descriptor it names.
        fd @ 0.. => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        errno => Err(-errno),
    }
}

fn read_receive(entry: &cqueue::Entry, buffers: &mut Buffers) -> Receive {
    let filled = cqueue::buffer_select(entry.flags())
        .map(|id| buffers.claim(id, u32::try_from(entry.result()).unwrap_or(0)));
    match (entry.result(), filled) {
        (1.., Some(filled)) => Receive::Data(filled),
        (result, filled) => {
            if let Some(unused) = filled {
                buffers.give_back(unused);
            }
            match -result {
                ..=0 => Receive::End,
                libc::ENOBUFS => Receive::Starved,
                libc::ECANCELED => Receive::Cancelled,
                errno => Receive::Failed(errno),
            }
        }
    }
}

#[cfg(test)]
mod tests;
