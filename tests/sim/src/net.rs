//! Connections: frames stay in order inside one, are late, and vanish with it. The queue towards a
//! client has a byte cap like the rings': above it frames without a request are dropped until the
//! next one with a `flush_note`.

use std::collections::VecDeque;

use chat::{Input, SessionId};
use wire::server::{Message, Reason};
use wire::{ClientMessage, ServerMessage};

use crate::violation::{Checked, ensure};
use crate::world::{Event, World};

/// One connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) client: usize,
    session: SessionId,
    /// The box's program that accepted it.
    generation: u64,
    /// Frames may still flow.
    open: bool,
    queue: VecDeque<Frame>,
    queued_bytes: usize,
    dropping: bool,
    draining: bool,
    pub(crate) paused_until: u64,
    last_arrival: u64,
}

#[derive(Debug)]
struct Frame {
    request: u32,
    message: ServerMessage,
    flush_note: bool,
    bytes: usize,
}

fn bytes_of(message: &ServerMessage) -> usize {
    let mut body = Vec::new();
    message.write_postcard(&mut body);
    body.len() + 11
}

impl World {
    /// A client dials.
    pub(crate) fn connect(&mut self, client: usize) -> Checked {
        if self.link_of[client].is_some() || self.clients[client].retired {
            return Ok(());
        }
        if !self.machine.up() {
            let delay = self.random.between(50, 800);
            self.after(delay, Event::Connect { client });
            return Ok(());
        }
        let link = self.links.len();
        self.links.push(Link {
            client,
            session: SessionId(link as u64 + 1),
            generation: self.machine.generation,
            open: true,
            queue: VecDeque::new(),
            queued_bytes: 0,
            dropping: false,
            draining: false,
            paused_until: 0,
            last_arrival: self.now,
        });
        self.link_of[client] = Some(link);
        let delay = self.latency();
        self.after(delay, Event::Opened { link });
        Ok(())
    }

    fn latency(&mut self) -> u64 {
        self.random.between(1, self.plan.network_ms_max)
    }

    pub(crate) fn opened(&mut self, link: usize) -> Checked {
        let (session, here) = (self.links[link].session, self.here(link));
        if here { self.input(Input::Connected { session }) } else { Ok(()) }
    }

    /// The program that accepted the connection still runs.
    fn here(&self, link: usize) -> bool {
        self.machine.up() && self.links[link].generation == self.machine.generation
    }

    /// Sends a client's frames; one may be lost, come twice or late, never out of order.
    pub(crate) fn send(&mut self, client: usize, frames: Vec<(u32, ClientMessage)>) {
        let Some(link) = self.link_of[client] else { return };
        for (request, message) in frames {
            let command = message.counter().is_some();
            if self.active && command && self.random.chance(self.plan.drops) {
                self.note(|| format!("link {link} loses {message:?}"));
                continue;
            }
            let copies =
                1 + u64::from(command && self.active && self.random.chance(self.plan.duplicates));
            for _ in 0..copies {
                self.send_once(client, request, message.clone());
            }
        }
    }

    /// Sends one frame that is neither lost nor repeated.
    pub(crate) fn send_once(&mut self, client: usize, request: u32, message: ClientMessage) {
        let Some(link) = self.link_of[client] else { return };
        let arrival = (self.now + self.latency()).max(self.links[link].last_arrival);
        self.links[link].last_arrival = arrival;
        self.after(arrival - self.now, Event::Arrive { link, request, message });
    }

    pub(crate) fn arrive(&mut self, link: usize, request: u32, message: ClientMessage) -> Checked {
        if !self.here(link) {
            return Ok(());
        }
        self.note(|| format!("link {link} <- {request} {message:?}"));
        let session = self.links[link].session;
        self.input(Input::Frame { session, request, message })
    }

    /// The connection breaks. What was on its way to the box may still arrive, so that for a while
    /// a device has two sessions; what was on its way to the client is lost.
    pub(crate) fn reset(&mut self, client: usize) {
        let Some(link) = self.link_of[client].take() else { return };
        self.note(|| format!("link {link} of client {client} breaks"));
        self.clients[client].disconnected();
        self.links[link].open = false;
        self.links[link].queue.clear();
        let arrival = self.links[link].last_arrival.max(self.now);
        let late = self.random.between(1, 2_000);
        self.after(arrival - self.now + late, Event::Gone { link });
    }

    pub(crate) fn gone(&mut self, link: usize) -> Checked {
        let session = self.links[link].session;
        if self.here(link) { self.input(Input::Disconnected { session }) } else { Ok(()) }
    }

    /// The box says its last word to a session.
    pub(crate) fn close_link(&mut self, session: SessionId, reason: Reason) -> Checked {
        let link = usize::try_from(session.0).expect("links are few") - 1;
        let client = self.links[link].client;
        if reason == Reason::BadToken {
            let device = self.clients[client].device;
            ensure(!self.truth.devices.contains(&device), "tokens are honoured", || {
                format!("device {device} is turned away")
            })?;
            self.clients[client].retired = true;
        }
        self.links[link].open = false;
        if self.link_of[client] == Some(link) {
            self.link_of[client] = None;
            self.clients[client].disconnected();
            let delay = self.random.between(100, 1_000);
            self.after(delay, Event::Connect { client });
        }
        Ok(())
    }

    /// Every connection ends with the program.
    pub(crate) fn cut_links(&mut self) {
        for client in 0..self.clients.len() {
            if let Some(link) = self.link_of[client].take() {
                self.links[link].open = false;
                self.links[link].queue.clear();
                self.clients[client].disconnected();
                let delay = self.random.between(20, 1_500);
                self.after(delay, Event::Connect { client });
            }
        }
    }

    /// A frame for one session enters its queue, or is dropped.
    pub(crate) fn queue(
        &mut self,
        session: SessionId,
        request: u32,
        message: &ServerMessage,
        flush_note: bool,
    ) -> Checked {
        let index = usize::try_from(session.0).expect("links are few") - 1;
        self.check_audience(index, message)?;
        let cap = self.plan.queue_bytes_max;
        let link = &mut self.links[index];
        if !link.open {
            return Ok(());
        }
        let bytes = bytes_of(message);
        if request == 0 && !flush_note {
            if link.dropping {
                return Ok(());
            }
            if link.queued_bytes + bytes > cap {
                link.dropping = true;
                self.tally.overflows += 1;
                let delay = self.random.between(1, 40);
                self.after(delay, Event::Overflowed { link: index });
                return Ok(());
            }
        }
        link.dropping &= !flush_note;
        link.queued_bytes += bytes;
        link.queue.push_back(Frame { request, message: message.clone(), flush_note, bytes });
        self.drain_later(index);
        Ok(())
    }

    fn drain_later(&mut self, index: usize) {
        let latency = self.latency();
        let link = &mut self.links[index];
        if link.draining || link.queue.is_empty() {
            return;
        }
        link.draining = true;
        let at = (self.now + latency).max(link.paused_until);
        self.after(at - self.now, Event::Drain { link: index });
    }

    /// The client reads some frames.
    pub(crate) fn drain(&mut self, index: usize) -> Checked {
        self.links[index].draining = false;
        for _ in 0..self.random.between(1, 20) {
            if !self.links[index].open {
                return Ok(());
            }
            let Some(frame) = self.links[index].queue.pop_front() else { break };
            self.links[index].queued_bytes -= frame.bytes;
            if frame.flush_note {
                self.after(1, Event::Flushed { link: index });
            }
            let client = self.links[index].client;
            self.note(|| format!("client {client} <- {} {:?}", frame.request, frame.message));
            self.tally.meet_message(&frame.message);
            let now = self.now;
            let frames = self.clients[client].receive(now, frame.request, frame.message)?;
            self.send(client, frames);
        }
        self.drain_later(index);
        Ok(())
    }

    pub(crate) fn flushed(&mut self, link: usize) -> Checked {
        let session = self.links[link].session;
        if self.here(link) { self.input(Input::Flushed { session }) } else { Ok(()) }
    }

    pub(crate) fn overflowed(&mut self, link: usize) -> Checked {
        let session = self.links[link].session;
        self.note(|| format!("link {link} overflows"));
        if self.here(link) { self.input(Input::Overflowed { session }) } else { Ok(()) }
    }

    /// A message goes only to people who may see it, or once could.
    fn check_audience(&self, link: usize, message: &ServerMessage) -> Checked {
        let user = self.clients[self.links[link].client].user;
        let shown: Vec<&Message> = match message {
            ServerMessage::Message(message) => vec![message],
            ServerMessage::HistoryPage(page) => page.messages.iter().collect(),
            ServerMessage::Room(room) => room.last.iter().collect(),
            _ => Vec::new(),
        };
        // What is not durable yet is another check's business: it must survive a power cut.
        for message in shown.into_iter().filter(|message| message.offset <= self.truth.head()) {
            let (room, seq) = (message.room, message.seq);
            ensure(self.truth.ever_saw(user, room, seq), "visibility", || {
                format!("user {user} gets message {seq} of room {room}")
            })?;
        }
        Ok(())
    }
}
