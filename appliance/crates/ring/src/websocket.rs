//! RFC 6455 framing of a server, without I/O: bytes in any split become messages and control
//! frames; no extensions. Called by `codec`; bounded by the caller's limit on a message.
//!
//! Payload is unmasked as it arrives and text is checked at once, so that nothing is held twice
//! and a violation is stated before the message is complete.

/// Bytes of the longest header that a server writes: its frames are not masked.
pub(crate) const SERVER_HEADER_BYTES_MAX: usize = 10;

/// Bytes of the longest header a client writes: two, a length of eight, a mask of four.
const CLIENT_HEADER_BYTES_MAX: usize = 14;

/// Longest payload of a control frame (RFC 6455, 5.5).
const CONTROL_BYTES_MAX: usize = 125;

/// What a frame is (RFC 6455, 11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    const fn read(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// Status of a close frame (RFC 6455, 7.4.1), as far as this server sends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseCode {
    Normal = 1000,
    GoingAway = 1001,
    Protocol = 1002,
    NotUtf8 = 1007,
    TooBig = 1009,
}

/// A rule of the framing that the peer broke; the connection can only be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("a reserved bit is set and no extension was negotiated")]
    ReservedBits,
    #[error("opcode {0} is not known")]
    UnknownOpcode(u8),
    #[error("frames from a client must be masked")]
    NotMasked,
    #[error("a length is not written in its shortest form")]
    LongLength,
    #[error("a control frame is fragmented or longer than 125 bytes")]
    BadControl,
    #[error("a continuation has no message to continue, or a message starts inside another")]
    BadFragment,
    #[error("a close frame has an impossible status or reason")]
    BadClose,
    #[error("a text message is not UTF-8")]
    NotUtf8,
    #[error("a message is over the limit of {max} bytes")]
    TooBig { max: usize },
}

impl Violation {
    /// The status that the close frame carries.
    pub(crate) const fn close_code(self) -> CloseCode {
        match self {
            Self::NotUtf8 => CloseCode::NotUtf8,
            Self::TooBig { .. } => CloseCode::TooBig,
            _ => CloseCode::Protocol,
        }
    }
}

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    /// With the client's status; none when it gave none.
    Close(Option<u16>),
}

/// State between two reads: a partial header, a partial payload, a partial message.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    header: [u8; CLIENT_HEADER_BYTES_MAX],
    header_bytes: u8,
    frame: Option<FrameInProgress>,
    /// Opcode of the message whose fragments are being gathered.
    message_opcode: Option<Opcode>,
    message: Vec<u8>,
    /// Bytes at the front of a text message that are known to be UTF-8.
    utf8_bytes: usize,
    control: Vec<u8>,
}

#[derive(Debug)]
struct FrameInProgress {
    opcode: Opcode,
    last: bool,
    mask: [u8; 4],
    mask_offset: usize,
    bytes_left: usize,
}

impl Decoder {
    /// Takes bytes off the front of `input` until something is complete or `input` is empty.
    /// `max` bounds a message over all its fragments.
    ///
    /// # Errors
    /// When the peer breaks a rule; nothing may be read after that.
    pub(crate) fn next(
        &mut self,
        input: &mut &[u8],
        max: usize,
    ) -> Result<Option<Received>, Violation> {
        loop {
            if self.frame.is_none() && !self.read_header(input, max)? {
                return Ok(None);
            }
            if !self.read_payload(input)? {
                return Ok(None);
            }
            if let Some(received) = self.end_frame()? {
                return Ok(Some(received));
            }
        }
    }

    /// True between two messages: nothing is held.
    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.header_bytes == 0
            && self.frame.is_none()
            && self.message_opcode.is_none()
            && self.message.capacity() + self.control.capacity() == 0
    }

    /// Gathers a header; true when it is whole and obeys the rules.
    fn read_header(&mut self, input: &mut &[u8], max: usize) -> Result<bool, Violation> {
        loop {
            let have = usize::from(self.header_bytes);
            let need = header_bytes(&self.header[..have]);
            if have == need {
                break;
            }
            let Some((byte, rest)) = input.split_first() else {
                return Ok(false);
            };
            self.header[have] = *byte;
            self.header_bytes += 1;
            *input = rest;
            if have == 1 {
                self.check_start()?;
            }
        }
        self.begin_frame(max)?;
        self.header_bytes = 0;
        Ok(true)
    }

    /// Checks the two bytes that every header has.
    fn check_start(&self) -> Result<(), Violation> {
        let [first, second, ..] = self.header;
        if first & 0x70 != 0 {
            return Err(Violation::ReservedBits);
        }
        let opcode = Opcode::read(first & 0x0f).ok_or(Violation::UnknownOpcode(first & 0x0f))?;
        if second & 0x80 == 0 {
            return Err(Violation::NotMasked);
        }
        let (last, length) = (first & 0x80 != 0, usize::from(second & 0x7f));
        if opcode.is_control() {
            if !last || length > CONTROL_BYTES_MAX {
                return Err(Violation::BadControl);
            }
        } else if (opcode == Opcode::Continuation) != self.message_opcode.is_some() {
            return Err(Violation::BadFragment);
        }
        Ok(())
    }

    /// Starts the payload of the frame whose header is whole.
    fn begin_frame(&mut self, max: usize) -> Result<(), Violation> {
        let header = &self.header[..usize::from(self.header_bytes)];
        let (length, mask) = header[2..].split_at(header.len() - 6);
        let bytes_left = payload_bytes(header[1] & 0x7f, length)?;
        let opcode = Opcode::read(header[0] & 0x0f).expect("checked with the first two bytes");
        if !opcode.is_control() {
            if bytes_left > max - self.message.len().min(max) {
                return Err(Violation::TooBig { max });
            }
            if opcode != Opcode::Continuation {
                self.message_opcode = Some(opcode);
            }
        }
        self.frame = Some(FrameInProgress {
            opcode,
            last: header[0] & 0x80 != 0,
            mask: mask.try_into().expect("a mask has four bytes"),
            mask_offset: 0,
            bytes_left,
        });
        Ok(())
    }

    /// Unmasks what is there of the payload; true when it is whole.
    fn read_payload(&mut self, input: &mut &[u8]) -> Result<bool, Violation> {
        let frame = self.frame.as_mut().expect("a payload follows its header");
        let (here, rest) = input.split_at(input.len().min(frame.bytes_left));
        *input = rest;
        let into = if frame.opcode.is_control() { &mut self.control } else { &mut self.message };
        let start = into.len();
        into.extend_from_slice(here);
        unmask(&mut into[start..], frame.mask, frame.mask_offset);
        frame.mask_offset = (frame.mask_offset + here.len()) % 4;
        frame.bytes_left -= here.len();
        let whole = frame.bytes_left == 0;
        if !frame.opcode.is_control() && self.message_opcode == Some(Opcode::Text) {
            let ends = whole && frame.last;
            self.check_text(ends)?;
        }
        Ok(whole)
    }

    /// Checks the text that arrived since the last check.
    fn check_text(&mut self, ends: bool) -> Result<(), Violation> {
        match std::str::from_utf8(&self.message[self.utf8_bytes..]) {
            Ok(text) => self.utf8_bytes += text.len(),
            Err(error) if error.error_len().is_none() && !ends => {
                self.utf8_bytes += error.valid_up_to();
            }
            Err(_) => return Err(Violation::NotUtf8),
        }
        Ok(())
    }

    /// Ends a frame whose payload is whole; gives what it completed.
    fn end_frame(&mut self) -> Result<Option<Received>, Violation> {
        let frame = self.frame.take().expect("a frame ends after it began");
        match frame.opcode {
            Opcode::Close => close_status(&std::mem::take(&mut self.control)).map(Some),
            Opcode::Ping => Ok(Some(Received::Ping(std::mem::take(&mut self.control)))),
            Opcode::Pong => {
                self.control = Vec::new();
                Ok(Some(Received::Pong))
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary if frame.last => {
                let message = std::mem::take(&mut self.message);
                self.utf8_bytes = 0;
                if self.message_opcode.take() == Some(Opcode::Text) {
                    let text = String::from_utf8(message).map_err(|_| Violation::NotUtf8)?;
                    return Ok(Some(Received::Text(text)));
                }
                Ok(Some(Received::Binary(message)))
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary => Ok(None),
        }
    }
}

/// Bytes of the header that starts like this; grows as more of it is known.
fn header_bytes(start: &[u8]) -> usize {
    match start.get(1).map(|byte| byte & 0x7f) {
        None => 2,
        Some(126) => 8,
        Some(127) => 14,
        Some(_) => 6,
    }
}

/// Reads the payload's length, which must be in its shortest form.
fn payload_bytes(short: u8, extended: &[u8]) -> Result<usize, Violation> {
    let length = extended.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    match short {
        126 if length <= 125 => Err(Violation::LongLength),
        127 if length <= 0xffff || length >> 63 != 0 => Err(Violation::LongLength),
        126 | 127 => Ok(usize::try_from(length).unwrap_or(usize::MAX)),
        _ => Ok(usize::from(short)),
    }
}

fn unmask(bytes: &mut [u8], mask: [u8; 4], offset: usize) {
    let mask: [u8; 4] = std::array::from_fn(|at| mask[(at + offset) % 4]);
    let (words, rest) = bytes.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// Reads a close frame: nothing, or a status that may be on the wire and a reason in UTF-8.
fn close_status(payload: &[u8]) -> Result<Received, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        let none = payload.is_empty();
        return if none { Ok(Received::Close(None)) } else { Err(Violation::BadClose) };
    };
    let code = u16::from_be_bytes(*code);
    if std::str::from_utf8(reason).is_err() {
        return Err(Violation::NotUtf8);
    }
    match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(Received::Close(Some(code))),
        _ => Err(Violation::BadClose),
    }
}

/// Appends the header of a whole message or control frame of a server.
pub(crate) fn write_header(opcode: Opcode, payload_bytes: usize, out: &mut Vec<u8>) {
    out.push(0x80 | opcode as u8);
    match (u8::try_from(payload_bytes), u16::try_from(payload_bytes)) {
        (Ok(length @ 0..=125), _) => out.push(length),
        (_, Ok(length)) => {
            out.push(126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
        }
    }
}

/// A whole control frame; the payload is cut to what one may hold.
pub(crate) fn control_frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(CONTROL_BYTES_MAX)];
    let mut frame = Vec::with_capacity(2 + payload.len());
    write_header(opcode, payload.len(), &mut frame);
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests;
