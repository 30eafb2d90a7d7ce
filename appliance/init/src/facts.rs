//! What the box is: board, release, kernel, memory; and what the boot loader says about this boot.

use std::path::Path;

use update::bundle::PublicKey;
use update::control::BoxFacts;
use update::slots::{Autoboot, BootFacts, BootVerdict, Slot, SlotArea};

use crate::limits::SMALL_FILE_BYTES_MAX;
use crate::smallfile::{read_bytes, read_text};

const RELEASE: &str = "/etc/linnet-release";
const MODEL: &str = "/proc/device-tree/model";
const SERIAL: &str = "/proc/device-tree/serial-number";

/// The Pi's has 16 digits.
const SERIAL_BYTES_MAX: usize = 32;
const BOOT_LOADER: &str = "/proc/device-tree/chosen/bootloader";

/// Content of /etc/linnet-release: `key=value` lines written by the image builder.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    /// `version=`.
    pub(crate) version: String,
    /// `build_time=`, seconds since 1970.
    pub(crate) build_s: u64,
    /// `update_key=`: whose updates are accepted.
    pub(crate) update_key: Option<PublicKey>,
}

impl Release {
    /// Reads the image's file.
    pub(crate) fn read() -> Self {
        Self::parse(&read_text(RELEASE).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let value = |key: &str| {
            let mut pairs = text.lines().filter_map(|line| line.split_once('='));
            pairs.find(|pair| pair.0 == key).map(|pair| pair.1.trim_matches('"'))
        };
        Self {
            version: value("version").unwrap_or("unknown").to_owned(),
            build_s: value("build_time").and_then(|text| text.parse().ok()).unwrap_or(0),
            update_key: value("update_key").and_then(PublicKey::from_hex),
        }
    }
}

/// The board's serial number, where the firmware put one into the device tree.
pub(crate) fn board_serial() -> Option<String> {
    let text = read_text(SERIAL)?;
    let serial = text.trim_end_matches('\0');
    let is_plain = serial.bytes().all(|byte| byte.is_ascii_alphanumeric());
    ((1..=SERIAL_BYTES_MAX).contains(&serial.len()) && is_plain).then(|| serial.to_owned())
}

/// Gathers the facts for `linnetd`.
pub(crate) fn gather(release: &Release, root_partition: Option<u32>) -> BoxFacts {
    let board = read_text(MODEL).unwrap_or_else(|| "unknown board".to_owned());
    let info = rustix::system::sysinfo();
    #[allow(clippy::useless_conversion)] // The field's width differs between architectures.
    let memory_bytes = u64::from(info.totalram) * u64::from(info.mem_unit);
    BoxFacts {
        board: board.trim_end_matches('\0').to_owned(),
        release: release.version.clone(),
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        memory_bytes,
        slot: root_partition.and_then(Slot::from_root_partition),
    }
}

/// The row of the slot table that this boot is in, where boot loader and `autoboot.txt` tell.
pub(crate) fn verdict(
    autoboot: Option<&[u8]>,
    root_partition: u32,
    area: &SlotArea,
) -> Option<(BootFacts, BootVerdict)> {
    let flag = boot_loader_number("tryboot")? != 0;
    let booted = Slot::from_boot_partition(boot_loader_number("partition")?)?;
    let running = Slot::from_root_partition(root_partition)?;
    // A kernel of one slot on the root of the other is a broken cmdline.txt, not an update.
    if booted != running {
        return None;
    }
    let default = Autoboot::parse(autoboot?).ok()?.default;
    let facts = BootFacts { default, running, flag, slots: area.slots.clone() };
    let verdict = update::slots::decide(&facts);
    Some((facts, verdict))
}

/// The firmware's properties are big-endian numbers.
fn boot_loader_number(name: &str) -> Option<u32> {
    let bytes = read_bytes(&Path::new(BOOT_LOADER).join(name), SMALL_FILE_BYTES_MAX).ok()?;
    bytes.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_file_is_read_and_a_missing_one_is_no_stop() {
        let release = Release::parse("version=0.1.0\nbuild_time=1800000000\nkind=\"emulator\"\n");
        assert_eq!((release.version.as_str(), release.build_s), ("0.1.0", 1_800_000_000));
        assert_eq!(release.update_key, None);
        let unknown = Release { version: "unknown".into(), build_s: 0, update_key: None };
        assert_eq!(Release::parse(""), unknown);
        let key = PublicKey::from_bytes([7; 32]);
        assert_eq!(Release::parse(&format!("update_key={key}\n")).update_key, Some(key));
        assert_eq!(Release::parse("build_time=soon").build_s, 0);
    }

    #[test]
    fn facts_of_this_machine_have_memory_and_a_kernel() {
        let facts = gather(&Release::default(), Some(6));
        assert!(facts.memory_bytes > 1 << 20 && !facts.kernel.is_empty());
        assert_eq!(facts.slot, Some(Slot::B));
    }
}
