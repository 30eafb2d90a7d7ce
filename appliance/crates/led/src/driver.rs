//! The pins. Through rppal, which maps /dev/gpiomem (Raspberry Pi kernels) or, as root, /dev/mem;
//! a kernel with CONFIG_STRICT_DEVMEM needs `iomem=relaxed` on its command line. It finds the board
//! in /proc/cpuinfo or in the device tree's `compatible` ("raspberrypi,4-model-b", in mainline's
//! DTB too) and wants the pin controller's /dev/gpiochipN to exist.

use std::fs;
use std::path::Path;

use rppal::gpio::{Gpio, OutputPin};

/// The green ACT LED of a Pi 4B (mainline bcm2711-rpi-4-b.dts, `led-act`).
pub const ACT_PIN: u8 = 42;

/// Where an external LED goes unless configured: BCM 17, pin 11 of the 40-pin header.
pub const EXTERNAL_PIN_DEFAULT: u8 = 17;

/// Where the kernel's own LED driver would blink the ACT LED against us.
const KERNEL_TRIGGERS: [&str; 3] = [
    "/sys/class/leds/ACT/trigger",
    "/sys/class/leds/led0/trigger",
    "/sys/class/leds/green:activity/trigger",
];

/// Both LEDs, or nothing on a machine without them.
#[derive(Debug, Default)]
pub struct Lamp {
    pins: Vec<OutputPin>,
}

/// The GPIO block cannot be used; the box works without it.
#[derive(Debug, thiserror::Error)]
#[error("The status LED stays dark, because the GPIO block cannot be used: {0}.")]
pub struct LampError(#[from] rppal::gpio::Error);

impl Lamp {
    /// Takes the ACT LED and the external pin, both off.
    ///
    /// # Errors
    /// [`LampError`] on a machine without such a GPIO block or access to it. The caller says
    /// so once and goes on with [`Lamp::default`].
    pub fn open(external_pin: u8) -> Result<Self, LampError> {
        let gpio = Gpio::new()?;
        let mut pins = Vec::new();
        for number in [ACT_PIN, external_pin] {
            let mut pin = gpio.get(number)?.into_output_low();
            // A pin that fell back to input when init is replaced would flicker.
            pin.set_reset_on_drop(false);
            pins.push(pin);
        }
        for path in KERNEL_TRIGGERS.iter().filter(|path| Path::new(path).exists()) {
            // Failure leaves the kernel's blinking mixed into ours, which is no reason to stop.
            let _ = fs::write(path, "none");
        }
        Ok(Self { pins })
    }

    /// Switches all LEDs.
    pub fn set(&mut self, on: bool) {
        for pin in &mut self.pins {
            pin.write(on.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lamp_without_pins_does_nothing() {
        let mut lamp = Lamp::default();
        lamp.set(true);
        assert!(lamp.pins.is_empty());
    }
}
