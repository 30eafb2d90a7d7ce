//! One request a connection, written by hand so that tests may also send what no library would.

use std::io::{self, Read as _, Write as _};

use serde_json::Value;

use crate::tls::TlsStream;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, un-chunked.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Builds a request with a JSON body, if any, and further header lines.
pub fn request(
    method: &str,
    path: &str,
    host: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Vec<u8> {
    let body = body.map(Value::to_string);
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = &body {
        let length = body.len();
        text.push_str(&format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(body.as_deref().unwrap_or_default());
    text.into_bytes()
}

/// Sends raw bytes and reads the answer; a server that keeps the connection open is not waited for.
pub fn exchange(mut stream: TlsStream, request: &[u8]) -> io::Result<Answer> {
    stream.write_all(request)?;
    stream.flush()?;
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let count = match stream.read(&mut chunk) {
            // A server that closes without close_notify has still answered.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            other => other?,
        };
        bytes.extend_from_slice(&chunk[..count]);
        if let Some(answer) = parse(&bytes, count == 0)? {
            return Ok(answer);
        }
    }
}

/// The answer once it is whole; at the end of the stream it must be.
fn parse(bytes: &[u8], ended: bool) -> io::Result<Option<Answer>> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let length = match head.parse(bytes).map_err(io::Error::other)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if ended => return Err(bad("not a whole HTTP answer")),
        httparse::Status::Partial => return Ok(None),
    };
    let headers: Vec<_> = head.headers.iter().map(lower).collect();
    let status = head.code.unwrap_or(0);
    let value = |name: &str| {
        headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    let rest = &bytes[length..];
    let body = if value("transfer-encoding") == Some("chunked") {
        unchunk(rest)
    } else if let Some(wanted) = value("content-length").and_then(|text| text.parse().ok()) {
        rest.get(..wanted).map(<[u8]>::to_vec)
    } else {
        ended.then(|| rest.to_vec())
    };
    match body {
        Some(body) => Ok(Some(Answer { status, headers, body })),
        None if ended => Err(bad("the body is cut short")),
        None => Ok(None),
    }
}

fn lower(field: &httparse::Header<'_>) -> (String, String) {
    let value = String::from_utf8_lossy(field.value).into_owned();
    (field.name.to_ascii_lowercase(), value)
}

/// Joins chunks; none when the last one is missing, as after a broken download.
fn unchunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(bytes)
        else {
            return None;
        };
        let size = usize::try_from(size).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(start..start + size)?);
        bytes = bytes.get(start + size + 2..)?;
    }
}
