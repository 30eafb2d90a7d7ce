//! What `wpa_supplicant` says, as the state it means. Pure; access points choose part of the words,
//! so nothing but the known ones counts.

use update::control::WifiState;

/// The state after one message of the control socket: an event, or the answer to `STATUS`.
pub(super) fn next(state: WifiState, message: &str) -> WifiState {
    let event = message.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    let event = event.map_or(message, |(_, event)| event);
    let word = event.split_ascii_whitespace().next().unwrap_or_default();
    match word {
        "CTRL-EVENT-CONNECTED" => WifiState::Joined,
        "CTRL-EVENT-DISCONNECTED" if state == WifiState::Joined => WifiState::Searching,
        "CTRL-EVENT-SSID-TEMP-DISABLED" if has(event, "reason=WRONG_KEY") => {
            WifiState::WrongPassphrase
        }
        "CTRL-EVENT-SSID-TEMP-DISABLED" => refused(state),
        "CTRL-EVENT-ASSOC-REJECT" | "CTRL-EVENT-AUTH-REJECT" => refused(state),
        "CTRL-EVENT-NETWORK-NOT-FOUND" => WifiState::NotFound,
        _ if message.lines().any(|line| line == "wpa_state=COMPLETED") => WifiState::Joined,
        _ if message.lines().any(|line| line.starts_with("wpa_state=")) => searching(state),
        _ => state,
    }
}

/// A wrong passphrase is the better reason, and access points reject after it, too.
fn refused(state: WifiState) -> WifiState {
    match state {
        WifiState::WrongPassphrase => state,
        _ => WifiState::Refused,
    }
}

fn searching(state: WifiState) -> WifiState {
    match state {
        WifiState::Unavailable | WifiState::Joined => WifiState::Searching,
        _ => state,
    }
}

/// The name of the network stands in quotation marks and might say anything: only what follows it
/// counts.
fn has(event: &str, word: &str) -> bool {
    let after = event.rsplit_once('"').map_or(event, |(_, after)| after);
    after.split_ascii_whitespace().any(|found| found == word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(messages: &[&str]) -> WifiState {
        messages.iter().fold(WifiState::Unavailable, |state, message| next(state, message))
    }

    const STATUS: &str = "wpa_state=SCANNING\np2p_device_address=00:00:00:00:00:00\n";

    #[test]
    fn joining_and_losing_the_network() {
        assert_eq!(after(&["OK\n", STATUS]), WifiState::Searching);
        let connected = "<3>CTRL-EVENT-CONNECTED - Connection to 02:00:00:00:01:00 completed \
                         [id=0 id_str=]";
        assert_eq!(after(&[STATUS, connected]), WifiState::Joined);
        assert_eq!(after(&["bssid=02:00\nwpa_state=COMPLETED\n"]), WifiState::Joined);
        let gone = "<3>CTRL-EVENT-DISCONNECTED bssid=02:00:00:00:01:00 reason=3";
        assert_eq!(after(&[STATUS, connected, gone]), WifiState::Searching);
    }

    #[test]
    fn wrong_passphrase_is_told_apart_and_stays_the_reason() {
        let wrong = "<3>CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid=\"school\" auth_failures=1 \
                     duration=10 reason=WRONG_KEY";
        let gone = "<3>CTRL-EVENT-DISCONNECTED bssid=02:00:00:00:01:00 reason=15";
        let reject = "<3>CTRL-EVENT-ASSOC-REJECT bssid=02:00:00:00:01:00 status_code=1";
        assert_eq!(after(&[STATUS, gone, wrong, reject, gone]), WifiState::WrongPassphrase);
        assert_eq!(after(&[STATUS, reject]), WifiState::Refused);
        let failed = wrong.replace("WRONG_KEY", "CONN_FAILED");
        assert_eq!(after(&[STATUS, &failed]), WifiState::Refused);
    }

    #[test]
    fn missing_network_is_told_until_it_appears() {
        let missing = "<3>CTRL-EVENT-NETWORK-NOT-FOUND ";
        assert_eq!(after(&[STATUS, missing]), WifiState::NotFound);
        assert_eq!(after(&[STATUS, missing, "<3>CTRL-EVENT-CONNECTED x"]), WifiState::Joined);
    }

    #[test]
    fn name_of_a_network_cannot_pose_as_a_reason() {
        let posing = "<3>CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid=\"a reason=WRONG_KEY b\" \
                      auth_failures=1 duration=10 reason=CONN_FAILED";
        assert_eq!(after(&[STATUS, posing]), WifiState::Refused);
    }

    proptest! {
        #[test]
        fn words_of_anybody_never_panic(text in "\\PC{0,200}") {
            let _ = next(WifiState::Searching, &text);
        }
    }
}
