//! Settings are stored, go before the provisioning file, and hostile content is left out.

use update::claim::{ClaimToken, ProvisioningId};

use super::*;

fn file() -> Provisioning {
    Provisioning {
        id: ProvisioningId::from_random([1; 16]),
        claim_token_hash: ClaimToken::from_random([2; 16]).hash(),
        host_name: Some("school".into()),
        country: Some("KE".into()),
        time_zone: Some("Africa/Nairobi".into()),
        wifi: Some(Wifi { ssid: "old".into(), passphrase: None }),
        fixed_address: None,
        time_servers: Vec::new(),
        syslog: None,
        factory_reset: None,
    }
}

fn wifi(ssid: &str, passphrase: &str, country: Option<&str>) -> Setting {
    Setting::Wifi(Some(WifiChoice {
        ssid: ssid.into(),
        passphrase: Some(passphrase.into()),
        country: country.map(str::to_owned),
    }))
}

fn empty() -> (tempfile::TempDir, Settings) {
    let folder = tempfile::tempdir().unwrap();
    let (settings, complaint) = Settings::load_from(&folder.path().join("settings.toml"));
    assert_eq!(complaint, None);
    (folder, settings)
}

#[test]
fn settings_outlive_the_process_and_go_before_the_provisioning_file() {
    let (_folder, mut settings) = empty();
    assert_eq!(settings.over(None), Effective::default());
    let before = settings.over(Some(&file()));
    assert_eq!(before.host_name.as_deref(), Some("school"));
    settings.set(Setting::HostName("library".into())).unwrap();
    settings.set(wifi("new", "quite a secret", None)).unwrap();
    let (again, complaint) = Settings::load_from(&settings.path);
    assert_eq!((&again, complaint), (&settings, None));
    let now = again.over(Some(&file()));
    assert_eq!(now.host_name.as_deref(), Some("library"));
    assert_eq!(now.time_zone, before.time_zone, "not set here");
    assert_eq!(now.country.as_deref(), Some("KE"));
    assert_eq!(now.wifi.unwrap().passphrase.as_deref(), Some("quite a secret"));
}

#[test]
fn forgotten_network_stays_forgotten_until_another_is_named() {
    let (_folder, mut settings) = empty();
    settings.set(Setting::Wifi(None)).unwrap();
    let (again, _) = Settings::load_from(&settings.path);
    assert_eq!(again.over(Some(&file())).wifi, None);
    settings.set(wifi("new", "quite a secret", Some("DE"))).unwrap();
    let now = settings.over(Some(&file()));
    assert_eq!((now.wifi.unwrap().ssid.as_str(), now.country.as_deref()), ("new", Some("DE")));
}

#[test]
fn unusable_setting_is_refused_with_a_sentence_and_changes_nothing() {
    let (_folder, mut settings) = empty();
    let before = settings.clone();
    for wrong in [
        Setting::HostName("My Box".into()),
        Setting::HostName("x".repeat(64)),
        Setting::TimeZone("../etc/passwd".into()),
        Setting::TimeZone("Mars/Olympus Mons".into()),
        wifi("", "quite a secret", None),
        wifi("a", "short", None),
        wifi("a", "quite a secret", Some("Germany")),
    ] {
        let said = settings.set(wrong.clone()).unwrap_err();
        assert!(said.ends_with('.'), "{wrong:?}: {said}");
    }
    assert_eq!(settings, before);
    assert!(!settings.path.exists());
}

#[test]
fn hostile_file_is_said_and_its_bad_values_are_left_out() {
    let (folder, _) = empty();
    let path = folder.path().join("settings.toml");
    for bytes in [&b"\xff\xfe"[..], b"hostname = 3", b"= =", &[b'#'; 20_000]] {
        std::fs::write(&path, bytes).unwrap();
        let (settings, complaint) = Settings::load_from(&path);
        assert_eq!(settings.stored, Stored::default());
        assert!(complaint.unwrap().contains("make them again"));
    }
    std::fs::write(&path, "hostname = \"A B\"\ntimezone = \"UTC\"\nlater = 1\n").unwrap();
    let (settings, complaint) = Settings::load_from(&path);
    let held = settings.over(None);
    assert_eq!((held.host_name, held.time_zone.as_deref()), (None, Some("UTC")));
    assert!(complaint.is_some());
}

#[test]
fn file_with_a_passphrase_is_readable_by_root_only() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, mut settings) = empty();
    settings.set(wifi("new", "quite a secret", None)).unwrap();
    let mode = std::fs::metadata(&settings.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!format!("{settings:?}").contains("secret"));
}
