//! The provided-buffer ring: memory that the kernel picks receive buffers from.
//!
//! A buffer belongs either to the kernel or to one `Filled`, which can't be copied: whoever holds
//! it may read the bytes, and giving it back ends that. One allocation, as long as the ring.
#![allow(unsafe_code)]

use std::io;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::limits::RECEIVE_BUFFER_BYTES;

/// The only buffer group of a ring.
pub(crate) const GROUP: u16 = 0;

/// The buffers start on a page of their own, as the ring of entries does.
const PAGE_BYTES: usize = 4096;

/// All receive buffers of one ring.
pub(crate) struct Buffers {
    memory: NonNull<u8>,
    mapped_bytes: usize,
    count: u16,
    tail: u16,
    keep: bool,
}

/// A buffer that the kernel filled and gave to us.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    id: u16,
    bytes: u32,
}

impl Buffers {
    /// Maps the memory for `count` buffers, a power of two; none is the kernel's yet. Pages
    /// cost nothing until the kernel first writes to them.
    pub(crate) fn new(count: u16) -> io::Result<Self> {
        let entries = (usize::from(count) * size_of::<BufRingEntry>()).next_multiple_of(PAGE_BYTES);
        let mapped_bytes = entries + usize::from(count) * RECEIVE_BUFFER_BYTES as usize;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new private mapping wherever the kernel likes touches no other memory.
        let memory =
            unsafe { mmap_anonymous(null_mut(), mapped_bytes, protection, MapFlags::PRIVATE)? };
        let memory = NonNull::new(memory.cast()).expect("a mapping is never at address zero");
        Ok(Self { memory, mapped_bytes, count, tail: 0, keep: false })
    }

    /// Makes the buffers known to the ring and gives all of them to the kernel.
    pub(crate) fn register(&mut self, submitter: &Submitter<'_>) -> io::Result<()> {
        let address = self.memory.as_ptr() as u64;
        // SAFETY: the memory starts on a page, holds `count` entries, and is freed only after
        // the ring was closed with nothing in flight (`keep` otherwise).
        unsafe { submitter.register_buf_ring_with_flags(address, self.count, GROUP, 0)? };
        for id in 0..self.count {
            self.give_back(Filled { id, bytes: 0 });
        }
        Ok(())
    }

    /// Claims a buffer that a completion named: the kernel filled `bytes` of it.
    /// Only the ring may call this, once per completion.
    pub(crate) fn claim(&self, id: u16, bytes: u32) -> Filled {
        assert!(id < self.count && bytes <= RECEIVE_BUFFER_BYTES, "the kernel names our buffers");
        Filled { id, bytes }
    }

    /// What the kernel wrote.
    pub(crate) fn bytes(&self, filled: &Filled) -> &[u8] {
        let start = self.buffer(filled.id);
        // SAFETY: `claim` checked that id and length lie in the memory, which was mapped as zeros;
        // while `Filled` exists the buffer is not the kernel's, so nobody writes to it.
        unsafe { std::slice::from_raw_parts(start, filled.bytes as usize) }
    }

    /// Gives a buffer to the kernel to be filled again.
    pub(crate) fn give_back(&mut self, filled: Filled) {
        let address = self.buffer(filled.id) as u64;
        let place = usize::from(self.tail & (self.count - 1));
        self.tail = self.tail.wrapping_add(1);
        let entries = self.memory.as_ptr().cast::<BufRingEntry>();
        // SAFETY: `place` is below `count`, so the entry lies in the memory. There are as many
        // entries as buffers and this one is ours, so the kernel does not read the entry before
        // the tail moves. The tail overlaps only the reserved field of the first entry, which
        // the setters leave alone; it is an aligned u16 that the kernel reads atomically.
        unsafe {
            let entry = &mut *entries.add(place);
            entry.set_addr(address);
            entry.set_len(RECEIVE_BUFFER_BYTES);
            entry.set_bid(filled.id);
            let tail = BufRingEntry::tail(entries).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }

    /// Leaks the memory instead of freeing it: the kernel may still write to it.
    pub(crate) fn keep_for_ever(&mut self) {
        self.keep = true;
    }

    fn buffer(&self, id: u16) -> *mut u8 {
        let buffers = self.mapped_bytes - usize::from(self.count) * RECEIVE_BUFFER_BYTES as usize;
        let offset = buffers + usize::from(id) * RECEIVE_BUFFER_BYTES as usize;
        // SAFETY: ids are below `count`, so the buffer lies in the memory.
        unsafe { self.memory.as_ptr().add(offset) }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        if !self.keep {
            // SAFETY: mapped by `new` with this size; the ring is closed and nothing was in flight,
            // so neither the kernel nor a `Filled`, which ends with the ring, uses it any more.
            if let Err(error) = unsafe { munmap(self.memory.as_ptr().cast(), self.mapped_bytes) } {
                tracing::error!(%error, "receive buffers could not be unmapped");
            }
        }
    }
}
