//! One live session over any door: WebSocket (text or binary frames), the native port, or QUIC.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use tungstenite::{Message as WsMessage, WebSocket};
use wire::{ClientMessage, Frame, ServerMessage};

use crate::PATIENCE;
use crate::quic::QuicStream;
use crate::tls::TlsStream;

/// How frames travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// JSON in text frames of a WebSocket.
    Json,
    /// Postcard in binary frames of a WebSocket.
    Binary,
    /// Postcard on the native port.
    Native,
    /// Postcard over QUIC.
    Quic,
}

enum Link {
    Ws(Box<WebSocket<TlsStream>>, Door),
    Native(Box<TlsStream>, Vec<u8>),
    Quic(Box<QuicStream>, Vec<u8>),
}

/// A connection that speaks frames.
pub struct Session {
    link: Link,
    last_request: u32,
}

impl Session {
    /// Wraps an upgraded WebSocket.
    pub fn websocket(socket: WebSocket<TlsStream>, door: Door) -> Self {
        Self { link: Link::Ws(Box::new(socket), door), last_request: 0 }
    }

    /// Wraps a connection to the native port.
    pub fn native(stream: TlsStream) -> Self {
        Self { link: Link::Native(Box::new(stream), Vec::new()), last_request: 0 }
    }

    /// Wraps a QUIC connection with its stream.
    pub fn over_quic(stream: QuicStream) -> Self {
        Self { link: Link::Quic(Box::new(stream), Vec::new()), last_request: 0 }
    }

    /// Sends a message and returns the request number that its answer carries.
    pub fn send(&mut self, message: &ClientMessage) -> u32 {
        self.try_send(message).expect("the server takes frames")
    }

    /// As `send`, for servers that may be gone.
    pub fn try_send(&mut self, message: &ClientMessage) -> io::Result<u32> {
        self.last_request += 1;
        let request = self.last_request;
        let mut bytes = Vec::new();
        match &self.link {
            Link::Ws(_, Door::Json) => wire::json::write_client(message, request, &mut bytes),
            _ => wire::binary::write_client(message, request, &mut bytes),
        }
        self.send_raw(bytes)?;
        Ok(request)
    }

    /// Sends bytes as one frame of the door, whatever they are.
    pub fn send_raw(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        match &mut self.link {
            Link::Ws(socket, Door::Json) => {
                let text = String::from_utf8(bytes).map_err(io::Error::other)?;
                socket.send(WsMessage::text(text)).map_err(io::Error::other)
            }
            Link::Ws(socket, _) => socket.send(WsMessage::binary(bytes)).map_err(io::Error::other),
            Link::Native(stream, _) => stream.write_all(&bytes).and_then(|()| stream.flush()),
            Link::Quic(stream, _) => stream.write_all(&bytes),
        }
    }

    /// The stream below, for bytes that break the framing.
    pub fn stream(&mut self) -> &mut TlsStream {
        match &mut self.link {
            Link::Ws(socket, _) => socket.get_mut(),
            Link::Native(stream, _) => stream,
            Link::Quic(..) => panic!("there is no TCP below QUIC"),
        }
    }

    /// The QUIC connection below.
    pub fn quic(&mut self) -> &mut QuicStream {
        match &mut self.link {
            Link::Quic(stream, _) => stream,
            _ => panic!("this session is over TCP"),
        }
    }

    /// The next frame within [`PATIENCE`]; an error when the server closed.
    pub fn receive(&mut self) -> io::Result<Frame<ServerMessage>> {
        let frame = match &mut self.link {
            Link::Ws(socket, _) => receive_ws(socket)?,
            Link::Native(stream, buffer) => receive_native(stream, buffer)?,
            Link::Quic(stream, buffer) => receive_native(stream, buffer)?,
        };
        Ok(frame)
    }

    /// Waits at most `wait` for a frame; none when nothing came.
    pub fn poll(&mut self, wait: Duration) -> io::Result<Option<Frame<ServerMessage>>> {
        self.set_read_timeout(wait)?;
        let frame = self.receive();
        self.set_read_timeout(PATIENCE)?;
        match frame {
            Ok(frame) => Ok(Some(frame)),
            Err(error) if is_timeout(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn set_read_timeout(&mut self, wait: Duration) -> io::Result<()> {
        match &mut self.link {
            Link::Quic(stream, _) => stream.read_timeout = wait,
            _ => self.stream().sock.set_read_timeout(Some(wait))?,
        }
        Ok(())
    }

    /// Takes frames until `wanted` gives a value; the others are dropped.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&Frame<ServerMessage>) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let frame = self.receive().unwrap_or_else(|error| panic!("{what}: {error}"));
            if let Some(value) = wanted(&frame) {
                return value;
            }
        }
        panic!("waited too long for {what}");
    }

    /// Sends a message and waits for the frame that answers it.
    pub fn ask(&mut self, message: &ClientMessage) -> ServerMessage {
        let request = self.send(message);
        self.wait_for("an answer", |frame| {
            (frame.request == request).then(|| frame.message.clone()).flatten()
        })
    }

    /// Reads until the server closes and returns the frames before that.
    pub fn drain(&mut self) -> Vec<ServerMessage> {
        let mut messages = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while let Ok(frame) = self.receive() {
            messages.extend(frame.message);
            assert!(Instant::now() < deadline, "the server does not close");
        }
        messages
    }
}

/// Whether a socket's read timeout passed.
pub fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn receive_ws(socket: &mut WebSocket<TlsStream>) -> io::Result<Frame<ServerMessage>> {
    loop {
        let message = match socket.read() {
            Ok(message) => message,
            Err(tungstenite::Error::Io(error)) => return Err(error),
            Err(error) => return Err(io::Error::other(error)),
        };
        match message {
            WsMessage::Text(text) => {
                return wire::json::read_server(&text).map_err(io::Error::other);
            }
            WsMessage::Binary(bytes) => {
                let (frame, used) = wire::binary::read_server(&bytes)
                    .map_err(io::Error::other)?
                    .ok_or_else(|| io::Error::other("half a frame in a message"))?;
                assert_eq!(used, bytes.len(), "one frame a message");
                return Ok(frame);
            }
            WsMessage::Close(_) => return Err(io::Error::other("the server closed")),
            _ => {}
        }
    }
}

fn receive_native(
    stream: &mut impl io::Read,
    buffer: &mut Vec<u8>,
) -> io::Result<Frame<ServerMessage>> {
    let mut chunk = [0; 16 * 1024];
    loop {
        if let Some((frame, used)) = wire::binary::read_server(buffer).map_err(io::Error::other)? {
            buffer.drain(..used);
            return Ok(frame);
        }
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Err(io::Error::other("the server closed"));
        }
        buffer.extend_from_slice(&chunk[..count]);
    }
}
