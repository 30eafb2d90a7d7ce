//! The bare ring: registered files, a buffer ring, sends without completions. The only unsafe code
//! here.
//!
//! A frame to send is copied once into an arena and stays there until the kernel took all that was
//! submitted: with MSG_DONTWAIT a send is over by then, as `io_uring` never defers such a request.
#![allow(unsafe_code)]

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use io_uring::types::{BufRingEntry, Fd, Fixed, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::limits::{FLOOR_BUFFERS, FLOOR_COMPLETIONS, FLOOR_FILES, FLOOR_RECEIVE_BYTES};

/// The only buffer group.
const GROUP: u16 = 0;

/// The buffers start on a page of their own, behind the ring of entries.
const ENTRIES_BYTES: usize = FLOOR_BUFFERS as usize * size_of::<BufRingEntry>();
const MAPPED_BYTES: usize = ENTRIES_BYTES + FLOOR_BUFFERS as usize * FLOOR_RECEIVE_BYTES;

/// What the kernel answers, from `errno.h`.
const EPIPE: i32 = 32;
const ECONNRESET: i32 = 104;
const ENOBUFS: i32 = 105;
const ETIME: i32 = 62;

/// From `socket.h`.
const MSG_DONTWAIT: i32 = 0x40;
const MSG_WAITALL: i32 = 0x100;
const MSG_NOSIGNAL: i32 = 0x4000;

/// What happened.
#[derive(Debug)]
pub(super) enum Completion {
    Accepted {
        slot: u32,
    },
    /// `armed` is false when no more come without asking again.
    Received {
        slot: u32,
        filled: Filled,
        armed: bool,
    },
    /// All receive buffers were taken; ask again.
    Starved {
        slot: u32,
    },
    /// The connection is over.
    Ended {
        slot: u32,
    },
    TimeIsUp,
}

/// A receive buffer that the kernel filled.
#[derive(Debug)]
pub(super) struct Filled {
    id: u16,
    bytes: usize,
}

#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Accept = 1,
    Receive,
    Send,
    Close,
    Time,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Accept, Self::Receive, Self::Send, Self::Close, Self::Time];

    fn name(self, slot: u32) -> u64 {
        u64::from(self as u8) << 32 | u64::from(slot)
    }

    fn read(name: u64) -> Option<(Self, u32)> {
        let kind = Self::ALL.into_iter().find(|kind| u64::from(*kind as u8) == name >> 32)?;
        Some((kind, (name & 0xffff_ffff) as u32))
    }
}

/// Ring and receive buffers.
pub(super) struct Ring {
    pub(super) door: Door,
    pub(super) buffers: Buffers,
}

/// Submissions and completions.
pub(super) struct Door {
    ring: IoUring,
    /// Frames of the next submission.
    arena: Box<[u8]>,
    used: usize,
    time: Box<Timespec>,
}

impl Ring {
    /// A ring for frames of this many bytes that submits at most `batch` at once.
    pub(super) fn new(frame_bytes: usize, batch: u32) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_no_sqarray()
            .setup_cqsize(FLOOR_COMPLETIONS)
            .build(batch)?;
        ring.submitter().register_files_sparse(FLOOR_FILES)?;
        let frames = batch as usize;
        let arena = vec![0; frames * frame_bytes].into_boxed_slice();
        let mut buffers = Buffers::new()?;
        buffers.register(&ring)?;
        Ok(Self { door: Door { ring, arena, used: 0, time: Box::default() }, buffers })
    }

    /// Submits everything, waits for a completion and takes all that are there.
    pub(super) fn turn(&mut self, into: &mut Vec<Completion>) -> Result<()> {
        self.door.ring.submit_and_wait(1)?;
        self.door.settle()?;
        for entry in self.door.ring.completion() {
            into.extend(read(&entry)?);
        }
        Ok(())
    }
}

impl Door {
    /// Takes connections for ever.
    pub(super) fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        let accept = opcode::AcceptMulti::new(Fd(listener.as_raw_fd())).allocate_file_index(true);
        self.push(&accept.build().user_data(Kind::Accept.name(0)))
    }

    /// Asks for [`Completion::TimeIsUp`]; once only.
    pub(super) fn end_after(&mut self, time: Duration) -> Result<()> {
        *self.time = Timespec::from(time);
        let timeout = opcode::Timeout::new(&raw const *self.time);
        self.push(&timeout.build().user_data(Kind::Time.name(0)))
    }

    /// Takes what a connection sends until it is no longer armed.
    pub(super) fn receive(&mut self, slot: u32) -> Result<()> {
        let receive = opcode::RecvMulti::new(Fixed(slot), GROUP).build();
        self.push(&receive.user_data(Kind::Receive.name(slot)))
    }

    /// Sends a frame to each of the slots, one send for each.
    pub(super) fn send(&mut self, slots: &[u32], frame: &[u8]) -> Result<()> {
        let mut staged = self.stage(frame)?;
        for slot in slots {
            if self.is_full() {
                self.submit()?;
                staged = self.stage(frame)?;
            }
            let length = u32::try_from(frame.len()).context("frames are short")?;
            let flags = MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL;
            let send = opcode::Send::new(Fixed(*slot), staged, length).flags(flags).build();
            let send = send.flags(squeue::Flags::SKIP_SUCCESS);
            self.push(&send.user_data(Kind::Send.name(*slot)))?;
        }
        Ok(())
    }

    /// Closes a connection; nothing of it is in flight.
    pub(super) fn close(&mut self, slot: u32) -> Result<()> {
        let close = opcode::Close::new(Fixed(slot)).build();
        self.push(&close.user_data(Kind::Close.name(slot)))
    }

    /// Copies a frame to where it stays until the next submission.
    fn stage(&mut self, frame: &[u8]) -> Result<*const u8> {
        if self.used + frame.len() > self.arena.len() {
            self.submit()?;
        }
        let place = &mut self.arena[self.used..self.used + frame.len()];
        place.copy_from_slice(frame);
        self.used += frame.len();
        Ok(place.as_ptr())
    }

    fn is_full(&mut self) -> bool {
        self.ring.submission().is_full()
    }

    fn submit(&mut self) -> Result<()> {
        self.ring.submit()?;
        self.settle()
    }

    /// The kernel took everything, so nothing points into the arena any more.
    fn settle(&mut self) -> Result<()> {
        if !self.ring.submission().is_empty() {
            bail!("the kernel left submissions behind");
        }
        self.used = 0;
        Ok(())
    }

    fn push(&mut self, entry: &squeue::Entry) -> Result<()> {
        if self.is_full() {
            self.submit()?;
        }
        // SAFETY: sends point into the arena, which stays as it is until `settle` found that the
        // kernel took them, when a send with MSG_DONTWAIT is over. The time lives as long as the
        // ring, and receives use the registered buffers only.
        unsafe { self.ring.submission().push(entry) }.context("the queue has room")
    }
}

/// What a completion says; nothing when a close or a send to somebody who left is over.
fn read(entry: &cqueue::Entry) -> Result<Option<Completion>> {
    let more = cqueue::more(entry.flags());
    let (kind, slot) = Kind::read(entry.user_data()).context("the kernel names our operations")?;
    let result = entry.result();
    Ok(match kind {
        Kind::Accept if result >= 0 && more => Some(Completion::Accepted { slot: result as u32 }),
        Kind::Accept => bail!("accepting ended: {}", io::Error::from_raw_os_error(-result)),
        Kind::Receive if result > 0 => {
            let id = cqueue::buffer_select(entry.flags()).context("a receive names its buffer")?;
            let filled = Filled { id, bytes: result as usize };
            Some(Completion::Received { slot, filled, armed: more })
        }
        Kind::Receive if result == -ENOBUFS => Some(Completion::Starved { slot }),
        Kind::Receive if result == 0 || result == -ECONNRESET => Some(Completion::Ended { slot }),
        Kind::Receive => bail!("can't receive: {}", io::Error::from_raw_os_error(-result)),
        // It is gone; its end of file follows.
        Kind::Send if result == -EPIPE || result == -ECONNRESET => None,
        Kind::Send => bail!("a receiver does not keep up ({result})"),
        Kind::Time if result == -ETIME => Some(Completion::TimeIsUp),
        Kind::Time => bail!("no timer: {}", io::Error::from_raw_os_error(-result)),
        Kind::Close => None,
    })
}

/// Memory that the kernel picks receive buffers from.
pub(super) struct Buffers {
    memory: NonNull<u8>,
    tail: u16,
}

impl Buffers {
    fn new() -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new private mapping wherever the kernel likes touches no other memory.
        let memory =
            unsafe { mmap_anonymous(null_mut(), MAPPED_BYTES, protection, MapFlags::PRIVATE)? };
        let memory = NonNull::new(memory.cast()).expect("a mapping is never at address zero");
        Ok(Self { memory, tail: 0 })
    }

    fn register(&mut self, ring: &IoUring) -> io::Result<()> {
        let address = self.memory.as_ptr() as u64;
        // SAFETY: the memory starts on a page, holds all entries and outlives the ring: `Ring`
        // drops its door first.
        unsafe { ring.submitter().register_buf_ring_with_flags(address, FLOOR_BUFFERS, GROUP, 0)? };
        (0..FLOOR_BUFFERS).for_each(|id| self.give_back(Filled { id, bytes: 0 }));
        Ok(())
    }

    /// What the kernel wrote.
    pub(super) fn bytes(&self, filled: &Filled) -> &[u8] {
        assert!(filled.id < FLOOR_BUFFERS && filled.bytes <= FLOOR_RECEIVE_BYTES, "ours");
        // SAFETY: the assertion keeps it inside the memory, which the kernel does not write to
        // while `Filled` exists.
        unsafe { std::slice::from_raw_parts(self.buffer(filled.id), filled.bytes) }
    }

    /// Gives a buffer to the kernel to be filled again.
    pub(super) fn give_back(&mut self, filled: Filled) {
        let address = self.buffer(filled.id) as u64;
        let place = usize::from(self.tail & (FLOOR_BUFFERS - 1));
        self.tail = self.tail.wrapping_add(1);
        let entries = self.memory.as_ptr().cast::<BufRingEntry>();
        // SAFETY: there are as many entries as buffers and `place` is one of them, not the
        // kernel's before the tail moves. The tail overlaps a field that the setters leave alone;
        // it is an aligned u16 that the kernel reads atomically.
        unsafe {
            let entry = &mut *entries.add(place);
            entry.set_addr(address);
            entry.set_len(FLOOR_RECEIVE_BYTES as u32);
            entry.set_bid(filled.id);
            let tail = BufRingEntry::tail(entries).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }

    fn buffer(&self, id: u16) -> *mut u8 {
        // SAFETY: ids are below the number of buffers, so this lies in the memory.
        unsafe { self.memory.as_ptr().add(ENTRIES_BYTES + usize::from(id) * FLOOR_RECEIVE_BYTES) }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this size; the ring is closed already.
        let unmapped = unsafe { munmap(self.memory.as_ptr().cast(), MAPPED_BYTES) };
        debug_assert!(unmapped.is_ok(), "it was mapped");
    }
}

const _: () = assert!(FLOOR_BUFFERS.is_power_of_two());
const _: () = assert!(ENTRIES_BYTES.is_multiple_of(4_096));
