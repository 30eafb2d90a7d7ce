//! The status LED: which states the box can show, the pattern of each (pure), and the small driver
//! that moves the pins. The codes below are published in the README; changing one changes what an
//! owner sees. `linnet-init` picks the status and calls the driver; nobody else touches the pins.

mod driver;
mod pattern;
mod picture;
mod status;

pub use driver::{ACT_PIN, EXTERNAL_PIN_DEFAULT, Lamp, LampError};
pub use pattern::Pattern;
pub use picture::picture;
pub use status::Status;
