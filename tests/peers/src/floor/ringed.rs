//! The ring floor: one thread, one `io_uring`, one system call a turn.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::hub::Hub;
use super::ring::{Completion, Ring};

/// Serves until the time is up.
pub(super) fn serve(
    listener: &TcpListener,
    mut hub: Hub,
    batch: u32,
    time: Duration,
) -> Result<()> {
    let mut ring = Ring::new(hub.frame_bytes(), batch).context("the kernel gives no ring")?;
    ring.door.accept(listener)?;
    ring.door.end_after(time)?;
    let mut completions = Vec::new();
    loop {
        ring.turn(&mut completions)?;
        for completion in completions.drain(..) {
            match completion {
                Completion::TimeIsUp => return Ok(()),
                Completion::Accepted { slot } => {
                    hub.joined(slot);
                    ring.door.receive(slot)?;
                }
                Completion::Received { slot, filled, armed } => {
                    let door = &mut ring.door;
                    hub.receive(slot, ring.buffers.bytes(&filled), &mut |slots, frame| {
                        door.send(slots, frame)
                    })?;
                    ring.buffers.give_back(filled);
                    if !armed {
                        ring.door.receive(slot)?;
                    }
                }
                Completion::Starved { slot } => ring.door.receive(slot)?,
                Completion::Ended { slot } => {
                    hub.left(slot);
                    ring.door.close(slot)?;
                }
            }
        }
    }
}
