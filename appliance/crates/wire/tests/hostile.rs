//! Whatever arrives, decoding ends in a message or a stated error, never in a panic.

use linnet_wire::{ClientMessage, Kind, RecordBody, ServerMessage, binary, json};
use proptest::prelude::*;

proptest! {
    #[test]
    fn any_bytes_are_a_frame_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = binary::read_client(&bytes);
        let _ = binary::read_server(&bytes);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = json::read_client(text);
        }
    }

    #[test]
    fn any_body_of_any_kind_is_a_message_or_an_error(
        kind in 0_u16..0x300,
        bytes in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let _ = ClientMessage::read_postcard(Kind(kind), &bytes);
        let _ = ServerMessage::read_postcard(Kind(kind), &bytes);
        let _ = RecordBody::read_postcard(Kind(kind), &bytes);
    }

    #[test]
    fn json_like_texts_are_a_frame_or_an_error(text in r#"[\[\]{}",:a-z0-9\\. ]{0,80}"#) {
        let _ = json::read_client(&text);
        let _ = json::read_client(&format!(r#"{{"kind":"send","body":{text}}}"#));
    }
}
