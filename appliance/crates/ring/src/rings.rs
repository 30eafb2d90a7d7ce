//! Starting and stopping the ring threads.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::process::{Resource, getrlimit};
use session::answers::closing;
use wire::server::Closing;

use crate::config::RingConfig;
use crate::driver::{Driver, Shared};
use crate::error::StartError;
use crate::event::RingEvent;
use crate::handle::{Port, RingHandle};
use crate::inbox::inbox;
use crate::limits::{RINGS_MAX, SHUTDOWN_WITHIN};
use crate::shared::SharedFrame;
use crate::stats::Published;

/// The running ring threads. Dropping it stops them like [`Rings::shutdown`].
pub struct Rings {
    handle: RingHandle,
    threads: Vec<JoinHandle<()>>,
}

impl Rings {
    /// Starts the threads; events of all of them go into the one bounded channel, which must be
    /// emptied by a thread that never waits for a ring but in [`RingHandle::send`] and `close`.
    ///
    /// # Errors
    /// When the kernel refuses io_uring or a resource is missing: cause and remedy in a sentence.
    pub fn start(config: RingConfig, events: SyncSender<RingEvent>) -> Result<Self, StartError> {
        let config = check(config)?;
        let mut rings = Self { handle: RingHandle::new(Vec::new()), threads: Vec::new() };
        let mut ports = Vec::new();
        for ring in 0..config.rings {
            let ring = u8::try_from(ring).expect("at most 255 rings");
            let (port, thread) = start_one(ring, &config, &events)?;
            ports.push(port);
            rings.handle = RingHandle::new(ports.clone());
            rings.threads.push(thread);
        }
        Ok(rings)
    }

    /// What the other threads use.
    #[must_use]
    pub fn handle(&self) -> RingHandle {
        self.handle.clone()
    }

    /// Tells every session why, gives the last frames a bounded time, and ends the threads.
    pub fn shutdown(mut self, closing: Closing) {
        self.stop(closing);
    }

    fn stop(&mut self, closing: Closing) {
        let frame = SharedFrame::new(closing, 0);
        let until = Instant::now() + SHUTDOWN_WITHIN;
        self.handle.outbox().stop(&frame, until);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a ring thread had panicked");
            }
        }
    }
}

impl Drop for Rings {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.stop(closing());
        }
    }
}

/// Checks what was configured and lowers it to what the process may have.
fn check(mut config: RingConfig) -> Result<RingConfig, StartError> {
    if !(1..=RINGS_MAX).contains(&config.rings) {
        return Err(StartError::Config("the number of rings must be 1 to 255"));
    }
    if !config.receive_buffers.is_power_of_two() || config.receive_buffers > 1 << 15 {
        return Err(StartError::Config("receive buffers must be a power of two up to 32,768"));
    }
    if config.connections_per_ring == 0 {
        return Err(StartError::Config("a ring must take at least one connection"));
    }
    // The kernel bounds a file table by the limit on open files, each table by itself.
    let open_files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let open_files = u32::try_from(open_files).unwrap_or(u32::MAX);
    if config.connections_per_ring > open_files {
        tracing::warn!(open_files, "rings take fewer connections: the limit on open files is low");
        config.connections_per_ring = open_files;
    }
    Ok(config)
}

/// Starts one thread and waits until its ring is set up.
fn start_one(
    ring: u8,
    config: &RingConfig,
    events: &SyncSender<RingEvent>,
) -> Result<(Port, JoinHandle<()>), StartError> {
    let failed = |step| move |source| StartError::Failed { step, source };
    let (outlet, inbox) = inbox().map_err(failed("making an eventfd"))?;
    let port = Port {
        outlet,
        published: Arc::new(Published::default()),
        held: Arc::new(AtomicU32::new(0)),
        held_max: config.connections_per_ring,
    };
    let shared = Shared { published: Arc::clone(&port.published), held: Arc::clone(&port.held) };
    let (config, events) = (config.clone(), events.clone());
    let (ready, is_ready) = sync_channel(1);
    let thread = std::thread::Builder::new()
        .name(format!("ring-{ring}"))
        .spawn(move || match Driver::new(ring, config, inbox, events, shared) {
            Ok(driver) => {
                if ready.send(Ok(())).is_ok() {
                    driver.run();
                }
            }
            Err(error) => drop(ready.send(Err(error))),
        })
        .map_err(failed("starting a thread"))?;
    is_ready.recv().expect("the thread says whether it is ready before it ends")?;
    Ok((port, thread))
}
