//! History pages: looks up the index and reads the log, both on the file thread.

use std::sync::Arc;

use chat::Ticket;
use files::{Files, HistoryRead, Wanted};
use store::MessageIndex;
use wire::ids::{RoomId, Seq};

use crate::link::{Link, ReadDone};
use store::records::to_message;

/// A page that the core wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageRead {
    pub(crate) ticket: Ticket,
    pub(crate) room: RoomId,
    pub(crate) first: Seq,
    pub(crate) last: Seq,
}

/// Where pages come from.
#[derive(Clone)]
pub(crate) struct Pages {
    pub(crate) files: Files,
    pub(crate) index: MessageIndex,
    pub(crate) link: Arc<Link>,
}

impl Pages {
    /// Asks for a page; false when the file thread has too much to do.
    pub(crate) fn ask(&self, read: &PageRead) -> bool {
        let (index, link, read) = (self.index.clone(), self.link.clone(), *read);
        let locate = Box::new(move || locate(&index, &read));
        let deliver = Box::new(move |found| link.read_done(page(&read, found)));
        self.files.history(locate, deliver).is_ok()
    }
}

fn locate(index: &MessageIndex, read: &PageRead) -> Vec<Wanted> {
    match index.range(read.room, read.first, read.last) {
        Ok(entries) => entries
            .into_iter()
            .map(|entry| Wanted { offset: entry.offset.0, position: entry.position })
            .collect(),
        Err(error) => {
            tracing::error!(room = %read.room, %error, "the index could not be read");
            Vec::new()
        }
    }
}

/// What is not there counts as damaged: the reader is told that something is missing.
fn page(read: &PageRead, found: HistoryRead) -> ReadDone {
    let messages: Vec<_> = found
        .records
        .iter()
        .filter_map(to_message)
        .filter(|message| message.room == read.room)
        .filter(|message| (read.first..=read.last).contains(&message.seq))
        .collect();
    let wanted = read.last.0 - read.first.0 + 1;
    let damaged = wanted.saturating_sub(messages.len() as u64);
    ReadDone { ticket: read.ticket, messages, damaged: u32::try_from(damaged).unwrap_or(u32::MAX) }
}
