//! Everything that can wake the main loop. Threads only translate; the main loop alone decides.

use std::sync::mpsc::SyncSender;

use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use update::control::{FromNet, ToInit};

use crate::control::ConnectionId;

/// One thing that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A child ended.
    Child,
    /// Somebody wants the box to stop.
    Stop(Ending),
    /// The `net` child has news.
    Net(FromNet),
    /// A new connection on the control socket; its frames follow.
    Connected(ConnectionId, std::os::unix::net::UnixStream),
    /// A frame on the control socket.
    Request(ConnectionId, ToInit),
    /// A control connection ended.
    Disconnected(ConnectionId),
    /// The storage probe came back.
    StorageAnswered,
}

/// How the box stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// And starts again.
    Reboot,
    /// And starts the other slot once.
    Tryboot,
    /// And stays off.
    PowerOff,
}

/// Turns signals into events, on a thread of its own.
pub(crate) fn watch_signals(events: SyncSender<Event>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGCHLD, SIGINT, SIGTERM])?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let event = match signal {
                // The kernel sends it for Ctrl-Alt-Del once that is disabled.
                SIGINT => Event::Stop(Ending::Reboot),
                SIGTERM => Event::Stop(Ending::PowerOff),
                _ => Event::Child,
            };
            if events.send(event).is_err() {
                return;
            }
        }
    });
    Ok(())
}
