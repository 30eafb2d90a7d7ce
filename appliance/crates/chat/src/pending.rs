//! Outputs held until the records they reflect are durable: one queue, in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use wire::ServerMessage;
use wire::ids::{Offset, RoomId};

use crate::audience::same_list;
use crate::limits::OWED_LISTS_MAX;
use crate::port::{Output, Targets};

/// Bytes a held output takes beside its texts.
const OVERHEAD_BYTES: usize = 128;

/// The queue. `needs` never falls from one held output to the next, so releasing is popping.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    held: VecDeque<Held>,
    ready: VecDeque<Output>,
    durable: Offset,
    bytes: usize,
    /// Lists of live sessions that got news since their last `caught_up`, by the room of the news.
    owed: BTreeMap<RoomId, Vec<Targets>>,
}

#[derive(Debug)]
struct Held {
    needs: Offset,
    bytes: usize,
    /// The room that a `caught_up` is owed for.
    news: Option<RoomId>,
    output: Output,
}

impl Pending {
    pub(crate) fn starting_at(durable: Offset) -> Self {
        Self { durable, ..Self::default() }
    }

    pub(crate) const fn durable(&self) -> Offset {
        self.durable
    }

    /// Bytes of held outputs.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lets an output go at once: it reflects no record.
    pub(crate) fn at_once(&mut self, output: Output) {
        self.ready.push_back(output);
    }

    /// Holds an output until `needs` is durable.
    pub(crate) fn hold(&mut self, needs: Offset, output: Output) {
        self.push(needs, None, output);
    }

    /// Holds news of a room for live sessions; when it goes, they are owed a `caught_up`.
    pub(crate) fn hold_news(&mut self, needs: Offset, room: RoomId, output: Output) {
        self.push(needs, Some(room), output);
    }

    fn push(&mut self, needs: Offset, news: Option<RoomId>, output: Output) {
        debug_assert!(self.held.back().is_none_or(|last| last.needs <= needs));
        let bytes = weight(&output, self.held.back().map(|last| &last.output));
        let held = Held { needs, bytes, news, output };
        if needs <= self.durable && self.held.is_empty() {
            self.go(held);
        } else {
            self.bytes += bytes;
            self.held.push_back(held);
        }
    }

    fn go(&mut self, held: Held) {
        if let Some(room) = held.news
            && let Output::Send { to, .. } = &held.output
        {
            let lists = self.owed.entry(room).or_default();
            if lists.last().is_none_or(|last| !same_list(last, to)) {
                lists.push(to.clone());
            }
            if lists.len() > OWED_LISTS_MAX {
                let all: BTreeSet<_> = lists.iter().flat_map(Targets::as_slice).copied().collect();
                *lists = vec![all.into_iter().collect::<Vec<_>>().into()];
            }
        }
        self.ready.push_back(held.output);
    }

    /// Everything up to `durable` is on the card.
    pub(crate) fn release(&mut self, durable: Offset) {
        self.durable = self.durable.max(durable);
        while self.held.front().is_some_and(|held| held.needs <= self.durable) {
            self.pop();
        }
    }

    /// The sessions that got news since the last time, by the room of the news. With `more` they
    /// are owed another one.
    pub(crate) fn owed(&mut self, more: bool) -> BTreeMap<RoomId, Vec<Targets>> {
        if more { self.owed.clone() } else { std::mem::take(&mut self.owed) }
    }

    fn pop(&mut self) {
        if let Some(held) = self.held.pop_front() {
            self.bytes -= held.bytes;
            self.go(held);
        }
    }

    /// The next output that may go.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.ready.pop_front()
    }

    /// Breaks the rule of this queue, for the simulator.
    pub(crate) fn release_unsynced(&mut self) {
        let checkpoint = |held: &Held| matches!(held.output, Output::Checkpoint { .. });
        while self.held.front().is_some_and(|held| !checkpoint(held)) {
            self.pop();
        }
    }
}

/// A list that the output before has too is counted there.
fn weight(output: &Output, before: Option<&Output>) -> usize {
    let content = match output {
        Output::Send { to, message, .. } => {
            let counted =
                matches!(before, Some(Output::Send { to: other, .. }) if same_list(other, to));
            let list = if counted { 0 } else { size_of_val(to.as_slice()) };
            list + message_bytes(message)
        }
        Output::Checkpoint { changes, .. } => changes.len() * 64,
        Output::Append(_) | Output::Close { .. } | Output::ApiDone { .. } | Output::Read { .. } => {
            0
        }
    };
    OVERHEAD_BYTES + content
}

/// Bytes of a message, roughly: texts and lists count, the rest is small.
pub(crate) fn message_bytes(message: &ServerMessage) -> usize {
    match message {
        ServerMessage::Message(body) => 64 + body.text.len(),
        ServerMessage::Room(body) => {
            let last = body.last.as_ref().map_or(0, |last| 64 + last.text.len());
            64 + body.name.len() + body.members.len() * 16 + last
        }
        ServerMessage::HistoryPage(body) => {
            body.messages.iter().map(|message| 64 + message.text.len()).sum()
        }
        ServerMessage::MembersChanged(body) => 32 + size_of_val(&body.members[..]),
        ServerMessage::User(body) => 32 + body.name.len(),
        _ => 48,
    }
}
