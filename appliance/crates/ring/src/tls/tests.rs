//! Against rustls as the client, in memory; and against one that holds the keys and lies.

use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, Error, RootCertStore, ServerConfig,
    SupportedCipherSuite,
};

use super::keys::{APPLICATION_DATA, HEADER_BYTES, Keys};
use super::*;
use crate::limits::{TLS_EMPTY_RECORDS_MAX, TLS_FRAGMENT_BYTES_MAX, TLS_GCM_RECORDS_MAX};

const SUITES: [SupportedCipherSuite; 3] = [
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
];

const CHACHA: SupportedCipherSuite = SUITES[0];

/// A certificate and its key, made once.
fn identity() -> &'static (CertificateDer<'static>, Vec<u8>) {
    static MADE: OnceLock<(CertificateDer<'static>, Vec<u8>)> = OnceLock::new();
    MADE.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(vec!["linnet.local".to_owned()]).unwrap();
        (made.cert.der().clone(), made.signing_key.serialize_der())
    })
}

fn server(extraction: bool) -> ServerConnection {
    let (cert, key) = identity();
    let key = PrivateKeyDer::try_from(key.clone()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(vec![cert.clone()], key).unwrap();
    config.enable_secret_extraction = extraction;
    ServerConnection::new(Arc::new(config)).unwrap()
}

fn client(suite: SupportedCipherSuite) -> ClientConnection {
    let mut provider = default_provider();
    provider.cipher_suites = vec![suite];
    let version = if suite.tls13().is_some() { &TLS13 } else { &TLS12 };
    let mut roots = RootCertStore::empty();
    roots.add(identity().0.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(provider));
    let config = config.with_protocol_versions(&[version]).unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.enable_secret_extraction = true;
    let name = ServerName::try_from("linnet.local").unwrap();
    ClientConnection::new(Arc::new(config), name).unwrap()
}

/// Lets two connections say all they have to say.
fn converse(client: &mut ClientConnection, server: &mut ServerConnection) {
    while client.wants_write() || server.wants_write() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets().unwrap();
        }
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        receive(client, &bytes).unwrap();
    }
}

fn established(suite: SupportedCipherSuite) -> (ClientConnection, ServerConnection) {
    let (mut client, mut server) = (client(suite), server(true));
    converse(&mut client, &mut server);
    assert!(!client.is_handshaking() && !server.is_handshaking());
    (client, server)
}

fn adopt(connection: ServerConnection) -> Tls {
    Tls::new(TlsState { connection, partial_record: Vec::new() })
}

fn session(suite: SupportedCipherSuite) -> (ClientConnection, Tls) {
    let (client, server) = established(suite);
    (client, adopt(server))
}

/// What the client decrypts.
fn receive(client: &mut ClientConnection, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let (mut rest, mut plaintext) = (bytes, Vec::new());
    while !rest.is_empty() {
        client.read_tls(&mut rest).unwrap();
        let waiting = client.process_new_packets()?.plaintext_bytes_to_read();
        let mut fresh = vec![0; waiting];
        client.reader().read_exact(&mut fresh).unwrap();
        plaintext.extend(fresh);
    }
    Ok(plaintext)
}

/// The records of what the client says.
fn say(client: &mut ClientConnection, plaintext: &[u8]) -> Vec<u8> {
    client.set_buffer_limit(None);
    client.writer().write_all(plaintext).unwrap();
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|index| u8::try_from(index % 251).unwrap()).collect()
}

fn output(tls: &mut Tls) -> Vec<u8> {
    let mut bytes = Vec::new();
    tls.flush(&mut bytes);
    bytes
}

/// A client that can seal anything, and the session it talks to.
fn liar(suite: SupportedCipherSuite) -> (Keys, Tls) {
    let (client, tls) = session(suite);
    let secrets = client.dangerous_extract_secrets().unwrap();
    (Keys::new(secrets.tx).ok().unwrap(), tls)
}

fn sealed(keys: &mut Keys, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    keys.seal(kind, content, &mut bytes);
    bytes
}

/// What an honest client says when the session ended with an alert.
fn alert_after(bytes: impl FnOnce(&mut ClientConnection) -> Vec<u8>) -> Error {
    let (mut client, mut tls) = session(CHACHA);
    let bytes = bytes(&mut client);
    assert_eq!(tls.decrypt(&bytes, &mut Vec::new()), Err(Broken));
    assert_eq!(tls.decrypt(&bytes, &mut Vec::new()), Err(Broken), "it stays broken");
    assert!(tls.has_output());
    let answer = output(&mut tls);
    assert!(!tls.has_output());
    let mut more = Vec::new();
    tls.encrypt(b"more", &mut more);
    assert!(more.is_empty(), "an alert is the last word");
    receive(&mut client, &answer).unwrap_err()
}

#[test]
fn every_suite_carries_every_length_both_ways() {
    for suite in SUITES {
        let (mut client, mut tls) = session(suite);
        for length in [0, 1, 100, 16_383, 16_384, 16_385, 50_000] {
            let said = text(length);
            let mut heard = Vec::new();
            assert_eq!(tls.decrypt(&say(&mut client, &said), &mut heard), Ok(Stream::Open));
            assert_eq!(heard, said, "{suite:?}, {length} bytes");
            let mut bytes = Vec::new();
            tls.encrypt(&said, &mut bytes);
            assert_eq!(receive(&mut client, &bytes).unwrap(), said, "{suite:?}, {length} bytes");
        }
        let Tls::Records(records) = &tls else { panic!("TLS 1.3 is ours") };
        assert_eq!(records.partial.capacity(), 0, "no buffer stays behind");
    }
}

#[test]
fn tls_1_2_goes_on_with_rustls() {
    let suite = cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;
    let (mut client, mut tls) = session(suite);
    assert!(matches!(tls, Tls::Legacy(_)));
    let (said, mut heard, mut bytes) = (text(40_000), Vec::new(), Vec::new());
    assert_eq!(tls.decrypt(&say(&mut client, &said), &mut heard), Ok(Stream::Open));
    tls.encrypt(&said, &mut bytes);
    tls.close();
    tls.flush(&mut bytes);
    assert_eq!((heard, receive(&mut client, &bytes).unwrap()), (said.clone(), said));
    client.send_close_notify();
    assert_eq!(tls.decrypt(&say(&mut client, b""), &mut Vec::new()), Ok(Stream::Ended));
}

#[test]
fn without_leave_to_extract_the_keys_the_session_ends() {
    let (mut client, mut server) = (client(CHACHA), server(false));
    converse(&mut client, &mut server);
    let mut tls = adopt(server);
    assert_eq!(tls.decrypt(b"", &mut Vec::new()), Err(Broken));
    assert!(!tls.has_output());
}

#[test]
fn what_was_read_of_a_record_goes_along_at_every_cut() {
    for cut in 0..160 {
        let (mut client, server) = established(CHACHA);
        let bytes = [say(&mut client, &text(60)), say(&mut client, &text(61))].concat();
        let (read, rest) = bytes.split_at(cut.min(bytes.len()));
        let mut tls = Tls::new(TlsState { connection: server, partial_record: read.to_vec() });
        let mut heard = Vec::new();
        tls.decrypt(b"", &mut heard).unwrap();
        tls.decrypt(rest, &mut heard).unwrap();
        assert_eq!(heard, [text(60), text(61)].concat(), "cut at {cut}");
    }
}

#[test]
fn each_side_can_say_that_nothing_more_comes() {
    let (mut client, mut tls) = session(CHACHA);
    let mut heard = Vec::new();
    let mut last = say(&mut client, b"bye");
    client.send_close_notify();
    last.extend(say(&mut client, b""));
    last.extend(b"what follows is nobody's");
    assert_eq!(tls.decrypt(&last, &mut heard), Ok(Stream::Ended));
    assert_eq!(tls.decrypt(b"more", &mut heard), Ok(Stream::Ended));
    assert_eq!(heard, b"bye");
    let mut bytes = Vec::new();
    tls.encrypt(b"the same", &mut bytes);
    tls.close();
    tls.close();
    tls.flush(&mut bytes);
    tls.encrypt(b"not heard", &mut bytes);
    assert_eq!(receive(&mut client, &bytes).unwrap(), b"the same");
    assert!(client.process_new_packets().unwrap().peer_has_closed());
}

#[test]
fn a_broken_record_is_answered_with_the_alert_for_it() {
    let alert = Error::AlertReceived;
    let flipped = |client: &mut ClientConnection| {
        let mut bytes = say(client, b"hello");
        bytes[HEADER_BYTES] ^= 1;
        bytes
    };
    assert_eq!(alert_after(flipped), alert(AlertDescription::BadRecordMac));
    let long = |_: &mut ClientConnection| vec![23, 3, 3, 0x41, 0x01];
    assert_eq!(alert_after(long), alert(AlertDescription::RecordOverflow));
    let short = |_: &mut ClientConnection| vec![23, 3, 3, 0, 0];
    assert_eq!(alert_after(short), alert(AlertDescription::BadRecordMac));
    for kind in [20, 21, 22, b'G'] {
        let plain = |_: &mut ClientConnection| vec![kind, 3, 3, 0, 1, 1];
        assert_eq!(alert_after(plain), alert(AlertDescription::UnexpectedMessage), "{kind}");
    }
}

#[test]
fn new_keys_of_the_peer_end_the_session_with_internal_error() {
    let update = |client: &mut ClientConnection| {
        client.refresh_traffic_keys().unwrap();
        say(client, b"under the new key")
    };
    assert_eq!(alert_after(update), Error::AlertReceived(AlertDescription::InternalError));
}

#[test]
fn padding_is_taken_off_and_bounded() {
    let (mut keys, mut tls) = liar(CHACHA);
    let mut heard = Vec::new();
    let padded = [&b"hi"[..], &[APPLICATION_DATA], &[0; 1000]].concat();
    let only = [&[APPLICATION_DATA][..], &[0; TLS_FRAGMENT_BYTES_MAX - 1]].concat();
    for content in [padded, only] {
        tls.decrypt(&sealed(&mut keys, 0, &content), &mut heard).unwrap();
    }
    assert_eq!(heard, b"hi");
    let too_long = sealed(&mut keys, 0, &[1; TLS_FRAGMENT_BYTES_MAX + 1]);
    assert_eq!(tls.decrypt(&too_long, &mut heard), Err(Broken));
    let (mut keys, mut tls) = liar(CHACHA);
    assert_eq!(tls.decrypt(&sealed(&mut keys, 0, &[0; 20]), &mut heard), Err(Broken));
    assert_eq!(heard, b"hi");
}

#[test]
fn what_a_session_has_no_use_for_ends_it() {
    for (kind, content, answered) in [
        (21, &[2, 40][..], false),
        (21, &[1, 40], false),
        (21, &[2], true),
        (21, &[], true),
        (22, &[1, 0, 0, 0], true),
        (22, &[], true),
        (20, &[1], true),
        (24, &[1], true),
    ] {
        let (mut keys, mut tls) = liar(CHACHA);
        let mut heard = Vec::new();
        let bytes = sealed(&mut keys, kind, content);
        assert_eq!(tls.decrypt(&bytes, &mut heard), Err(Broken), "{kind} {content:?}");
        assert_eq!((tls.has_output(), heard.len()), (answered, 0), "{kind} {content:?}");
    }
}

#[test]
fn records_without_content_are_bounded_in_a_row() {
    let (mut keys, mut tls) = liar(CHACHA);
    let mut heard = Vec::new();
    for round in 0..3 {
        for index in 0..TLS_EMPTY_RECORDS_MAX {
            // The empty one and the alert "user_canceled" count alike.
            let (kind, content) = if index % 2 == 0 { (23, &[][..]) } else { (21, &[1, 90][..]) };
            let bytes = sealed(&mut keys, kind, content);
            assert_eq!(tls.decrypt(&bytes, &mut heard), Ok(Stream::Open), "{round} {index}");
        }
        tls.decrypt(&sealed(&mut keys, 23, b"x"), &mut heard).unwrap();
    }
    assert_eq!(heard, b"xxx");
    let all = (0..=TLS_EMPTY_RECORDS_MAX).flat_map(|_| sealed(&mut keys, 23, b""));
    assert_eq!(tls.decrypt(&all.collect::<Vec<_>>(), &mut heard), Err(Broken));
}

#[test]
fn an_aes_key_is_used_up_in_time_and_chacha_never() {
    for suite in SUITES {
        let (client, server) = established(suite);
        let mut secrets = server.dangerous_extract_secrets().unwrap();
        secrets.tx.0 = TLS_GCM_RECORDS_MAX - 1;
        let mut peer = client.dangerous_extract_secrets().unwrap();
        peer.rx.0 = secrets.tx.0;
        let mut peer = Keys::new(peer.rx).ok().unwrap();
        let mut tls = Tls::Records(Box::new(Records::new(secrets, Vec::new()).unwrap()));
        let mut bytes = Vec::new();
        tls.encrypt(&text(TLS_FRAGMENT_BYTES_MAX + 1), &mut bytes);
        tls.flush(&mut bytes);
        let first = bytes.drain(..HEADER_BYTES + TLS_FRAGMENT_BYTES_MAX + 17).collect::<Vec<_>>();
        let last = [first, bytes].map(|mut record| {
            let (header, body) = record.split_first_chunk_mut().unwrap();
            peer.open(*header, body).unwrap().to_vec()
        });
        let ended = tls.decrypt(b"", &mut Vec::new()).unwrap();
        match suite == CHACHA {
            true => assert_eq!((&last[1][1..], ended), (&[23][..], Stream::Open)),
            false => assert_eq!((&last[1][..], ended), (&[1, 0, 21][..], Stream::Ended)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_of_the_input_gives_the_same_plaintext(
        lengths in prop::collection::vec(0..3000_usize, 1..5),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        suite in prop::sample::select(&SUITES[..]),
    ) {
        let (mut client, mut tls) = session(suite);
        let said: Vec<_> = lengths.iter().map(|length| text(*length)).collect();
        let bytes: Vec<u8> = said.iter().flat_map(|text| say(&mut client, text)).collect();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut heard = Vec::new();
        for cut in cuts.windows(2) {
            prop_assert_eq!(tls.decrypt(&bytes[cut[0]..cut[1]], &mut heard), Ok(Stream::Open));
        }
        prop_assert_eq!(heard, said.concat());
    }

    #[test]
    fn no_change_to_the_bytes_gets_past_the_tag(
        at in any::<prop::sample::Index>(),
        change in 1..=255_u8,
        chunk in 1..200_usize,
        suite in prop::sample::select(&SUITES[..]),
    ) {
        let (mut client, mut tls) = session(suite);
        let said = text(100);
        let mut bytes: Vec<u8> = (0..3).flat_map(|_| say(&mut client, &said)).collect();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        // A longer length swallows what follows, so enough does.
        bytes.resize(bytes.len() + TLS_FRAGMENT_BYTES_MAX * 5, 23);
        let (mut heard, mut last) = (Vec::new(), Ok(Stream::Open));
        for chunk in bytes.chunks(chunk) {
            last = tls.decrypt(chunk, &mut heard);
        }
        prop_assert_eq!(last, Err(Broken));
        let intact = at / (bytes.len() - TLS_FRAGMENT_BYTES_MAX * 5).div_ceil(3);
        prop_assert_eq!(heard, said.repeat(intact));
        prop_assert!(tls.has_output());
    }

    #[test]
    fn bytes_from_anywhere_never_panic_and_never_decrypt(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        looks_right in any::<bool>(),
    ) {
        let (_, mut tls) = session(CHACHA);
        let mut input = if looks_right { vec![23, 3, 3, 0, 30] } else { Vec::new() };
        input.extend(bytes);
        let mut heard = Vec::new();
        for chunk in input.chunks(7) {
            let _ = tls.decrypt(chunk, &mut heard);
        }
        prop_assert!(heard.is_empty());
    }
}
