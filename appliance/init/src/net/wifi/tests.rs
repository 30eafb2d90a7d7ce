//! The station against a control socket that answers as the program does.

use std::path::Path;

use super::*;

fn station(folder: &Path) -> Station {
    let settings = NetSettings {
        wifi: Some(Wifi { ssid: "school".into(), passphrase: Some("not so secret".into()) }),
        country: Some("DE".into()),
        ..NetSettings::default()
    };
    Station::new(&settings, Files::new(folder.to_owned())).unwrap()
}

#[test]
fn no_wish_means_no_radio() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path().to_owned());
    assert!(Station::new(&NetSettings::default(), files).is_none());
}

#[test]
fn missing_radio_is_a_complaint_and_names_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let mut station = station(folder.path());
    station.turn(None, 1);
    assert_eq!(station.state(), WifiState::Unavailable);
    let complaint = station.complaint().unwrap();
    assert!(complaint.contains("school") && !complaint.contains("secret"), "{complaint}");
    station.state = WifiState::Joined;
    assert_eq!(station.complaint(), None);
    station.country = None;
    assert!(station.complaint().unwrap().contains("country"));
}

#[test]
fn configuration_is_read_by_nobody_else() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let station = station(folder.path());
    let path = folder.path().join("wpa.conf");
    station.write_config(&path).unwrap();
    station.write_config(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn words_are_asked_for_and_heard() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = folder.path().join("wlan0");
    let program = UnixDatagram::bind(&theirs).unwrap();
    let socket = attach(&theirs, &folder.path().join("own")).unwrap();
    let mut buffer = [0; 64];
    let (length, from) = program.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"ATTACH");
    let from = from.as_pathname().unwrap();
    program.send_to(b"<3>CTRL-EVENT-CONNECTED - x", from).unwrap();
    let length = socket.recv(&mut buffer).unwrap();
    let state = words::next(WifiState::Searching, std::str::from_utf8(&buffer[..length]).unwrap());
    assert_eq!(state, WifiState::Joined);
    assert!(socket.recv(&mut buffer).is_err(), "never waits");
    drop(program);
    assert!(attach(&folder.path().join("none"), &folder.path().join("own")).is_err());
}
