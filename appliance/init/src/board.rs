//! Power, heat and card, read from sysfs below a root that tests replace, and the sentences about
//! them. Values of sysfs are small texts; what cannot be read is "nothing tells".

use std::fs;
use std::path::{Path, PathBuf};

use update::control::BoardHealth;

use crate::limits::{CARD_LIFE_WARN_PERCENT, TEMPERATURE_WARN_MC};
use crate::smallfile::read_text;

/// The driver of the Pi's firmware sensor (mainline drivers/hwmon/raspberrypi-hwmon.c).
const VOLTAGE_DRIVER: &str = "rpi_volt";

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sensors {
    sys: PathBuf,
    /// Name of the card's block device, as `mmcblk0`.
    disk: Option<String>,
    /// Name of DATA's, as `mmcblk0p7`.
    data: Option<String>,
    mounted: PathBuf,
}

impl Sensors {
    /// The machine's own; names are those below /dev.
    pub(crate) fn of_this_board(disk: Option<&Path>, data: Option<&Path>) -> Self {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        Self {
            sys: PathBuf::from("/sys"),
            disk: disk.and_then(name),
            data: data.and_then(name),
            mounted: PathBuf::from(crate::mounts::DATA),
        }
    }

    /// Looks at everything once. `before` keeps what was seen since the boot.
    pub(crate) fn read(&self, before: &BoardHealth) -> BoardHealth {
        let alarm = self.under_voltage();
        let space = self.data.as_ref().and_then(|_| rustix::fs::statvfs(&self.mounted).ok());
        let bytes = |blocks: u64, size: u64| blocks.saturating_mul(size);
        BoardHealth {
            under_voltage_now: alarm,
            under_voltage_seen: before.under_voltage_seen || alarm == Some(true),
            temperature_mc: self.number("class/thermal/thermal_zone0/temp"),
            card_life_used_percent: self.card_life(),
            file_system_errors: self.file_system_errors(),
            data_bytes: space.as_ref().map(|space| bytes(space.f_blocks, space.f_frsize)),
            data_free_bytes: space.as_ref().map(|space| bytes(space.f_bavail, space.f_frsize)),
        }
    }

    fn number<T: std::str::FromStr>(&self, path: impl AsRef<Path>) -> Option<T> {
        read_text(self.sys.join(path))?.parse().ok()
    }

    /// The driver asks the firmware every two seconds and shows what happened in between.
    fn under_voltage(&self) -> Option<bool> {
        let folders = fs::read_dir(self.sys.join("class/hwmon")).ok()?.flatten();
        let mut named = folders.filter(|folder| {
            read_text(folder.path().join("name")).as_deref() == Some(VOLTAGE_DRIVER)
        });
        let folder = named.next()?.path();
        let alarm: u8 = self.number(folder.join("in0_lcrit_alarm"))?;
        Some(alarm != 0)
    }

    /// Two estimates in tenths, for two kinds of memory cells; 0 is "not told" (JEDEC eMMC 5.0,
    /// DEVICE_LIFE_TIME_EST, as the kernel's mmc driver prints it).
    fn card_life(&self) -> Option<u8> {
        let folder = Path::new("block").join(self.disk.as_ref()?).join("device/life_time");
        let text = read_text(self.sys.join(folder))?;
        let tenth = |word: &str| u8::from_str_radix(word.trim_start_matches("0x"), 16).ok();
        let tenths = text.split_ascii_whitespace().filter_map(tenth).max()?;
        (1..=11).contains(&tenths).then_some(tenths * 10)
    }

    fn file_system_errors(&self) -> Option<u64> {
        self.number(Path::new("fs/ext4").join(self.data.as_ref()?).join("errors_count"))
    }
}

/// What the owner should know of it, worst first.
pub(crate) fn notes(health: &BoardHealth) -> Vec<String> {
    let mut notes = Vec::new();
    if health.under_voltage_now == Some(true) {
        notes.push(
            "The power supply is too weak at this moment: use the official one for the Pi 4, \
             with its own cable."
                .to_owned(),
        );
    } else if health.under_voltage_seen {
        notes.push(
            "The power supply was too weak at times since the start: use the official one for \
             the Pi 4, with its own cable."
                .to_owned(),
        );
    }
    if let Some(hot) = health.temperature_mc.filter(|mc| *mc >= TEMPERATURE_WARN_MC) {
        let degrees = hot / 1_000;
        notes.push(format!("The board is {degrees} °C hot and slows down: give it air."));
    }
    if let Some(errors) = health.file_system_errors.filter(|errors| *errors > 0) {
        notes.push(format!(
            "The card gave {errors} file system errors: take a backup and replace the card."
        ));
    }
    let worn = health.card_life_used_percent.filter(|used| *used >= CARD_LIFE_WARN_PERCENT);
    if let Some(used) = worn {
        notes.push(format!("The card has used {used} % of its life: replace it soon."));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> (tempfile::TempDir, Sensors) {
        let folder = tempfile::tempdir().unwrap();
        let sensors = Sensors {
            sys: folder.path().to_owned(),
            disk: Some("mmcblk0".into()),
            data: Some("mmcblk0p7".into()),
            mounted: folder.path().to_owned(),
        };
        (folder, sensors)
    }

    fn put(sys: &Path, path: &str, text: &str) {
        let path = sys.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn board_that_tells_nothing_gives_nothing_but_free_space() {
        let (_folder, sensors) = board();
        let health = sensors.read(&BoardHealth::default());
        assert!(health.data_bytes > Some(0) && health.data_free_bytes <= health.data_bytes);
        let silent = BoardHealth { data_bytes: None, data_free_bytes: None, ..health };
        assert_eq!(silent, BoardHealth::default());
        assert_eq!(notes(&silent), [""; 0]);
    }

    #[test]
    fn sensors_of_a_pi_are_read_and_each_trouble_is_a_sentence() {
        let (folder, sensors) = board();
        let sys = folder.path();
        put(sys, "class/hwmon/hwmon0/name", "cpu_thermal\n");
        put(sys, "class/hwmon/hwmon1/name", "rpi_volt\n");
        put(sys, "class/hwmon/hwmon1/in0_lcrit_alarm", "1\n");
        put(sys, "class/thermal/thermal_zone0/temp", "82300\n");
        put(sys, "block/mmcblk0/device/life_time", "0x02 0x0a\n");
        put(sys, "fs/ext4/mmcblk0p7/errors_count", "3\n");
        let health = sensors.read(&BoardHealth::default());
        assert_eq!(health.temperature_mc, Some(82_300));
        assert_eq!(health.card_life_used_percent, Some(100));
        let said = notes(&health);
        for word in ["too weak at this moment", "82 °C", "3 file system errors", "100 %"] {
            assert!(said.iter().any(|note| note.contains(word)), "{word}: {said:?}");
        }
        assert!(said.iter().all(|note| note.len() <= update::limits::SENTENCE_BYTES_MAX));
    }

    #[test]
    fn under_voltage_is_remembered_until_the_next_boot() {
        let (folder, sensors) = board();
        put(folder.path(), "class/hwmon/hwmon0/name", "rpi_volt\n");
        put(folder.path(), "class/hwmon/hwmon0/in0_lcrit_alarm", "1\n");
        let first = sensors.read(&BoardHealth::default());
        put(folder.path(), "class/hwmon/hwmon0/in0_lcrit_alarm", "0\n");
        let second = sensors.read(&first);
        assert_eq!((second.under_voltage_now, second.under_voltage_seen), (Some(false), true));
        assert!(notes(&second)[0].contains("at times since the start"));
    }

    #[test]
    fn nonsense_in_sysfs_is_no_value() {
        let (folder, sensors) = board();
        put(folder.path(), "class/thermal/thermal_zone0/temp", "warm\n");
        for text in ["", "0x00 0x00", "0x0c 0x0c", "life", "0xfff"] {
            put(folder.path(), "block/mmcblk0/device/life_time", text);
            assert_eq!(sensors.read(&BoardHealth::default()).card_life_used_percent, None);
        }
        assert_eq!(sensors.read(&BoardHealth::default()).temperature_mc, None);
    }
}
