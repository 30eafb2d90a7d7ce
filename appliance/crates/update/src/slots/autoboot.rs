//! `autoboot.txt` on p1: which boot partition is the default and which one the one-shot flag picks.
//! Exactly one sector, so that overwriting it in place is the whole commit. Source: the
//! "autoboot.txt" page of the Raspberry Pi documentation.

use super::Slot;
use crate::limits::AUTOBOOT_BYTES;

/// Content of `autoboot.txt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Autoboot {
    /// The slot that boots without the one-shot flag; the flag picks the other one.
    pub default: Slot,
}

/// The file is not one that this product writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AutobootError {
    /// Another length than one sector.
    #[error("autoboot.txt has {bytes} bytes instead of {AUTOBOOT_BYTES}; flash the card anew")]
    Length {
        /// The length found.
        bytes: usize,
    },
    /// A line that this product never writes.
    #[error("autoboot.txt holds an unexpected line {line}; flash the card anew")]
    Line {
        /// Number of the line, from 1.
        line: usize,
    },
    /// The sections do not name boot partitions 2 and 3 once each.
    #[error("autoboot.txt does not give the partitions 2 and 3 to [all] and [tryboot]; flash anew")]
    Partitions,
}

impl Autoboot {
    /// The file, padded with line feeds: the firmware skips empty lines, but cuts long ones.
    pub fn render(self) -> [u8; AUTOBOOT_BYTES] {
        let text = format!(
            "[all]\ntryboot_a_b=1\nboot_partition={}\n[tryboot]\nboot_partition={}\n",
            self.default.boot_partition(),
            self.default.other().boot_partition(),
        );
        let mut bytes = [b'\n'; AUTOBOOT_BYTES];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        bytes
    }

    /// Reads the file's bytes.
    ///
    /// # Errors
    /// [`AutobootError`] for anything that [`Self::render`] could not have meant.
    pub fn parse(bytes: &[u8]) -> Result<Self, AutobootError> {
        if bytes.len() != AUTOBOOT_BYTES {
            return Err(AutobootError::Length { bytes: bytes.len() });
        }
        let mut section = Section::All;
        let mut all = None;
        let mut tryboot = None;
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let unexpected = AutobootError::Line { line: index + 1 };
            match line.trim_ascii() {
                b"" | b"tryboot_a_b=1" => {}
                b"[all]" => section = Section::All,
                b"[tryboot]" => section = Section::Tryboot,
                line => {
                    let slot = line.strip_prefix(b"boot_partition=").and_then(slot_of);
                    let place = match section {
                        Section::All => &mut all,
                        Section::Tryboot => &mut tryboot,
                    };
                    *place = Some(slot.ok_or(unexpected)?);
                }
            }
        }
        match (all, tryboot) {
            (Some(default), Some(trial)) if default != trial => Ok(Self { default }),
            _ => Err(AutobootError::Partitions),
        }
    }
}

enum Section {
    All,
    Tryboot,
}

fn slot_of(digits: &[u8]) -> Option<Slot> {
    core::str::from_utf8(digits).ok()?.parse().ok().and_then(Slot::from_boot_partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rendered_sector_reads_back_for_both_defaults() {
        for default in Slot::ALL {
            let bytes = Autoboot { default }.render();
            assert_eq!(Autoboot::parse(&bytes), Ok(Autoboot { default }));
        }
        let text = Autoboot { default: Slot::A }.render();
        let expected = b"[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n\n";
        assert_eq!(&text[..expected.len()], expected);
    }

    #[test]
    fn the_two_sectors_differ_only_in_the_two_numbers() {
        let a = Autoboot { default: Slot::A }.render();
        let b = Autoboot { default: Slot::B }.render();
        assert_eq!(a.iter().zip(&b).filter(|(x, y)| x != y).count(), 2);
    }

    #[test]
    fn foreign_content_is_refused() {
        let sector = |text: &str| {
            let mut bytes = [b'\n'; AUTOBOOT_BYTES];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            bytes
        };
        assert_eq!(Autoboot::parse(b"[all]"), Err(AutobootError::Length { bytes: 5 }));
        let same = "[all]\nboot_partition=2\n[tryboot]\nboot_partition=2\n";
        assert_eq!(Autoboot::parse(&sector(same)), Err(AutobootError::Partitions));
        let one = "[all]\nboot_partition=2\n";
        assert_eq!(Autoboot::parse(&sector(one)), Err(AutobootError::Partitions));
        let other = "[all]\nboot_partition=4\n";
        assert_eq!(Autoboot::parse(&sector(other)), Err(AutobootError::Line { line: 2 }));
        assert_eq!(Autoboot::parse(&sector("[none]")), Err(AutobootError::Line { line: 1 }));
    }
}
