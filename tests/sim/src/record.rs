//! Entries of the core as records of the log, and back, as `linnetd` does it.

use chat::Entry;
use log::Stored;

pub(crate) use store::records::{message_of as to_message, to_record};

use crate::violation::{Checked, Violation};

/// A record as the core takes it; one without a meaning must never have been kept.
pub(crate) fn to_entry(stored: &Stored) -> Checked<Entry> {
    store::records::to_entry(stored).map_err(|text| Violation { check: "torn record served", text })
}
