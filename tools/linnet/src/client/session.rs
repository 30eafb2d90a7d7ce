//! A native session: `wire::binary` frames over pinned TLS, or over QUIC with the same trust.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use wire::binary::{read_server, write_client};
use wire::client::Hello;
use wire::ids::{BoxId, DeviceToken, Epoch, Offset};
use wire::limits::SERVER_FRAME_BYTES_MAX;
use wire::server::{Greeting, Welcome};
use wire::{ClientMessage, Frame, ServerMessage};

use super::error::ClientError;
use super::host::Host;
use super::quic;
use super::tls::{Trust, connect};

/// How this program calls itself in the device list.
const CLIENT_NAME: &str = concat!("linnet ", env!("CARGO_PKG_VERSION"));

/// Input that may wait while output is stuck: two frames of the longest kind.
const INPUT_BYTES_MAX: usize = 2 * SERVER_FRAME_BYTES_MAX;

/// A box that replays a long log accepts connections only when it is ready; half a minute is
/// patience enough for one under load.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// An established session. Frames come and go in order; `request` numbers are given here.
pub struct Session {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// Ends with the session.
    _quic: Option<quic::Link>,
    input: Vec<u8>,
    last_request: u32,
}

impl Session {
    /// Connects and reads the greeting; no secret was sent yet.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect(host: &Host, trust: &Trust) -> Result<(Self, Greeting), ClientError> {
        let mut session = match host.quic_port() {
            Some(port) => {
                let (link, writer, reader) = quic::connect(host, port, trust).await?;
                Self::over(reader, writer, Some(link))
            }
            None => {
                let (reader, writer) = split(connect(host, trust, b"linnet").await?.stream);
                Self::over(reader, writer, None)
            }
        };
        match session.next_soon().await?.message {
            Some(ServerMessage::Greeting(greeting)) => Ok((session, greeting)),
            _ => Err(ClientError::Protocol("no greeting came first".to_owned())),
        }
    }

    fn over(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
        quic: Option<quic::Link>,
    ) -> Self {
        let (reader, writer) = (Box::new(reader), Box::new(writer));
        Self { reader, writer, _quic: quic, input: Vec::new(), last_request: 0 }
    }

    /// Connects, makes sure it is the right box, and says hello.
    ///
    /// # Errors
    /// [`ClientError::NotTheBox`] for another box; [`ClientError::Refused`] for a revoked token.
    pub async fn open(
        host: &Host,
        trust: &Trust,
        box_id: BoxId,
        token: DeviceToken,
        copy: Option<(Epoch, Offset)>,
    ) -> Result<(Self, Greeting, Welcome), ClientError> {
        let (mut session, greeting) = Self::connect(host, trust).await?;
        if greeting.box_id != box_id {
            let text = format!("{host} is another box now; sign in with `linnet login {host}`");
            return Err(ClientError::NotTheBox(text));
        }
        let (epoch, cursor) = copy.unzip();
        let hello = ClientMessage::Hello(Hello {
            token,
            epoch,
            cursor: cursor.unwrap_or_default(),
            client: CLIENT_NAME.to_owned(),
        });
        session.send(&hello).await?;
        let welcome = session.welcome().await?;
        Ok((session, greeting, welcome))
    }

    async fn welcome(&mut self) -> Result<Welcome, ClientError> {
        match self.next_soon().await?.message {
            Some(ServerMessage::Welcome(welcome)) => Ok(welcome),
            Some(ServerMessage::Error(error)) => Err(refused(error)),
            _ => Err(ClientError::Protocol("no welcome came after hello".to_owned())),
        }
    }

    async fn next_soon(&mut self) -> Result<Frame<ServerMessage>, ClientError> {
        let next = tokio::time::timeout(ANSWER_TIMEOUT, self.next()).await;
        next.map_err(|_| ClientError::Broken("the box does not answer".to_owned()))?
    }

    /// Sends one message; returns its request number, which the answer repeats. Reads meanwhile, so
    /// two sides with full buffers never wait for each other.
    ///
    /// # Errors
    /// A broken connection.
    pub async fn send(&mut self, message: &ClientMessage) -> Result<u32, ClientError> {
        self.last_request = self.last_request.checked_add(1).unwrap_or(1);
        let mut output = Vec::new();
        write_client(message, self.last_request, &mut output);
        let (reader, writer, input) = (&mut self.reader, &mut self.writer, &mut self.input);
        let written = async {
            writer.write_all(&output).await?;
            writer.flush().await
        };
        tokio::pin!(written);
        loop {
            tokio::select! {
                done = &mut written => break done?,
                read = reader.read_buf(input), if input.len() < INPUT_BYTES_MAX => {
                    ended(read?)?;
                }
            }
        }
        Ok(self.last_request)
    }

    /// The next message. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`ClientError::Closing`] when the box says goodbye, or a broken connection.
    pub async fn next(&mut self) -> Result<Frame<ServerMessage>, ClientError> {
        loop {
            let read = read_server(&self.input);
            let read = read.map_err(|error| ClientError::Protocol(error.to_string()))?;
            match read {
                Some((frame, used)) => {
                    self.input.drain(..used);
                    return match frame.message {
                        Some(ServerMessage::Closing(it)) => Err(ClientError::Closing(it)),
                        _ => Ok(frame),
                    };
                }
                None => ended(self.reader.read_buf(&mut self.input).await?)?,
            }
        }
    }
}

fn ended(bytes: usize) -> Result<(), ClientError> {
    match bytes {
        0 => Err(ClientError::Broken("it was closed".to_owned())),
        _ => Ok(()),
    }
}

/// An error in answer to hello.
fn refused(error: wire::server::Error) -> ClientError {
    let retry = error.retry_after_ms.map(|ms| u64::from(ms).div_ceil(1000));
    ClientError::Refused(super::http::Refusal {
        status: 0,
        reason: reason_text(error.reason),
        field: error.field,
        text: error.text,
        retry_after_seconds: retry,
    })
}

fn reason_text(reason: wire::server::Reason) -> String {
    let text = serde_json::to_value(reason).ok();
    let text = text.and_then(|value| value.as_str().map(str::to_owned));
    text.unwrap_or_default()
}
