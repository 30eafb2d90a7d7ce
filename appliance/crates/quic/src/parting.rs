//! The end of a connection: last frames out, acknowledged, then closed with a code and a reason.

use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, ConnectionError, SendStream, VarInt};
use tokio::time::{sleep, timeout};

use crate::event::CloseReason;
use crate::hall::{Hall, Seat};
use crate::limits::CLOSE_WITHIN;

/// The application error code that a connection is closed with (RFC 9000, 20.2).
#[must_use]
pub const fn close_code(reason: CloseReason) -> u32 {
    match reason {
        CloseReason::Peer | CloseReason::Asked => 0,
        CloseReason::ShuttingDown => 1,
        CloseReason::Violation => 2,
        CloseReason::TooSlow => 3,
        CloseReason::Dead | CloseReason::Lost => 4,
    }
}

/// What is said with the code.
const fn words(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Peer => "goodbye",
        CloseReason::Asked => "the session is over",
        CloseReason::ShuttingDown => "the box is restarting",
        CloseReason::Violation => "the frames can't be read",
        CloseReason::TooSlow => "too much waits to be read",
        CloseReason::Dead | CloseReason::Lost => "no sign of life",
    }
}

/// Closes at once.
pub(crate) fn close(connection: &Connection, reason: CloseReason) {
    connection.close(VarInt::from_u32(close_code(reason)), words(reason).as_bytes());
}

/// Why a connection that ended by itself did.
pub(crate) fn reason_of(error: &ConnectionError) -> CloseReason {
    match error {
        ConnectionError::ApplicationClosed(_) | ConnectionError::ConnectionClosed(_) => {
            CloseReason::Peer
        }
        ConnectionError::TimedOut => CloseReason::Dead,
        ConnectionError::TransportError(_) => CloseReason::Violation,
        ConnectionError::VersionMismatch
        | ConnectionError::Reset
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted => CloseReason::Lost,
    }
}

/// Sends what waits, if somebody may still read it, and closes.
pub(crate) async fn part(
    hall: &Hall,
    seat: &Seat,
    connection: &Connection,
    mut send: SendStream,
    left: Vec<Bytes>,
    reason: CloseReason,
) {
    let waits = !matches!(reason, CloseReason::TooSlow | CloseReason::Dead | CloseReason::Lost);
    let said = waits && timeout(CLOSE_WITHIN, last_words(seat, &mut send, left)).await.is_ok();
    seat.give_up(hall);
    if !said && connection.close_reason().is_none() {
        drop_unsent(connection, &mut send, reason).await;
    }
    close(connection, reason);
}

/// While data waits, quinn sends no close beyond what congestion control lets through, and it
/// takes no acknowledgements any more: so the data goes first, then its acknowledgements come.
async fn drop_unsent(connection: &Connection, send: &mut SendStream, reason: CloseReason) {
    let _ = send.reset(VarInt::from_u32(close_code(reason)));
    sleep((connection.rtt() * 2).clamp(Duration::from_millis(50), Duration::from_millis(500)))
        .await;
}

/// Done when the peer acknowledged everything, or is gone.
async fn last_words(seat: &Seat, send: &mut SendStream, mut left: Vec<Bytes>) {
    loop {
        if send.write_all_chunks(&mut left).await.is_err() {
            return;
        }
        left.clear();
        seat.take(&mut left);
        if left.is_empty() {
            break;
        }
    }
    if send.finish().is_ok() {
        let _ = send.stopped().await;
    }
}
