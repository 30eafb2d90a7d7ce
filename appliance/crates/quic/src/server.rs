//! The thread "quic": a tokio of its own that accepts, serves and stops; see [`Quic::start`].

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use quinn::{Endpoint, Incoming, TokioRuntime, VarInt};
use session::answers;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout, timeout_at};
use wire::server::Closing;

use crate::admission::{Verdict, decide};
use crate::config::{Admit, Door, QuicConfig};
use crate::error::{StartError, io};
use crate::event::{CloseReason, Event};
use crate::events::{Channel, Deliver};
use crate::frame::Frame;
use crate::hall::Hall;
use crate::limits::{CHOKED_RETRY, IDLE_WITHIN, SHUTDOWN_WITHIN};
use crate::outbox::{Command, Orders, QuicHandle};
use crate::parting::close_code;
use crate::{talk, transport};

/// The running thread. Dropping it stops it like [`Quic::shutdown`].
pub struct Quic {
    handle: QuicHandle,
    address: SocketAddr,
    stopping: bool,
    thread: Option<JoinHandle<()>>,
}

impl Quic {
    /// Starts the thread; `way` is what [`crate::queue`] gave. Events go into the bounded channel
    /// as what `convert` makes of them; whoever empties it waits for this thread in
    /// [`crate::Outbox`] at most.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start<E: Send + 'static>(
        config: QuicConfig,
        door: Door,
        (handle, orders): (QuicHandle, Orders),
        events: SyncSender<E>,
        convert: fn(Event) -> E,
    ) -> Result<Self, StartError> {
        let (ready, is_ready) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("quic".to_owned())
            .spawn(move || {
                let runtime = match runtime() {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(ready.send(Err(error))),
                };
                let events: Box<dyn Deliver> = Box::new(Channel::new(events, convert));
                let hall = Hall::new(config, events);
                LocalSet::new().block_on(&runtime, async move {
                    match open(&hall, door) {
                        Ok((endpoint, address, admit)) => {
                            // Nobody waits for it any more: then nobody has the handle either.
                            let _ = ready.send(Ok(address));
                            serve(hall, endpoint, admit, orders).await;
                        }
                        Err(error) => drop(ready.send(Err(error))),
                    }
                });
            })
            .map_err(io("the QUIC thread does not start"))?;
        let address = is_ready.recv().expect("the thread says whether it is ready")?;
        Ok(Self { handle, address, stopping: false, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells every session why and gives the last frames a bounded time; does not wait for it.
    pub fn begin_shutdown(&mut self, closing: Closing) {
        if !std::mem::replace(&mut self.stopping, true) {
            self.handle.outbox().stop(Frame::new(closing, 0), Instant::now() + SHUTDOWN_WITHIN);
        }
    }

    /// The same, and waits for the end of the thread.
    pub fn shutdown(mut self, closing: Closing) {
        self.begin_shutdown(closing);
    }
}

impl Drop for Quic {
    fn drop(&mut self) {
        self.begin_shutdown(answers::closing());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the QUIC thread had panicked");
        }
    }
}

fn runtime() -> Result<Runtime, StartError> {
    Builder::new_current_thread().enable_all().build().map_err(io("its runtime does not start"))
}

/// Opens the endpoint on this thread's runtime.
fn open(hall: &Hall, door: Door) -> Result<(Endpoint, SocketAddr, Admit), StartError> {
    let Door { socket, tls, admit, reset_seed } = door;
    let server = transport::server(&hall.config, tls)?;
    let endpoint = transport::endpoint(reset_seed);
    let endpoint = Endpoint::new(endpoint, Some(server), socket, Arc::new(TokioRuntime))
        .map_err(io("the UDP socket is unusable"))?;
    let address = endpoint.local_addr().map_err(io("the UDP socket is unusable"))?;
    Ok((endpoint, address, admit))
}

/// Serves until it is told to stop and all are gone, or the time for that is over.
async fn serve(hall: Rc<Hall>, endpoint: Endpoint, admit: Admit, orders: Orders) {
    let accepting = spawn_local(accept(Rc::clone(&hall), endpoint.clone(), admit));
    let until = tokio::select! {
        until = take_orders(&hall, orders) => until,
        () = deliver(&hall) => {
            tracing::warn!("nobody takes events any more; QUIC stops");
            hall.stop(&Frame::new(answers::closing(), 0));
            Instant::now() + SHUTDOWN_WITHIN
        }
    };
    if timeout_at(until.into(), hall.emptied()).await.is_err() {
        tracing::debug!("some QUIC sessions did not take their last frames in time");
    }
    accepting.abort();
    endpoint.close(VarInt::from_u32(close_code(CloseReason::ShuttingDown)), b"stopped");
    let _ = timeout(IDLE_WITHIN, endpoint.wait_idle()).await;
}

/// Carries out what the core wants; ends with the time until which everything must be over.
async fn take_orders(hall: &Hall, mut orders: Orders) -> Instant {
    while let Some(batch) = orders.batches.recv().await {
        for command in batch {
            match command {
                Command::Send { to, frame, flush_note } => {
                    for session in to.as_slice() {
                        hall.offer(*session, &frame, flush_note);
                    }
                }
                Command::Close { session, frame } => {
                    hall.dismiss(session, &frame, CloseReason::Asked);
                }
                Command::Stop { frame, until } => {
                    hall.stop(&frame);
                    return until;
                }
            }
        }
    }
    Instant::now()
}

/// Delivers events that found the channel full; ends when nobody listens any more.
async fn deliver(hall: &Hall) {
    while !hall.is_deserted() {
        hall.choked.notified().await;
        while hall.is_choked() {
            sleep(CHOKED_RETRY).await;
            hall.flush_events();
        }
        hall.room.notify_waiters();
    }
}

async fn accept(hall: Rc<Hall>, endpoint: Endpoint, admit: Admit) {
    while let Some(incoming) = endpoint.accept().await {
        consider(&hall, incoming, &admit);
    }
}

/// Lets an attempt in, makes it prove its address, or refuses it.
fn consider(hall: &Rc<Hall>, incoming: Incoming, admit: &Admit) {
    let proven = incoming.remote_address_validated();
    match decide(hall.load(), proven) {
        Verdict::Refuse => incoming.refuse(),
        Verdict::Prove => {
            // It fails only for one that has proven its address.
            let _ = incoming.retry();
        }
        Verdict::Admit => match admit(incoming.remote_address().ip()) {
            Some(permit) => {
                let (place, stranger) = hall.admit(permit);
                spawn_local(talk::serve(Rc::clone(hall), incoming, place, stranger));
            }
            None => incoming.refuse(),
        },
    }
}
