//! How the other threads reach the core. The core waits on one channel, the rings' events; what
//! comes from elsewhere waits in mailboxes that can't fill (their senders are bounded by what the
//! core asked for), and a wake-up is tried on the channel. A full channel needs no wake-up: the
//! core is busy and looks into the mailboxes before it waits again. So nobody who is waited for
//! ever waits for the core, and no circle of full queues can form.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use chat::{ApiCall, ApiError, ApiReply, Ticket};
use ring::{RingEvent, SessionId};
use tokio::sync::oneshot;
use wire::ids::Offset;
use wire::server::Message;

use crate::limits::{API_CALLS_MAX, CORE_QUEUE};

/// Nobody's session: a note about it only wakes the core. Rings never give out this id.
const NOBODY: SessionId = SessionId(u64::MAX);

/// A call from the web thread and where its answer goes.
pub(crate) struct ApiRequest {
    pub(crate) call: ApiCall,
    pub(crate) answer: oneshot::Sender<Result<ApiReply, ApiError>>,
}

/// A history page from the file thread.
pub(crate) struct ReadDone {
    pub(crate) ticket: Ticket,
    pub(crate) messages: Vec<Message>,
    pub(crate) damaged: u32,
}

/// What became of a checkpoint.
pub(crate) struct CheckpointEnd {
    pub(crate) applied: Offset,
    pub(crate) done: bool,
}

/// Held by every thread that tells the core something.
pub(crate) struct Link {
    events: SyncSender<RingEvent>,
    api: SyncSender<ApiRequest>,
    reads: SyncSender<ReadDone>,
    checkpoints: SyncSender<CheckpointEnd>,
    durable: AtomicU64,
    room: AtomicU64,
    stopping: AtomicBool,
}

/// The core's end.
pub(crate) struct Inbox {
    pub(crate) events: Receiver<RingEvent>,
    pub(crate) api: Receiver<ApiRequest>,
    pub(crate) reads: Receiver<ReadDone>,
    pub(crate) checkpoints: Receiver<CheckpointEnd>,
}

/// A link and its inbox. `durable` is what the log holds already.
pub(crate) fn link(durable: Offset) -> (Arc<Link>, Inbox) {
    let (events, event_inbox) = sync_channel(CORE_QUEUE);
    let (api, api_inbox) = sync_channel(API_CALLS_MAX);
    let (reads, read_inbox) = sync_channel(chat::limits::READS_MAX);
    // The core has one checkpoint under way at a time.
    let (checkpoints, checkpoint_inbox) = sync_channel(2);
    let link = Link {
        events,
        api,
        reads,
        checkpoints,
        durable: AtomicU64::new(durable.0),
        room: AtomicU64::new(u64::MAX),
        stopping: AtomicBool::new(false),
    };
    let inbox = Inbox {
        events: event_inbox,
        api: api_inbox,
        reads: read_inbox,
        checkpoints: checkpoint_inbox,
    };
    (Arc::new(link), inbox)
}

impl Link {
    /// Where the rings put their events.
    pub(crate) fn events(&self) -> SyncSender<RingEvent> {
        self.events.clone()
    }

    fn wake(&self) {
        let _ = self.events.try_send(RingEvent::Flushed { session: NOBODY });
    }

    /// Asks the core; none when too many calls wait already or the core is gone.
    pub(crate) fn call(
        &self,
        call: ApiCall,
    ) -> Option<oneshot::Receiver<Result<ApiReply, ApiError>>> {
        let (answer, receiver) = oneshot::channel();
        self.api.try_send(ApiRequest { call, answer }).ok()?;
        self.wake();
        Some(receiver)
    }

    pub(crate) fn read_done(&self, done: ReadDone) {
        if let Err(TrySendError::Full(_)) = self.reads.try_send(done) {
            tracing::error!("a history page had no place in the core's mailbox");
        }
        self.wake();
    }

    pub(crate) fn checkpoint_end(&self, end: CheckpointEnd) {
        if let Err(TrySendError::Full(_)) = self.checkpoints.try_send(end) {
            tracing::error!("a checkpoint's end had no place in the core's mailbox");
        }
        self.wake();
    }

    /// Everything up to `offset` is on the card.
    pub(crate) fn set_durable(&self, offset: u64) {
        self.durable.store(offset, Ordering::Release);
        self.wake();
    }

    pub(crate) fn durable(&self) -> Offset {
        Offset(self.durable.load(Ordering::Acquire))
    }

    /// Bytes that the log can still take.
    pub(crate) fn set_room(&self, bytes: u64) {
        if self.room.swap(bytes, Ordering::AcqRel) != bytes {
            self.wake();
        }
    }

    pub(crate) fn room(&self) -> u64 {
        self.room.load(Ordering::Acquire)
    }

    /// Finish what is under way, then end.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake();
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}
