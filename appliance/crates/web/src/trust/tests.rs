//! A real validator judges what the CA signs; damaged files never lead to a new CA.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rustls::pki_types::{ServerName, UnixTime};

use super::*;

const DAY_MS: u64 = 24 * 3600 * 1000;
const NOW: TimeMs = TimeMs(1_800_000_000_000);
const FLOOR: TimeMs = TimeMs(NOW.0 - 10 * DAY_MS);

fn network(names: &[&str]) -> Network {
    Network {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        addresses: vec!["192.168.7.9".parse().unwrap()],
    }
}

fn open_at(data: &Path, now: TimeMs) -> Result<Trust, TrustError> {
    Trust::open(data, BoxId([7; 16]), &network(&["linnet.local"]), now, FLOOR)
}

/// What a client that trusts only this box's CA says about a chain.
fn verify(ca: &[u8], leaf: &[u8], name: &str, now: TimeMs) -> Result<(), webpki::Error> {
    let ca = CertificateDer::from(ca.to_vec());
    let anchor = webpki::anchor_from_trusted_cert(&ca).unwrap();
    let leaf = CertificateDer::from(leaf.to_vec());
    let leaf = webpki::EndEntityCert::try_from(&leaf)?;
    leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &[anchor],
        &[],
        UnixTime::since_unix_epoch(Duration::from_millis(now.0)),
        webpki::KeyUsage::server_auth(),
        None,
        None,
    )?;
    leaf.verify_is_valid_for_subject_name(&ServerName::try_from(name).unwrap())
}

fn leaf_der(trust: &Trust) -> Vec<u8> {
    trust.leaf.lock().unwrap().der.clone()
}

#[test]
fn a_client_that_trusts_the_ca_accepts_the_box_by_name_and_address() {
    let data = tempfile::tempdir().unwrap();
    let trust = open_at(data.path(), NOW).unwrap();
    let leaf = leaf_der(&trust);
    for name in ["linnet.local", "localhost", "127.0.0.1", "::1", "192.168.7.9"] {
        assert_eq!(verify(trust.ca_der(), &leaf, name, NOW), Ok(()), "{name}");
    }
    assert!(verify(trust.ca_der(), &leaf, "other.local", NOW).is_err());
}

#[test]
fn the_ca_cannot_vouch_for_a_name_or_address_of_the_internet() {
    let data = tempfile::tempdir().unwrap();
    let trust = open_at(data.path(), NOW).unwrap();
    let mut names = trust.authority.leaf_names(&network(&[]));
    names.dns.insert("example.com".to_owned());
    let forged = trust.authority.issue(names, NOW, FLOOR).unwrap().der;
    let verdict = verify(trust.ca_der(), &forged, "example.com", NOW);
    assert_eq!(verdict, Err(webpki::Error::NameConstraintViolation));

    let mut names = trust.authority.leaf_names(&network(&[]));
    names.addresses.insert("8.8.8.8".parse().unwrap());
    let forged = trust.authority.issue(names, NOW, FLOOR).unwrap().der;
    let verdict = verify(trust.ca_der(), &forged, "8.8.8.8", NOW);
    assert_eq!(verdict, Err(webpki::Error::NameConstraintViolation));
}

#[test]
fn the_ca_of_a_box_named_like_a_top_level_domain_cannot_vouch_for_it() {
    let data = tempfile::tempdir().unwrap();
    let names = network(&["dev", "dev.local", "chat.school.example"]);
    let trust = Trust::open(data.path(), BoxId([7; 16]), &names, NOW, FLOOR).unwrap();
    for name in ["dev.local", "chat.school.example"] {
        assert_eq!(verify(trust.ca_der(), &leaf_der(&trust), name, NOW), Ok(()), "{name}");
    }
    for name in ["dev", "web.dev"] {
        let mut names = trust.authority.leaf_names(&network(&[]));
        names.dns.insert(name.to_owned());
        let forged = trust.authority.issue(names, NOW, FLOOR).unwrap().der;
        let verdict = verify(trust.ca_der(), &forged, name, NOW);
        assert_eq!(verdict, Err(webpki::Error::NameConstraintViolation), "{name}");
    }
}

#[test]
fn the_ca_says_so_in_critical_extensions_with_the_box_id_in_its_name() {
    use x509_parser::prelude::{FromDer, X509Certificate};
    let data = tempfile::tempdir().unwrap();
    let trust = open_at(data.path(), NOW).unwrap();
    let (_, ca) = X509Certificate::from_der(trust.ca_der()).unwrap();
    assert!(ca.subject().to_string().contains(&"07".repeat(16)));
    assert!(ca.name_constraints().unwrap().unwrap().critical);
    let basic = ca.basic_constraints().unwrap().unwrap();
    assert!(basic.critical && basic.value.ca);
    assert_eq!(basic.value.path_len_constraint, Some(0));
}

#[test]
fn a_leaf_lives_397_days_at_most_from_the_clock_floor() {
    let data = tempfile::tempdir().unwrap();
    let trust = open_at(data.path(), NOW).unwrap();
    let leaf = leaf_der(&trust);
    let at = |time: u64| verify(trust.ca_der(), &leaf, "localhost", TimeMs(time));
    assert_eq!(at(FLOOR.0), Ok(()));
    assert!(at(FLOOR.0 - 1000).is_err());
    assert_eq!(at(FLOOR.0 + 397 * DAY_MS - 1000), Ok(()));
    assert!(at(FLOOR.0 + 397 * DAY_MS + 1000).is_err());
}

#[test]
fn the_next_start_keeps_ca_and_leaf() {
    let data = tempfile::tempdir().unwrap();
    let first = open_at(data.path(), NOW).unwrap();
    let second = open_at(data.path(), TimeMs(NOW.0 + DAY_MS)).unwrap();
    assert_eq!(first.fingerprint(), second.fingerprint());
    assert_eq!(leaf_der(&first), leaf_der(&second));
}

#[test]
fn the_leaf_follows_names_addresses_and_clock_and_the_ca_stays() {
    let data = tempfile::tempdir().unwrap();
    let trust = open_at(data.path(), NOW).unwrap();
    let same = network(&["linnet.local"]);
    assert!(!trust.refresh(&same, NOW, FLOOR).unwrap());
    let later = TimeMs(NOW.0 + 360 * DAY_MS);
    assert!(trust.refresh(&same, later, FLOOR).unwrap());
    assert_eq!(verify(trust.ca_der(), &leaf_der(&trust), "localhost", later), Ok(()));
    let earlier = TimeMs(NOW.0 - 300 * DAY_MS);
    assert!(trust.refresh(&same, earlier, FLOOR).unwrap());
    let renamed = network(&["school.local"]);
    assert!(trust.refresh(&renamed, earlier, FLOOR).unwrap());
    let leaf = leaf_der(&trust);
    assert_eq!(verify(trust.ca_der(), &leaf, "school.local", NOW), Ok(()));
    assert!(verify(trust.ca_der(), &leaf, "linnet.local", NOW).is_err());
}

#[test]
fn a_leaf_that_the_card_does_not_take_serves_all_the_same() {
    let data = tempfile::tempdir().unwrap();
    let ca = open_at(data.path(), NOW).unwrap().ca_der().to_vec();
    // In the way of the file that would be written.
    fs::create_dir(data.path().join("tls/leaf.key.new")).unwrap();
    let later = TimeMs(NOW.0 + 360 * DAY_MS);
    let trust = open_at(data.path(), later).unwrap();
    assert_eq!(trust.ca_der(), ca);
    assert_eq!(verify(&ca, &leaf_der(&trust), "linnet.local", later), Ok(()));
}

#[test]
fn keys_are_readable_by_their_owner_alone() {
    let data = tempfile::tempdir().unwrap();
    open_at(data.path(), NOW).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data.path().join("tls")), 0o700);
    for name in ["ca.key", "ca.crt", "leaf.key", "leaf.crt"] {
        assert_eq!(mode(&data.path().join("tls").join(name)), 0o600, "{name}");
    }
}

#[test]
fn a_damaged_or_missing_ca_file_is_an_error_and_never_a_new_ca() {
    let data = tempfile::tempdir().unwrap();
    open_at(data.path(), NOW).unwrap();
    for name in ["ca.key", "ca.crt"] {
        let path = data.path().join("tls").join(name);
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[100] ^= 1;
        for bytes in [&whole[..40], b"", &flipped, b"\xff\xfe"] {
            fs::write(&path, bytes).unwrap();
            let error = open_at(data.path(), NOW).err().expect("damage is noticed");
            assert!(matches!(error, TrustError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains("restore"), "{error}");
        }
        fs::remove_file(&path).unwrap();
        let error = open_at(data.path(), NOW).err().expect("loss is noticed");
        assert!(error.to_string().contains("it is missing"), "{error}");
        fs::write(&path, &whole).unwrap();
    }
    assert!(open_at(data.path(), NOW).is_ok());
}

#[test]
fn a_damaged_leaf_is_replaced() {
    let data = tempfile::tempdir().unwrap();
    let before = leaf_der(&open_at(data.path(), NOW).unwrap());
    fs::write(data.path().join("tls/leaf.crt"), "?").unwrap();
    let trust = open_at(data.path(), NOW).unwrap();
    assert_ne!(leaf_der(&trust), before);
}

#[test]
fn a_secret_is_the_same_at_the_next_start_and_another_for_each_purpose_and_box() {
    let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let secret = open_at(data.path(), NOW).unwrap().secret_for("one");
    let again = open_at(data.path(), NOW).unwrap();
    assert_eq!(again.secret_for("one"), secret);
    assert_ne!(again.secret_for("two"), secret);
    assert_ne!(open_at(other.path(), NOW).unwrap().secret_for("one"), secret);
}

#[test]
fn quic_takes_no_early_data_and_native_sessions_only() {
    let data = tempfile::tempdir().unwrap();
    let config = open_at(data.path(), NOW).unwrap().quic_config().unwrap();
    assert_eq!((config.max_early_data_size, config.alpn_protocols.len()), (0, 1));
    assert_eq!(config.alpn_protocols[0], ALPN_NATIVE);
    let first = config.crypto_provider().cipher_suites[0].suite();
    assert_eq!(first, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
}

#[test]
fn a_first_start_that_was_cut_short_starts_over() {
    let data = tempfile::tempdir().unwrap();
    fs::create_dir(data.path().join("tls.new")).unwrap();
    fs::write(data.path().join("tls.new/ca.key"), "half").unwrap();
    assert!(open_at(data.path(), NOW).is_ok());
}

#[test]
fn chacha_comes_first() {
    let suites = provider().cipher_suites;
    assert!(is_chacha(&suites[0]) && suites.len() >= 9);
    assert!(!is_chacha(suites.last().unwrap()));
}
