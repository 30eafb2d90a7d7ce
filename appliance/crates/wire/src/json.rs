//! The JSON envelope of text frames: `{"kind":"send","request":7,"body":{..}}`, one a message.
//!
//! `request` may be left out (0), and so may `critical` (true); every other key is refused.

use core::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::binary::{Frame, FrameError};
use crate::body::BodyError;
use crate::client::ClientMessage;
use crate::kind::Kind;
use crate::limits::{CLIENT_FRAME_BYTES_MAX, JSON_DEPTH_MAX, SERVER_FRAME_BYTES_MAX};
use crate::server::ServerMessage;

struct Envelope<'a> {
    kind: String,
    request: u32,
    critical: bool,
    body: &'a RawValue,
}

/// Appends a client's frame.
pub fn write_client(message: &ClientMessage, request: u32, out: &mut Vec<u8>) {
    write_frame(message.name(), request, out, |out| message.write_json(out));
}

/// Appends a server's frame.
pub fn write_server(message: &ServerMessage, request: u32, out: &mut Vec<u8>) {
    write_frame(message.name(), request, out, |out| message.write_json(out));
}

/// Reads the one client frame of a text message.
///
/// # Errors
/// See [`FrameError`]; none of them loses framing, as the transport keeps messages apart.
pub fn read_client(text: &str) -> Result<Frame<ClientMessage>, FrameError> {
    read_frame(text, CLIENT_FRAME_BYTES_MAX, ClientMessage::kind_named, ClientMessage::read_json)
}

/// Reads the one server frame of a text message.
///
/// # Errors
/// See [`FrameError`].
pub fn read_server(text: &str) -> Result<Frame<ServerMessage>, FrameError> {
    read_frame(text, SERVER_FRAME_BYTES_MAX, ServerMessage::kind_named, ServerMessage::read_json)
}

fn write_frame(
    name: &'static str,
    request: u32,
    out: &mut Vec<u8>,
    write_body: impl FnOnce(&mut Vec<u8>),
) {
    out.extend_from_slice(b"{\"kind\":\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\",\"request\":");
    out.extend_from_slice(request.to_string().as_bytes());
    out.extend_from_slice(b",\"body\":");
    write_body(out);
    out.push(b'}');
}

fn read_frame<M>(
    text: &str,
    max: usize,
    kind_named: fn(&str) -> Option<Kind>,
    read_body: fn(Kind, &str) -> Result<Option<M>, BodyError>,
) -> Result<Frame<M>, FrameError> {
    if text.len() > max {
        return Err(FrameError::TooLong { bytes: text.len(), max });
    }
    if depth(text) > JSON_DEPTH_MAX {
        return Err(FrameError::Malformed(format!("nested deeper than {JSON_DEPTH_MAX} levels")));
    }
    let envelope: Envelope<'_> =
        serde_json::from_str(text).map_err(|error| FrameError::Malformed(error.to_string()))?;
    let message = match kind_named(&envelope.kind) {
        Some(kind) => read_body(kind, envelope.body.get())?,
        None if envelope.critical => return Err(FrameError::UnknownKind(envelope.kind)),
        None => None,
    };
    Ok(Frame { request: envelope.request, message })
}

/// Deepest nesting of a JSON text; brackets in strings do not count.
fn depth(text: &str) -> usize {
    let (mut deepest, mut open, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => open += 1,
            b'}' | b']' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

/// Written by hand because `serde(default)` is forbidden on wire types and two keys are optional.
impl<'de: 'a, 'a> Deserialize<'de> for Envelope<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

struct EnvelopeVisitor;

impl<'de> serde::de::Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with kind, request and body")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        use serde::de::Error as _;
        let (mut kind, mut request, mut critical, mut body) = (None, None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            let repeated = match key.as_str() {
                "kind" => kind.replace(map.next_value()?).is_some(),
                "request" => request.replace(map.next_value()?).is_some(),
                "critical" => critical.replace(map.next_value()?).is_some(),
                "body" => body.replace(map.next_value()?).is_some(),
                _ => return Err(A::Error::custom("unknown key beside kind, request, body")),
            };
            if repeated {
                return Err(A::Error::custom(format!("key {key} is there twice")));
            }
        }
        Ok(Envelope {
            kind: kind.ok_or_else(|| A::Error::missing_field("kind"))?,
            request: request.unwrap_or(0),
            critical: critical.unwrap_or(true),
            body: body.ok_or_else(|| A::Error::missing_field("body"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Counter, RoomId};

    const SEND: &str = r#"{"kind":"send","request":7,"body":{"counter":1,"room":2,"text":"hi"}}"#;

    #[test]
    fn a_script_can_write_a_send() {
        let frame = read_client(SEND).unwrap();
        assert_eq!(frame.request, 7);
        let Some(ClientMessage::Send(body)) = frame.message else { panic!("not a send") };
        assert_eq!((body.counter, body.room, body.text.as_str()), (Counter(1), RoomId(2), "hi"));
        let mut out = Vec::new();
        write_client(&ClientMessage::Send(body), 7, &mut out);
        assert_eq!(out, SEND.as_bytes());
    }

    #[test]
    fn hostile_texts_get_a_stated_error() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let long = format!(r#"{{"kind":"{}"}}"#, "a".repeat(CLIENT_FRAME_BYTES_MAX));
        let over = r#"{"kind":"send","body":{"counter":9007199254740992,"room":2,"text":""}}"#;
        let extra = r#"{"kind":"send","body":{"counter":1,"room":2,"text":"","x":1}}"#;
        let twice = r#"{"kind":"ping","kind":"ping","body":{}}"#;
        let trailing = r#"{"kind":"ping","body":{}} x"#;
        for text in ["", "[]", "{}", &deep, &long, over, extra, twice, trailing, "\u{0}"] {
            assert!(read_client(text).is_err(), "{}", &text[..text.len().min(80)]);
        }
    }

    #[test]
    fn depth_is_bounded_before_anything_is_parsed() {
        let deep = format!(
            r#"{{"kind":"ping","body":{}1{}}}"#,
            "[".repeat(JSON_DEPTH_MAX),
            "]".repeat(JSON_DEPTH_MAX)
        );
        let error = read_client(&deep).unwrap_err();
        assert!(error.to_string().contains("nested deeper"), "{error}");
        assert_eq!(depth(r#"{"a":"[[[\"[["}"#), 1);
    }

    #[test]
    fn an_unknown_kind_is_skipped_only_when_marked_uncritical() {
        let text = r#"{"kind":"later","critical":false,"request":3,"body":{}}"#;
        assert_eq!(read_client(text).unwrap(), Frame { request: 3, message: None });
        let text = r#"{"kind":"later","body":{}}"#;
        assert!(matches!(read_client(text), Err(FrameError::UnknownKind(_))));
    }
}
