//! The file as people write it, and as they break it.

use proptest::prelude::*;

use super::*;
use crate::claim::ClaimToken;

fn full() -> Provisioning {
    Provisioning {
        id: ProvisioningId::from_random([0x5a; 16]),
        claim_token_hash: ClaimToken::from_random([1; 16]).hash(),
        host_name: Some("class-4b".into()),
        country: Some("KE".into()),
        time_zone: Some("Africa/Nairobi".into()),
        wifi: Some(Wifi { ssid: "Schule \"4\"".into(), passphrase: Some("not so secret".into()) }),
        fixed_address: Some(FixedAddress {
            address: [192, 168, 1, 20].into(),
            prefix: 24,
            router: Some([192, 168, 1, 1].into()),
            name_servers: vec![[192, 168, 1, 1].into(), [9, 9, 9, 9].into()],
        }),
        time_servers: vec!["ntp.example".into(), "192.168.1.1".into()],
        syslog: Some("logs.example:514".into()),
        factory_reset: Some(ProvisioningId::from_random([0x77; 16])),
    }
}

fn minimal() -> String {
    let mut provisioning = full();
    provisioning.host_name = None;
    provisioning.country = None;
    provisioning.time_zone = None;
    provisioning.wifi = None;
    provisioning.fixed_address = None;
    provisioning.time_servers.clear();
    provisioning.syslog = None;
    provisioning.factory_reset = None;
    provisioning.render()
}

fn complaints(extra: &str) -> Vec<ProvisionError> {
    let parsed = parse(format!("{}{extra}\n", minimal()).as_bytes()).unwrap();
    assert_eq!(parsed.provisioning.id, full().id, "the rest of the file is used");
    parsed.complaints
}

#[test]
fn rendered_file_reads_back_equal() {
    let parsed = parse(full().render().as_bytes()).unwrap();
    assert_eq!(parsed, Parsed { provisioning: full(), complaints: vec![] });
    let parsed = parse(minimal().as_bytes()).unwrap();
    assert!(parsed.complaints.is_empty());
    assert_eq!(parsed.provisioning.wifi, None);
}

#[test]
fn file_saved_on_windows_is_read() {
    let text = format!("\u{feff}{}", full().render().replace('\n', "\r\n"));
    assert_eq!(parse(text.as_bytes()).unwrap().provisioning, full());
}

#[test]
fn unknown_key_is_a_complaint_and_the_rest_is_used() {
    let expected = vec![ProvisionError::UnknownKey { key: "hotsname".into() }];
    assert_eq!(complaints("hotsname = \"x\""), expected);
    let wifi = "[wifi]\nssid = \"a\"\npasphrase = \"12345678\"";
    let expected = vec![ProvisionError::UnknownKey { key: "wifi.pasphrase".into() }];
    assert_eq!(complaints(wifi), expected);
}

#[test]
fn wrong_optional_values_are_named_and_left_out() {
    let cases = [
        ("hostname = \"-x\"", "hostname"),
        ("hostname = \"\"", "hostname"),
        ("hostname = 5", "hostname"),
        ("hostname = \"Uppercase\"", "hostname"),
        ("country = \"de\"", "country"),
        ("timezone = \"../../etc/passwd\"", "timezone"),
        ("timezone = \"/etc\"", "timezone"),
        ("wifi = 3", "wifi"),
        ("[wifi]\nssid = \"\"", "wifi.ssid"),
        ("[wifi]\nssid = \"a\"\npassphrase = \"short\"", "wifi.passphrase"),
        ("[wifi]\nssid = \"a\"\npassphrase = 12345678", "wifi.passphrase"),
        ("ntp_servers = \"pool.example\"", "ntp_servers"),
        ("ntp_servers = [\"a\", \"b\", \"c\", \"d\", \"e\"]", "ntp_servers"),
        ("ntp_servers = [\"a b\"]", "ntp_servers"),
        ("ntp_servers = [1]", "ntp_servers"),
        ("syslog = \"logs\"", "syslog"),
        ("syslog = 514", "syslog"),
        ("factory_reset = true", "factory_reset"),
        ("factory_reset = \"again\"", "factory_reset"),
        ("network = \"dhcp\"", "network"),
        ("[network]\nrouter = \"10.0.0.1\"", "network.address"),
        ("[network]\naddress = \"10.0.0.9\"", "network.address"),
        ("[network]\naddress = \"10.0.0.255/24\"", "network.address"),
        ("[network]\naddress = \"10.0.0.9/24\"\nrouter = \"10.0.1.1\"", "network.router"),
        ("[network]\naddress = \"10.0.0.9/24\"\nrouter = \"10.0.0.9\"", "network.router"),
        ("[network]\naddress = \"10.0.0.9/24\"\nname_servers = [\"x\"]", "network.name_servers"),
    ];
    for (extra, wrong) in cases {
        match complaints(extra).as_slice() {
            [ProvisionError::Value { key, .. }] => assert_eq!(*key, wrong, "{extra}"),
            other => panic!("{extra}: {other:?}"),
        }
    }
}

#[test]
fn fixed_address_is_used_without_what_is_wrong_beside_it() {
    let extra = concat!(
        "[network]\naddress = \"10.0.0.9/24\"\n",
        "router = 3\nname_servers = [\"127.0.0.1\"]\ngate = 1",
    );
    let parsed = parse(format!("{}{extra}\n", minimal()).as_bytes()).unwrap();
    let fixed = parsed.provisioning.fixed_address.unwrap();
    assert_eq!((fixed.address, fixed.prefix), ([10, 0, 0, 9].into(), 24));
    assert_eq!((fixed.router, fixed.name_servers), (None, vec![]));
    assert_eq!(parsed.complaints.len(), 3, "{:?}", parsed.complaints);
}

#[test]
fn file_without_what_a_claim_needs_is_refused() {
    let id = full().id.to_string();
    let cases = [
        (minimal().replace("version = 1\n", ""), "lacks the key `version`"),
        (minimal().replace("version = 1", "version = 2"), "has version 2"),
        (minimal().replace("version = 1", "version = \"1\""), "`version`"),
        (minimal().replace(&id, "12"), "32 hexadecimal digits"),
        (minimal().replace("claim_token_sha256", "token"), "lacks the key `claim_token_sha256`"),
        (format!("{}\nversion = 1", minimal()), "not valid TOML in line"),
        ("version = ".into(), "not valid TOML in line 1"),
    ];
    for (text, words) in cases {
        let error = parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(parse(&[0xff, 0xfe, 0]), Err(ProvisionError::NotText));
}

#[test]
fn file_longer_than_the_limit_is_refused_unread() {
    let bytes = vec![b'#'; PROVISION_BYTES_MAX + 1];
    assert_eq!(parse(&bytes), Err(ProvisionError::TooLong { bytes: bytes.len() }));
    assert!(parse(&bytes[1..]).is_err());
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    let text = format!("{}x = {}", minimal(), "[".repeat(8_000));
    assert!(parse(text.as_bytes()).is_err());
}

#[test]
fn debug_output_does_not_show_the_passphrase() {
    assert!(!format!("{:?}", full()).contains("not so secret"));
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,300}") {
        let _ = parse(text.as_bytes());
    }
}
