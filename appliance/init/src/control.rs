//! The control socket: accepts `linnetd`, checks who it is, and turns its frames into events.
//! Answers are written by the main loop with a deadline, so that no service can hold up pid 1.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use update::control::{FromInit, ToInit, read_frame, write_frame};

use crate::events::Event;
use crate::limits::{CONTROL_CONNECTIONS_MAX, CONTROL_WRITE_MS, LINNET_ID};
use crate::logs::Logs;

/// Names a connection for as long as init runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ConnectionId(u64);

/// Listens at `path` on a thread of its own.
pub(crate) fn listen(path: &Path, events: SyncSender<Event>, logs: &Logs) -> io::Result<()> {
    // A leftover of a tmpfs that outlived another init in a test.
    let _ = fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    if rustix::process::geteuid().is_root() {
        chown(path, Some(0), Some(LINNET_ID))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    let logs = logs.clone();
    std::thread::spawn(move || accept(&listener, &events, &logs));
    Ok(())
}

fn accept(listener: &UnixListener, events: &SyncSender<Event>, logs: &Logs) {
    let open = Arc::new(AtomicUsize::new(0));
    let mut next = 0;
    for stream in listener.incoming().flatten() {
        if let Err(why) = admit(&stream, open.load(Ordering::Relaxed)) {
            logs.say(&why);
            continue;
        }
        next += 1;
        let id = ConnectionId(next);
        open.fetch_add(1, Ordering::Relaxed);
        let (events, logs, open) = (events.clone(), logs.clone(), Arc::clone(&open));
        std::thread::spawn(move || {
            serve(id, stream, &events, &logs);
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Only `linnetd`'s user and root may talk to pid 1.
fn admit(stream: &UnixStream, open: usize) -> Result<(), String> {
    let peer = rustix::net::sockopt::socket_peercred(stream)
        .map_err(|error| format!("A control connection without a name was refused: {error}."))?;
    let uid = peer.uid.as_raw();
    if uid != LINNET_ID && uid != rustix::process::geteuid().as_raw() {
        return Err(format!("A control connection of user {uid} was refused."));
    }
    if open >= CONTROL_CONNECTIONS_MAX {
        return Err("One more control connection was refused: there are too many.".to_owned());
    }
    Ok(())
}

/// Reads frames until the connection ends.
fn serve(id: ConnectionId, mut stream: UnixStream, events: &SyncSender<Event>, logs: &Logs) {
    let Ok(writer) = stream.try_clone() else { return };
    let deadline = Some(Duration::from_millis(CONTROL_WRITE_MS));
    if writer.set_write_timeout(deadline).is_err()
        || events.send(Event::Connected(id, writer)).is_err()
    {
        return;
    }
    loop {
        match read_frame::<ToInit>(&mut stream) {
            Ok(Some(request)) => {
                if events.send(Event::Request(id, request)).is_err() {
                    return;
                }
            }
            Ok(None) => break,
            Err(error) => {
                logs.say(&format!("A control connection was closed: {error}."));
                break;
            }
        }
    }
    // The writing half lives in the main loop; the peer must see the end now.
    let _ = stream.shutdown(std::net::Shutdown::Both);
    let _ = events.send(Event::Disconnected(id));
}

/// The writing halves, owned by the main loop.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    writers: HashMap<ConnectionId, UnixStream>,
    /// Those that were welcomed: before that, a peer waits for its welcome and nothing else.
    welcomed: HashSet<ConnectionId>,
}

impl Connections {
    /// A connection came.
    pub(crate) fn add(&mut self, id: ConnectionId, writer: UnixStream) {
        self.writers.insert(id, writer);
    }

    /// A connection went.
    pub(crate) fn remove(&mut self, id: ConnectionId) {
        self.writers.remove(&id);
        self.welcomed.remove(&id);
    }

    /// Answers one peer; one that does not read is dropped.
    pub(crate) fn send(&mut self, id: ConnectionId, message: &FromInit) {
        let Some(writer) = self.writers.get_mut(&id) else { return };
        if write_frame(writer, message).is_err() {
            let _ = writer.shutdown(std::net::Shutdown::Both);
            self.remove(id);
        } else if matches!(message, FromInit::Welcome(_)) {
            self.welcomed.insert(id);
        }
    }

    /// Tells all peers that were welcomed; `false` when there is none.
    pub(crate) fn send_all(&mut self, message: &FromInit) -> bool {
        for id in self.welcomed.clone() {
            self.send(id, message);
        }
        !self.welcomed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::mpsc::{Receiver, sync_channel};

    use super::*;

    fn start() -> (tempfile::TempDir, Receiver<Event>, UnixStream) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("init.sock");
        let (sender, receiver) = sync_channel(16);
        listen(&path, sender, &Logs::default()).unwrap();
        let client = UnixStream::connect(&path).unwrap();
        (folder, receiver, client)
    }

    fn next(receiver: &Receiver<Event>) -> Event {
        receiver.recv_timeout(Duration::from_secs(5)).unwrap()
    }

    #[test]
    fn requests_arrive_in_order_and_answers_go_back() {
        let (_folder, receiver, mut client) = start();
        write_frame(&mut client, &ToInit::Status).unwrap();
        write_frame(&mut client, &ToInit::Reboot).unwrap();
        let mut connections = Connections::default();
        let Event::Connected(id, writer) = next(&receiver) else { panic!("connected first") };
        connections.add(id, writer);
        assert!(matches!(next(&receiver), Event::Request(from, ToInit::Status) if from == id));
        assert!(matches!(next(&receiver), Event::Request(from, ToInit::Reboot) if from == id));
        assert!(!connections.send_all(&FromInit::Shutdown { grace_ms: 1 }));
        connections.send(id, &FromInit::Done);
        let first = read_frame(&mut client).unwrap();
        assert_eq!(first, Some(FromInit::Done), "not welcomed yet: answers only");
        drop(client);
        assert!(matches!(next(&receiver), Event::Disconnected(from) if from == id));
    }

    #[test]
    fn garbage_closes_the_connection_and_harms_nothing_else() {
        let (folder, receiver, mut client) = start();
        client.write_all(&[0xff; 64]).unwrap();
        assert!(matches!(next(&receiver), Event::Connected(..)));
        assert!(matches!(next(&receiver), Event::Disconnected(_)));
        assert!(matches!(read_frame::<FromInit>(&mut client), Ok(None) | Err(_)));
        let mut again = UnixStream::connect(folder.path().join("init.sock")).unwrap();
        write_frame(&mut again, &ToInit::Status).unwrap();
        assert!(matches!(next(&receiver), Event::Connected(..)));
        assert!(matches!(next(&receiver), Event::Request(_, ToInit::Status)));
    }

    #[test]
    fn peer_that_does_not_read_is_dropped_within_its_deadline() {
        let (_folder, receiver, _client) = start();
        let mut connections = Connections::default();
        let Event::Connected(id, writer) = next(&receiver) else { panic!("connected first") };
        connections.add(id, writer);
        let lines = vec!["x".repeat(60_000)];
        let flood = FromInit::Logs { lines };
        (0..100).for_each(|_| connections.send(id, &flood));
        assert!(connections.writers.is_empty());
    }
}
