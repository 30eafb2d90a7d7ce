//! How the board is, and how the boot before this one ended: part of the answer to a status
//! request. `None` is always "nothing tells": another board, an older kernel, a card without it.

use serde::{Deserialize, Serialize};

/// Power, heat and card.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardHealth {
    /// The supply is below 4.63 V at this moment (firmware, by way of the hwmon driver).
    pub under_voltage_now: Option<bool>,
    /// It was so at some time since the boot.
    pub under_voltage_seen: bool,
    /// Temperature of the processor in thousandths of a degree Celsius.
    pub temperature_mc: Option<i32>,
    /// Share of the card's life that is used up, in percent, rounded up to 10 (eMMC 5.0; SD cards
    /// mostly do not tell).
    pub card_life_used_percent: Option<u8>,
    /// Errors that the kernel counted on the file system of DATA, over all boots.
    pub file_system_errors: Option<u64>,
    /// Size of DATA in bytes.
    pub data_bytes: Option<u64>,
    /// What is free of it.
    pub data_free_bytes: Option<u64>,
}

/// How the boot before this one ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastEnd {
    /// In what way.
    pub kind: EndKind,
    /// The kernel's last words, or the last line of the log.
    pub detail: Option<String>,
}

/// In what way a boot ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndKind {
    /// There was none before.
    FirstBoot,
    /// Restarted or switched off as asked.
    Orderly,
    /// The kernel panicked; its last words were kept.
    Panic,
    /// The watchdog reset a box that no longer made progress.
    Watchdog,
    /// The power went, or a fault left no trace.
    PowerLost,
}
