//! Frames in both directions, and what a confused or hostile peer sends.

use proptest::prelude::*;

use super::*;
use crate::claim::ClaimToken;
use crate::provision::Wifi;

fn network() -> Network {
    Network {
        interface: Some("eth0".into()),
        kind: Some(LinkKind::Ethernet),
        link: true,
        address: Some(([192, 168, 1, 7].into(), 24)),
        addresses_v6: vec!["fd00::7".parse().unwrap()],
        announced: Some("linnet-2".into()),
        wifi: Some(WifiState::WrongPassphrase),
        complaints: vec!["Correct the passphrase.".into()],
    }
}

fn welcome() -> FromInit {
    FromInit::Welcome(Box::new(Welcome {
        version: VERSION,
        claim: ClaimOffer::Provisioned {
            id: ProvisioningId::from_random([3; 16]),
            hash: ClaimToken::from_random([4; 16]).hash(),
        },
        host_name: "linnet".into(),
        boot_nonce: Some("n0".into()),
        rescue: None,
        facts: BoxFacts {
            board: "Raspberry Pi 4 Model B".into(),
            release: "0.1.0".into(),
            kernel: "6.12".into(),
            memory_bytes: 1 << 30,
            slot: Some(Slot::A),
        },
        network: network(),
        complaints: vec![],
    }))
}

#[test]
fn frames_read_back_equal_one_after_the_other() {
    let health = ToInit::Health(Health {
        ok: true,
        detail: "all well".into(),
        nonce: Some("n0".into()),
        progress: 9,
        claimed: false,
    });
    let mut stream = Vec::new();
    write_frame(&mut stream, &health).unwrap();
    write_frame(&mut stream, &ToInit::PowerOff).unwrap();
    let mut reader = stream.as_slice();
    assert_eq!(read_frame(&mut reader).unwrap(), Some(health));
    assert_eq!(read_frame(&mut reader).unwrap(), Some(ToInit::PowerOff));
    assert_eq!(read_frame::<ToInit>(&mut reader).unwrap(), None);

    let report = FromNet::Clock(ClockReport {
        source: ClockSource::Server("ntp.example".into()),
        old_s: 0,
        new_s: 1_800_000_000,
    });
    let mut stream = Vec::new();
    write_frame(&mut stream, &report).unwrap();
    assert_eq!(read_frame(&mut stream.as_slice()).unwrap(), Some(report));

    let mut stream = Vec::new();
    write_frame(&mut stream, &welcome()).unwrap();
    assert_eq!(read_frame(&mut stream.as_slice()).unwrap(), Some(welcome()));
}

#[test]
fn settings_of_the_net_child_travel_whole_and_hide_the_passphrase() {
    let settings = NetSettings {
        host_name: "linnet".into(),
        wifi: Some(Wifi { ssid: "school".into(), passphrase: Some("not so secret".into()) }),
        ..NetSettings::default()
    };
    let frame = encode(&settings).unwrap();
    assert_eq!(read_frame(&mut frame.as_slice()).unwrap(), Some(settings.clone()));
    let open = NetSettings { wifi: Some(Wifi { ssid: "a".into(), passphrase: None }), ..settings };
    let frame = encode(&open).unwrap();
    assert_eq!(read_frame(&mut frame.as_slice()).unwrap(), Some(open.clone()));
    assert!(!format!("{open:?}").contains("secret"));
}

#[test]
fn length_above_the_limit_is_refused_before_anything_is_reserved() {
    let mut reader: &[u8] = &[0xff, 0xff, 0xff, 0xff];
    let result = read_frame::<ToInit>(&mut reader);
    assert!(matches!(result, Err(ControlError::TooLong { bytes: 0xffff_ffff })));
    let lines = vec!["x".repeat(CONTROL_FRAME_BYTES_MAX)];
    assert!(matches!(encode(&FromInit::Logs { lines }), Err(ControlError::TooLong { .. })));
}

#[test]
fn cut_frames_and_trailing_bytes_are_stated_errors() {
    let frame = encode(&welcome()).unwrap();
    for length in 1..frame.len() {
        let result = read_frame::<FromInit>(&mut &frame[..length]);
        assert!(matches!(result, Err(ControlError::Truncated)), "{length} bytes");
    }
    let mut longer = encode(&ToInit::Status).unwrap();
    longer.push(0);
    longer[0] += 1;
    let result = read_frame::<ToInit>(&mut longer.as_slice());
    assert!(matches!(result, Err(ControlError::Malformed)));
}

#[test]
fn unknown_variant_is_malformed() {
    let result = read_frame::<ToInit>(&mut [1u8, 0, 0, 0, 99].as_slice());
    assert!(matches!(result, Err(ControlError::Malformed)));
}

#[test]
fn sentences_are_cut_between_characters() {
    let long = "é".repeat(SENTENCE_BYTES_MAX);
    assert!(sentence(&long).len() <= SENTENCE_BYTES_MAX);
    assert_eq!(sentence("short"), "short");
}

#[test]
fn passphrase_is_not_shown_by_debug() {
    let wifi = WifiChoice {
        ssid: "home".into(),
        passphrase: Some("quite a secret".into()),
        country: None,
    };
    let shown = format!("{:?}", ToInit::Set(Setting::Wifi(Some(wifi))));
    assert!(shown.contains("home") && !shown.contains("secret"), "{shown}");
}

#[test]
fn what_is_told_often_is_not_answered_and_every_question_is() {
    assert!(!ToInit::LedHint(LedHint::Nothing).is_answered());
    for asked in [
        ToInit::Status,
        ToInit::FactoryReset,
        ToInit::SetTime { unix_ms: 1 },
        ToInit::Set(Setting::Wifi(None)),
    ] {
        assert!(asked.is_answered(), "{asked:?}");
        let frame = encode(&asked).unwrap();
        assert_eq!(read_frame(&mut frame.as_slice()).unwrap(), Some(asked));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_body::<ToInit>(&bytes);
        let _ = decode_body::<FromInit>(&bytes);
        let _ = read_frame::<FromInit>(&mut bytes.as_slice());
    }
}
