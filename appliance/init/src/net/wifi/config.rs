//! The configuration of `wpa_supplicant`, from checked values (wpa_supplicant.conf(5)). Pure.

use std::fmt::Write;
use std::path::Path;

use update::provision::Wifi;

/// The text of the file. Names are written in hexadecimal, so that none can end its line; a
/// passphrase is printable ASCII and ends at the line's last quotation mark.
pub(super) fn render(wish: &Wifi, country: Option<&str>, control: &Path) -> String {
    let mut text = format!("ctrl_interface={}\n", control.display());
    if let Some(country) = country {
        text += &format!("country={country}\n");
    }
    let ssid = wish.ssid.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes everything");
        hex
    });
    // A hidden network answers only to its name.
    text += &format!("network={{\n\tssid={ssid}\n\tscan_ssid=1\n");
    match &wish.passphrase {
        // Management frames are protected where the access point can.
        Some(passphrase) => {
            text += &format!("\tkey_mgmt=WPA-PSK\n\tieee80211w=1\n\tpsk=\"{passphrase}\"\n");
        }
        None => text += "\tkey_mgmt=NONE\n",
    }
    text + "}\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_and_the_passphrase_stays_as_it_is() {
        let wish =
            Wifi { ssid: "a\"}\nx".into(), passphrase: Some("with \"quotes\" # and more".into()) };
        let text = render(&wish, Some("DE"), Path::new("/run/x/wpa"));
        let expected = "\
ctrl_interface=/run/x/wpa
country=DE
network={
\tssid=61227d0a78
\tscan_ssid=1
\tkey_mgmt=WPA-PSK
\tieee80211w=1
\tpsk=\"with \"quotes\" # and more\"
}
";
        assert_eq!(text, expected);
    }

    #[test]
    fn open_network_has_no_key() {
        let text = render(&Wifi { ssid: "a".into(), passphrase: None }, None, Path::new("/x"));
        assert!(text.contains("key_mgmt=NONE") && !text.contains("psk"));
        assert!(!text.contains("country"));
    }
}
