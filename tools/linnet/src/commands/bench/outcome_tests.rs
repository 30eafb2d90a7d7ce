//! What is shared, word for word.

use super::*;
use crate::commands::bench::figures::Card;

fn messages(devices: u32, per_second: f64) -> Messages {
    Messages {
        devices,
        payload_bytes: 192,
        messages: 1_000,
        seconds: 2.0,
        per_second,
        ack_us: Some(Ack { p50: 4_200.0, p99: 12_000.0, max: 30_060.0 }),
        write_bytes_per_message: Some(4_400.4),
        device_bytes_per_message: None,
    }
}

fn outcome() -> Outcome {
    let card = Card {
        name: Some("SC64G".into()),
        kind: Some("SD".into()),
        date: None,
        bytes: Some(63_900_000_000),
    };
    Outcome {
        version: "0.1.0".into(),
        board: Board {
            board: Some("Raspberry Pi 4 Model B".into()),
            kernel: Some("6.18.1".into()),
            cores: Some(4),
            memory_bytes: Some(4_000_000_000),
            card: Some(card),
        },
        sessions: 32,
        durable: messages(8, 9_876.5),
        lone: messages(1, 200.0),
        memory: Memory { before_bytes: Some(9_000_000), sessions_bytes: None, most_bytes: None },
        temperature_millidegrees: Range { before: Some(48_312), most: Some(-1_250) },
        written: Written { server_bytes: Some(5_000_000), device_bytes: Some(6_000_000) },
    }
}

#[test]
fn the_text_says_what_was_measured_and_how() {
    let text = outcome().text();
    for part in [
        "Linnet 0.1.0 on Raspberry Pi 4 Model B, 4 cores, 4.0 GB, Linux 6.18.1",
        "; card SC64G SD 63.9 GB",
        "durable messages      9876/s (1000 messages of 192 bytes)",
        "p50 4.2 ms, p99 12.0 ms, slowest 30.1 ms",
        "written for each    4400 bytes at most (as the kernel",
        "9.0 MB before, not told with the sessions",
        "48.3 °C before, -1.2 °C at most",
        "6.0 MB by everything on the box",
        "paces at 16000 messages/s together",
    ] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
}

#[test]
fn a_box_that_restarted_wrote_an_unknown_amount() {
    let at = |bytes| Figures { write_bytes: Some(bytes), ..Figures::default() };
    assert_eq!(Written::between(&at(5), &at(12)).server_bytes, Some(7));
    assert_eq!(Written::between(&at(12), &at(5)).server_bytes, None);
    assert_eq!(Written::between(&at(1), &at(2)).device_bytes, None);
}

#[test]
fn the_devices_own_count_is_shown_where_there_is_one() {
    let messages = Messages { device_bytes_per_message: Some(479.2), ..messages(8, 1.0) };
    assert_eq!(messages.written(), "479 bytes");
    let written = Written { server_bytes: None, device_bytes: None };
    assert_eq!(written.text(), "not told");
}

#[test]
fn an_unknown_board_is_said_to_be_one() {
    assert_eq!(Board::default().text(), "an unnamed board");
}
