//! The record layer of TLS 1.3 after the handshake (RFC 8446, 5 and 6), server side; pure.
//!
//! A record that lies whole in the input is copied once, to where it is decrypted in place; only a
//! partial one is kept, and without one there is no buffer. A peer's `KeyUpdate` ends the session
//! with `internal_error`: the secret it starts from can't be had from rustls. As a client
//! rustls sends one after 2^24 records of AES-GCM and none with ChaCha20; clients connect again.

use rustls::ExtractedSecrets;

use super::keys::{APPLICATION_DATA, HEADER_BYTES, Keys, TAG_BYTES};
use super::{Broken, Stream};
use crate::limits::{TLS_EMPTY_RECORDS_MAX, TLS_FRAGMENT_BYTES_MAX, TLS_RECORD_BYTES_MAX};

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const KEY_UPDATE: u8 = 24;
const WARNING: u8 = 1;
const FATAL: u8 = 2;

/// Alert descriptions (RFC 8446, 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Alert {
    CloseNotify = 0,
    UnexpectedMessage = 10,
    BadRecordMac = 20,
    RecordOverflow = 22,
    DecodeError = 50,
    InternalError = 80,
    UserCanceled = 90,
}

/// Both directions of a session.
pub(crate) struct Records {
    receive: Keys,
    send: Keys,
    /// Start of a record whose end has not come.
    pub(super) partial: Vec<u8>,
    /// Waits to be sent; the last thing that is.
    alert: Option<Alert>,
    /// An alert was queued: nothing is sealed any more.
    closed: bool,
    /// How the input ended, once it did.
    ended: Option<Result<Stream, Broken>>,
    /// Records without content, one after another.
    empty_records: u8,
}

impl Records {
    pub(super) fn new(secrets: ExtractedSecrets, partial: Vec<u8>) -> Result<Self, rustls::Error> {
        let keys = |secrets| {
            let unsupported = |_| rustls::Error::General("the cipher suite is unknown".to_owned());
            Keys::new(secrets).map_err(unsupported)
        };
        Ok(Self {
            receive: keys(secrets.rx)?,
            send: keys(secrets.tx)?,
            partial,
            alert: None,
            closed: false,
            ended: None,
            empty_records: 0,
        })
    }

    pub(super) fn decrypt(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Stream, Broken> {
        let mut rest = input;
        loop {
            if let Some(ended) = self.ended {
                return ended;
            }
            let opened = match self.next_record(&mut rest) {
                Ok(None) => return Ok(Stream::Open),
                Ok(Some(Record::Whole(record))) => self.open(record, out),
                Ok(Some(Record::Joined(record))) => self.open(&record, out),
                Err(alert) => Err(Some(alert)),
            };
            if let Err(alert) = opened {
                self.fail(alert);
            }
        }
    }

    /// Takes one record off the front of the input; none, and all of the input kept, when it is
    /// not whole.
    fn next_record<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Record<'a>>, Alert> {
        if self.partial.is_empty() {
            let whole = record_bytes(input)?.and_then(|bytes| input.split_at_checked(bytes));
            if let Some((record, rest)) = whole {
                *input = rest;
                return Ok(Some(Record::Whole(record)));
            }
            self.partial.extend_from_slice(std::mem::take(input));
            return Ok(None);
        }
        loop {
            let known = record_bytes(&self.partial)?;
            if let Some(bytes) = known.filter(|bytes| *bytes <= self.partial.len()) {
                let rest = self.partial.split_off(bytes);
                return Ok(Some(Record::Joined(std::mem::replace(&mut self.partial, rest))));
            }
            if input.is_empty() {
                return Ok(None);
            }
            let missing = known.unwrap_or(HEADER_BYTES) - self.partial.len();
            let (here, rest) = input.split_at(missing.min(input.len()));
            self.partial.extend_from_slice(here);
            *input = rest;
        }
    }

    /// Decrypts one whole record to the end of `out` and acts on what it holds.
    fn open(&mut self, record: &[u8], out: &mut Vec<u8>) -> Result<(), Option<Alert>> {
        let (header, body) = record.split_first_chunk().expect("a whole record has its header");
        let start = out.len();
        out.extend_from_slice(body);
        let opened = self.receive.open(*header, &mut out[start..]);
        let inner = opened.map_err(|_| Alert::BadRecordMac).and_then(unwrap_inner);
        let (kind, length) = match inner {
            Ok(inner) => inner,
            Err(alert) => {
                out.truncate(start);
                return Err(Some(alert));
            }
        };
        if kind == APPLICATION_DATA && length > 0 {
            out.truncate(start + length);
            self.empty_records = 0;
            return Ok(());
        }
        let taken = self.take_control(kind, &out[start..start + length]);
        out.truncate(start);
        taken
    }

    /// Acts on a record that carries nothing for the session.
    fn take_control(&mut self, kind: u8, content: &[u8]) -> Result<(), Option<Alert>> {
        match (kind, content) {
            (APPLICATION_DATA, []) => self.count_empty(),
            (ALERT, [_, description]) if *description == Alert::CloseNotify as u8 => {
                self.ended = Some(Ok(Stream::Ended));
                Ok(())
            }
            (ALERT, [_, description]) if *description == Alert::UserCanceled as u8 => {
                self.count_empty()
            }
            // Every other one is fatal, whatever its level says, and is not answered (6.2).
            (ALERT, [_, _]) => Err(None),
            (ALERT, _) => Err(Some(Alert::DecodeError)),
            (HANDSHAKE, [KEY_UPDATE, ..]) => Err(Some(Alert::InternalError)),
            _ => Err(Some(Alert::UnexpectedMessage)),
        }
    }

    /// Without a limit they would cost the peer little and look like life.
    fn count_empty(&mut self) -> Result<(), Option<Alert>> {
        self.empty_records += 1;
        match self.empty_records <= TLS_EMPTY_RECORDS_MAX {
            true => Ok(()),
            false => Err(Some(Alert::UnexpectedMessage)),
        }
    }

    fn fail(&mut self, alert: Option<Alert>) {
        self.partial = Vec::new();
        self.ended = Some(Err(Broken));
        match alert {
            Some(alert) => self.queue(alert),
            None => self.closed = true,
        }
    }

    pub(super) fn encrypt(&mut self, plaintext: &[u8], out: &mut Vec<u8>) {
        for fragment in plaintext.chunks(TLS_FRAGMENT_BYTES_MAX) {
            if self.send.is_used_up() {
                self.close();
                self.ended = self.ended.or(Some(Ok(Stream::Ended)));
            }
            if self.closed {
                return;
            }
            self.send.seal(APPLICATION_DATA, fragment, out);
        }
    }

    pub(super) fn has_output(&self) -> bool {
        self.alert.is_some()
    }

    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        if let Some(alert) = self.alert.take() {
            let level = if alert == Alert::CloseNotify { WARNING } else { FATAL };
            self.send.seal(ALERT, &[level, alert as u8], out);
        }
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn close(&mut self) {
        self.queue(Alert::CloseNotify);
    }

    /// One alert ends our direction; later ones say nothing new.
    fn queue(&mut self, alert: Alert) {
        if !std::mem::replace(&mut self.closed, true) {
            self.alert = Some(alert);
        }
    }
}

/// A whole record: where it lies in the input, or put together.
enum Record<'a> {
    Whole(&'a [u8]),
    Joined(Vec<u8>),
}

/// Bytes of the record that begins here, once its header is there. The version is ignored, as RFC
/// 8446, 5.1 demands; that the peer sealed it is checked with the rest of the header.
fn record_bytes(bytes: &[u8]) -> Result<Option<usize>, Alert> {
    let Some([kind, _, _, high, low]) = bytes.first_chunk() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    match *kind {
        APPLICATION_DATA if length > TLS_RECORD_BYTES_MAX => Err(Alert::RecordOverflow),
        APPLICATION_DATA => Ok(Some(HEADER_BYTES + length)),
        _ => Err(Alert::UnexpectedMessage),
    }
}

/// The content's type and length behind which zeros pad it (RFC 8446, 5.4).
fn unwrap_inner(inner: &[u8]) -> Result<(u8, usize), Alert> {
    if inner.len() > TLS_FRAGMENT_BYTES_MAX + 1 {
        return Err(Alert::RecordOverflow);
    }
    let end = inner.iter().rposition(|byte| *byte != 0).ok_or(Alert::UnexpectedMessage)?;
    Ok((inner[end], end))
}

const _: () = assert!(size_of::<Records>() <= 256);
const _: () = assert!(TLS_FRAGMENT_BYTES_MAX + 1 + TAG_BYTES <= TLS_RECORD_BYTES_MAX);
