//! What the kernel command line asks of init. It comes from a FAT partition that anyone with the
//! card can edit: bounded, and a wrong value is said and left out.

use crate::limits::NONCE_BYTES_MAX;

/// Keys of ours; all others belong to the kernel.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Cmdline {
    /// `linnet.slotarea=`: where the slot area begins on the boot disk, in bytes.
    pub(crate) slot_area: Option<u64>,
    /// `linnet.health_nonce=`: text that the health result must carry.
    pub(crate) health_nonce: Option<String>,
    /// `linnet.led_pin=`: BCM number of the external LED.
    pub(crate) led_pin: Option<u8>,
    /// `linnet.watchdog=off`: leave the hardware watchdog alone. QEMU's raspi4b resets at once when
    /// it is armed (its bcm2835_powermgt takes the arming for the reset itself).
    pub(crate) watchdog_off: bool,
    /// `root=`, as a help where the root's device number tells nothing.
    pub(crate) root: Option<String>,
    /// `linnet.test=`: a fault that a test wants; never set on a released card.
    pub(crate) test: Option<TestWord>,
}

/// Faults on request. Whoever can edit cmdline.txt holds the card anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TestWord {
    /// `tryboot`: once `linnetd` is well, an orderly end with the one-shot flag of the boot loader.
    Tryboot,
    /// `crash-linnetd`: `linnetd` is killed right after each start.
    CrashLinnetd,
    /// `hang-linnetd`: each `linnetd` is stopped after its start and makes no progress.
    HangLinnetd,
    /// `factory-reset`: as if the reset pin had been held.
    FactoryReset,
    /// `memory`: what each process takes is said once the box has come to rest.
    Memory,
}

impl TestWord {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "tryboot" => Some(Self::Tryboot),
            "crash-linnetd" => Some(Self::CrashLinnetd),
            "hang-linnetd" => Some(Self::HangLinnetd),
            "factory-reset" => Some(Self::FactoryReset),
            "memory" => Some(Self::Memory),
            _ => None,
        }
    }
}

/// Reads the command line; sentences say what was left out.
pub(crate) fn parse(text: &str) -> (Cmdline, Vec<String>) {
    let mut cmdline = Cmdline::default();
    let mut complaints = Vec::new();
    for (key, value) in text.split_ascii_whitespace().filter_map(|word| word.split_once('=')) {
        if !take(&mut cmdline, key, value) {
            complaints.push(format!(
                "The kernel command line has an unusable value for {key}; correct cmdline.txt."
            ));
        }
    }
    (cmdline, complaints)
}

/// `false` when the key is ours and its value is not usable.
fn take(cmdline: &mut Cmdline, key: &str, value: &str) -> bool {
    match key {
        "linnet.slotarea" => {
            cmdline.slot_area = value.parse().ok().filter(|at: &u64| at.is_multiple_of(4096));
            cmdline.slot_area.is_some()
        }
        "linnet.health_nonce" => {
            cmdline.health_nonce = is_nonce(value).then(|| value.to_owned());
            cmdline.health_nonce.is_some()
        }
        "linnet.led_pin" => {
            // Only these are on the 40-pin header.
            cmdline.led_pin = value.parse().ok().filter(|pin| (2..=27).contains(pin));
            cmdline.led_pin.is_some()
        }
        "linnet.watchdog" => {
            cmdline.watchdog_off = value == "off";
            cmdline.watchdog_off
        }
        "linnet.test" => {
            cmdline.test = TestWord::parse(value);
            cmdline.test.is_some()
        }
        "root" => {
            cmdline.root = Some(value.to_owned());
            true
        }
        _ => true,
    }
}

/// The nonce goes to the console and must stay one word there.
fn is_nonce(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=NONCE_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_keys_are_taken_and_the_kernels_are_left_alone() {
        let text = "console=ttyAMA0,115200 root=/dev/vda5 quiet linnet.slotarea=167772160 \
                    linnet.health_nonce=a-1_Z linnet.led_pin=22 \
                    linnet.watchdog=off linnet.test=hang-linnetd panic=5\n";
        let (cmdline, complaints) = parse(text);
        assert!(complaints.is_empty());
        let expected = Cmdline {
            slot_area: Some(167_772_160),
            health_nonce: Some("a-1_Z".into()),
            led_pin: Some(22),
            watchdog_off: true,
            root: Some("/dev/vda5".into()),
            test: Some(TestWord::HangLinnetd),
        };
        assert_eq!(cmdline, expected);
    }

    #[test]
    fn unusable_values_are_said_and_left_out() {
        let long = format!("linnet.health_nonce={}", "x".repeat(NONCE_BYTES_MAX + 1));
        for word in [
            "linnet.slotarea=12",
            "linnet.slotarea=-4096",
            "linnet.slotarea=99999999999999999999",
            "linnet.health_nonce=",
            "linnet.health_nonce=a\u{1b}[2J",
            "linnet.led_pin=42",
            "linnet.led_pin=x",
            "linnet.watchdog=no",
            "linnet.test=everything",
            &long,
        ] {
            let (cmdline, complaints) = parse(word);
            assert_eq!(cmdline, Cmdline::default(), "{word}");
            assert_eq!(complaints.len(), 1, "{word}");
        }
    }
}
