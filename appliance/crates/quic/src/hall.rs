//! What the tasks of the thread share: who is connected, what waits for each, the way to the core.
//!
//! One thread, so cells suffice; none is borrowed across an await.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use session::pace::AskedPages;
use session::slow::{Caps, Offer};
use tokio::sync::Notify;
use wire::SessionId;

use crate::admission::Load;
use crate::config::QuicConfig;
use crate::event::{CloseReason, Event};
use crate::events::Deliver;
use crate::frame::Frame;
use crate::limits::{RING, SESSION_BYTES_PRESSED};
use crate::outbound::Outbound;

/// Shared by all tasks.
pub(crate) struct Hall {
    pub(crate) config: QuicConfig,
    seats: RefCell<BTreeMap<SessionId, Rc<Seat>>>,
    last_number: Cell<u64>,
    events: RefCell<Box<dyn Deliver>>,
    /// Told when the core has room again.
    pub(crate) room: Notify,
    /// Told when events wait, or nobody takes them any more.
    pub(crate) choked: Notify,
    /// Bytes queued for all sessions.
    queued: Cell<usize>,
    connections: Cell<usize>,
    strangers: Cell<usize>,
    /// Told when the last connection is over.
    empty: Notify,
    stopping: Cell<bool>,
}

/// One session as the thread sees it; its task has the rest.
pub(crate) struct Seat {
    pub(crate) id: SessionId,
    state: RefCell<State>,
    /// Told when there is something to send, or it is over.
    pub(crate) wake: Notify,
}

struct State {
    outbound: Outbound,
    asked_pages: AskedPages,
    /// Given back when somebody signed in, or at the end.
    permit: Option<Stranger>,
    end: Option<CloseReason>,
}

/// A connection for as long as it lasts.
pub(crate) struct Place(Rc<Hall>);

/// A connection while nobody signed in on it.
pub(crate) struct Stranger {
    hall: Rc<Hall>,
    _permit: Box<dyn Send>,
}

impl Hall {
    pub(crate) fn new(config: QuicConfig, events: Box<dyn Deliver>) -> Rc<Self> {
        Rc::new(Self {
            config,
            seats: RefCell::default(),
            last_number: Cell::default(),
            events: RefCell::new(events),
            room: Notify::new(),
            choked: Notify::new(),
            queued: Cell::default(),
            connections: Cell::default(),
            strangers: Cell::default(),
            empty: Notify::new(),
            stopping: Cell::default(),
        })
    }

    pub(crate) fn load(&self) -> Load {
        Load {
            connections: self.connections.get(),
            connections_max: self.config.connections_max,
            strangers: self.strangers.get(),
            stopping: self.stopping.get(),
        }
    }

    /// Counts a connection that was let in.
    pub(crate) fn admit(self: &Rc<Self>, permit: Box<dyn Send>) -> (Place, Stranger) {
        self.connections.set(self.connections.get() + 1);
        self.strangers.set(self.strangers.get() + 1);
        (Place(Rc::clone(self)), Stranger { hall: Rc::clone(self), _permit: permit })
    }

    /// Gives a session its seat; none when the server stops.
    pub(crate) fn sit_down(&self, permit: Stranger) -> Option<Rc<Seat>> {
        if self.stopping.get() {
            return None;
        }
        let number = self.last_number.get() + 1;
        self.last_number.set(number);
        let seat = Rc::new(Seat {
            // Numbered on for ever, where rings have a generation and a slot.
            id: SessionId((RING as u64) << 56 | number & (u64::MAX >> 8)),
            state: RefCell::new(State {
                outbound: Outbound::default(),
                asked_pages: AskedPages::default(),
                permit: Some(permit),
                end: None,
            }),
            wake: Notify::new(),
        });
        self.seats.borrow_mut().insert(seat.id, Rc::clone(&seat));
        Some(seat)
    }

    /// The session is over for the core.
    pub(crate) fn leave(&self, session: SessionId, reason: CloseReason) {
        if self.seats.borrow_mut().remove(&session).is_some() {
            self.push(Event::Closed { session, reason });
        }
    }

    /// Queues a frame for a session by its caps.
    pub(crate) fn offer(&self, session: SessionId, frame: &Frame, flush_note: bool) {
        let seat = self.seats.borrow().get(&session).cloned();
        if let Some(seat) = seat {
            self.offer_to(&seat, frame, flush_note);
        }
    }

    pub(crate) fn offer_to(&self, seat: &Seat, frame: &Frame, flush_note: bool) {
        let mut state = seat.state.borrow_mut();
        if state.end.is_some() {
            return;
        }
        if frame.is_welcome() {
            state.permit = None;
        }
        if let Some(request) = frame.answered_page() {
            state.asked_pages.answered(request);
        }
        match state.outbound.offer(frame, flush_note, self.caps()) {
            Offer::Queued => self.queued.set(self.queued.get() + frame.bytes().len()),
            Offer::Dropped => {}
            Offer::Overflowed => self.push(Event::Overflowed { session: seat.id }),
            Offer::TooSlow => state.end = Some(CloseReason::TooSlow),
        }
        seat.wake.notify_one();
    }

    /// Queues a last frame; the session ends once it is out.
    pub(crate) fn dismiss(&self, session: SessionId, frame: &Frame, reason: CloseReason) {
        let seat = self.seats.borrow().get(&session).cloned();
        if let Some(seat) = seat {
            self.offer_to(&seat, frame, false);
            seat.state.borrow_mut().end.get_or_insert(reason);
            seat.wake.notify_one();
        }
    }

    /// Ends all sessions with a last frame; nobody comes in any more.
    pub(crate) fn stop(&self, frame: &Frame) {
        self.stopping.set(true);
        let sessions: Vec<_> = self.seats.borrow().keys().copied().collect();
        for session in sessions {
            self.dismiss(session, frame, CloseReason::ShuttingDown);
        }
    }

    /// Waits until no connection is left.
    pub(crate) async fn emptied(&self) {
        while self.connections.get() > 0 {
            self.empty.notified().await;
        }
    }

    pub(crate) fn push(&self, event: Event) {
        self.events.borrow_mut().push(event);
        if self.is_choked() || self.is_deserted() {
            self.choked.notify_one();
        }
    }

    /// Delivers what events the core has room for.
    pub(crate) fn flush_events(&self) {
        self.events.borrow_mut().flush();
    }

    /// The core has no room: decode nothing.
    pub(crate) fn is_choked(&self) -> bool {
        self.events.borrow().is_choked()
    }

    /// Nobody listens any more.
    pub(crate) fn is_deserted(&self) -> bool {
        self.events.borrow().is_gone()
    }

    /// Bytes of a session's are with the connection, or given up.
    fn unqueue(&self, bytes: usize) {
        self.queued.set(self.queued.get() - bytes);
    }

    fn caps(&self) -> Caps {
        let pressed = self.queued.get() > self.config.bytes_max;
        let soft = self.config.session_bytes_max;
        Caps {
            soft: if pressed { soft.min(SESSION_BYTES_PRESSED) } else { soft },
            hard: self.config.session_bytes_hard_max,
        }
    }
}

impl Seat {
    /// Somebody signed in.
    pub(crate) fn is_known(&self) -> bool {
        self.state.borrow().permit.is_none()
    }

    /// Why it is over, if it is.
    pub(crate) fn end(&self) -> Option<CloseReason> {
        self.state.borrow().end
    }

    /// Holds so much, or has so many pages under way, that nothing more is read from it.
    pub(crate) fn has_enough(&self, bytes_max: usize) -> bool {
        let state = self.state.borrow();
        state.outbound.bytes() > bytes_max || state.asked_pages.is_full()
    }

    /// A request goes to the core.
    pub(crate) fn ask(&self, request: u32, message: &wire::ClientMessage) {
        self.state.borrow_mut().asked_pages.ask(request, message);
    }

    /// Moves frames out for the next send; gives the notes among them.
    pub(crate) fn take(&self, out: &mut Vec<bytes::Bytes>) -> u32 {
        self.state.borrow_mut().outbound.take(out)
    }

    /// So many bytes are with the connection.
    pub(crate) fn sent(&self, hall: &Hall, bytes: usize) {
        self.state.borrow_mut().outbound.sent(bytes);
        hall.unqueue(bytes);
    }

    /// What still waits is given up.
    pub(crate) fn give_up(&self, hall: &Hall) {
        let waiting = std::mem::take(&mut self.state.borrow_mut().outbound);
        hall.unqueue(waiting.bytes());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
        self.0.empty.notify_one();
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.hall.strangers.set(self.hall.strangers.get() - 1);
    }
}
