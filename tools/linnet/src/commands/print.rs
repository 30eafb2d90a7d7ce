//! What people and scripts read. Text of others never reaches the terminal with control characters.

use std::borrow::Cow;
use std::io::Write;

use anyhow::Result;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use wire::ids::{Seq, TimeMs};
use wire::server::{Message, Role};

/// `2026-01-31 17:05:09 ada: text`, continued lines indented. The local time.
pub(crate) fn message_line(time: TimeMs, author: &str, text: &str) -> String {
    let text = plain(text);
    let text = text.trim_end_matches('\n').replace('\n', "\n    ");
    format!("{} {}: {text}", local_time(time), plain(author))
}

/// One message for scripts: the wire's fields, and the names behind the numbers.
#[derive(Serialize)]
pub(crate) struct MessageJson<'a> {
    kind: &'static str,
    #[serde(flatten)]
    message: &'a Message,
    author_name: &'a str,
    room_name: &'a str,
}

impl<'a> MessageJson<'a> {
    pub(crate) fn new(message: &'a Message, author_name: &'a str, room_name: &'a str) -> Self {
        Self { kind: "message", message, author_name, room_name }
    }
}

/// One JSON object and a line end, flushed: a pipe's reader wants it now.
pub(crate) fn json_line(value: &impl Serialize) -> Result<()> {
    line(&serde_json::to_string(value)?)
}

/// One line, flushed. `println!` would panic when the reader left.
pub(crate) fn line(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// The text without control characters but line ends and tabs, so that no message can move the
/// cursor or retitle the window.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    let odd = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(odd) { Cow::Owned(text.replace(odd, "\u{fffd}")) } else { Cow::Borrowed(text) }
}

pub(crate) const fn role(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::Member => "member",
    }
}

/// `n damaged messages` as one line.
pub(crate) fn damage_note(damaged: u32, before: Option<Seq>) -> String {
    match before {
        Some(seq) => format!("({damaged} messages near {seq} are damaged on the card)"),
        None => format!("({damaged} messages are damaged on the card)"),
    }
}

pub(crate) fn local_time(time: TimeMs) -> String {
    let millis = i64::try_from(time.0).unwrap_or(i64::MAX);
    let stamp = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
    let local = stamp.to_zoned(TimeZone::system());
    local.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_can_not_command_the_terminal() {
        let line = message_line(TimeMs(0), "e\u{1b}ve", "one\u{7}\r\ntwo\tx\u{9b}2J\n");
        assert!(!line.contains(['\u{1b}', '\u{7}', '\r', '\u{9b}']), "{line:?}");
        assert!(
            line.ends_with("e\u{fffd}ve: one\u{fffd}\u{fffd}\n    two\tx\u{fffd}2J"),
            "{line:?}"
        );
    }

    #[test]
    fn times_that_no_calendar_holds_are_still_printed() {
        assert!(message_line(TimeMs(u64::MAX), "a", "b").ends_with(" a: b"));
    }
}
