//! The floors on epoll and `send(2)`.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::event::{Timespec, epoll};
use rustix::fd::AsRawFd as _;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::hub::Hub;
use crate::limits::{FLOOR_READY_MAX, FLOOR_RECEIVE_BYTES};

/// Stands for the listener among slots, which are descriptors.
const LISTENER: u64 = u64::MAX;

/// By descriptor.
#[derive(Default)]
struct Sockets(Vec<Option<OwnedFd>>);

impl Sockets {
    fn get(&self, slot: u32) -> Option<&OwnedFd> {
        self.0.get(usize::try_from(slot).expect("at least 32 bits"))?.as_ref()
    }

    fn set(&mut self, slot: u32, socket: Option<OwnedFd>) {
        let place = usize::try_from(slot).expect("at least 32 bits");
        if self.0.len() <= place {
            self.0.resize_with(place + 1, || None);
        }
        self.0[place] = socket;
    }
}

/// Serves until the time is up; sends wait for room when `is_blocking`, else they fail.
pub(super) fn serve(
    listener: &TcpListener,
    mut hub: Hub,
    is_blocking: bool,
    time: Duration,
) -> Result<()> {
    let ends = Instant::now() + time;
    listener.set_nonblocking(true)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    let mut sockets = Sockets::default();
    let mut buffer = vec![0; FLOOR_RECEIVE_BYTES];
    let mut ready = Vec::with_capacity(FLOOR_READY_MAX);
    let wait = Timespec { tv_sec: 1, tv_nsec: 0 };
    let flags =
        SendFlags::NOSIGNAL | if is_blocking { SendFlags::empty() } else { SendFlags::DONTWAIT };
    while Instant::now() < ends {
        ready.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut ready), Some(&wait))?;
        for event in &ready {
            match event.data.u64() {
                LISTENER => accept(listener, &poll, &mut sockets, &mut hub)?,
                slot => {
                    let slot = u32::try_from(slot).expect("only descriptors were added");
                    receive(slot, &mut sockets, &mut hub, &mut buffer, flags)?;
                }
            }
        }
    }
    Ok(())
}

fn accept(
    listener: &TcpListener,
    poll: &OwnedFd,
    sockets: &mut Sockets,
    hub: &mut Hub,
) -> Result<()> {
    loop {
        let socket: OwnedFd = match listener.accept() {
            Ok((socket, _)) => socket.into(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("can't accept"),
        };
        let slot = u32::try_from(socket.as_raw_fd()).context("descriptors are positive")?;
        let data = epoll::EventData::new_u64(u64::from(slot));
        epoll::add(poll, &socket, data, epoll::EventFlags::IN)?;
        sockets.set(slot, Some(socket));
        hub.joined(slot);
    }
}

fn receive(
    slot: u32,
    sockets: &mut Sockets,
    hub: &mut Hub,
    buffer: &mut [u8],
    flags: SendFlags,
) -> Result<()> {
    let Some(socket) = sockets.get(slot) else { return Ok(()) };
    match recv(socket.as_fd(), &mut *buffer, RecvFlags::DONTWAIT) {
        Ok((_, 0)) | Err(Errno::CONNRESET) => {
            hub.left(slot);
            sockets.set(slot, None);
            Ok(())
        }
        Ok((_, bytes)) => hub.receive(slot, &buffer[..bytes], &mut |slots, frame| {
            slots.iter().try_for_each(|slot| pass(sockets, *slot, frame, flags))
        }),
        Err(Errno::AGAIN) => Ok(()),
        Err(error) => Err(error).context("can't receive"),
    }
}

fn pass(sockets: &Sockets, slot: u32, frame: &[u8], flags: SendFlags) -> Result<()> {
    let Some(socket) = sockets.get(slot) else { return Ok(()) };
    match send(socket, frame, flags) {
        Ok(sent) => {
            ensure!(sent == frame.len(), "a receiver does not keep up");
            Ok(())
        }
        // It is gone; its end of file follows.
        Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
        Err(error) => Err(error).context("a receiver does not keep up"),
    }
}
