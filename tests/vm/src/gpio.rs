//! The Pi's GPIO block seen through QEMU's monitor: what a LED on a pin would show, independent of
//! anything the guest says. Source: BCM2711 ARM Peripherals, chapter 5.

use anyhow::{Result, bail};

use crate::qmp::Qmp;

/// Physical address of the block in the Pi 4's "low peripheral" map.
pub const GPIO_BASE: u64 = 0xfe20_0000;
/// Levels of pins 0 to 31; pins 32 to 57 are in the next word.
const LEVELS: u64 = 0x34;
const PINS: u32 = 58;

/// Whether `pin` is high.
pub fn level(monitor: &mut Qmp, pin: u32) -> Result<bool> {
    let (address, bit) = place(pin)?;
    Ok(monitor.read_word(address)? & bit != 0)
}

fn place(pin: u32) -> Result<(u64, u32)> {
    if pin >= PINS {
        bail!("the Pi 4 has GPIO pins 0 to {}, not {pin}", PINS - 1);
    }
    Ok((GPIO_BASE + LEVELS + u64::from(pin / 32) * 4, 1 << (pin % 32)))
}

/// Counts the changes of a level that is sampled again and again.
#[derive(Debug, Default)]
pub struct Edges {
    last: Option<bool>,
    count: u32,
}

impl Edges {
    pub fn sample(&mut self, level: bool) {
        if self.last.replace(level).is_some_and(|last| last != level) {
            self.count += 1;
        }
    }

    pub fn count(&self) -> u32 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_lie_in_two_words_of_levels() {
        assert_eq!(place(17).unwrap(), (0xfe20_0034, 1 << 17));
        assert_eq!(place(42).unwrap(), (0xfe20_0038, 1 << 10));
        assert!(place(58).is_err());
    }

    #[test]
    fn only_changes_count() {
        let mut edges = Edges::default();
        for level in [true, true, false, false, true] {
            edges.sample(level);
        }
        assert_eq!(edges.count(), 2);
    }
}
