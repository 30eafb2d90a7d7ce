//! How much the log can still take, and how many commands of a device are on their way to it.

use std::collections::{BTreeMap, VecDeque};

use wire::RecordBody;
use wire::ids::{DeviceId, Offset};
use wire::limits::COMMAND_WINDOW;
use wire::server::Reason;

use crate::entry::Entry;
use crate::limits::RECORD_BYTES_MAX;

/// Header and padding of a record that is alone in its batch: one sector.
const RECORD_OVERHEAD_BYTES: u64 = 512;

/// Room in the log, and what is under way.
#[derive(Debug, Default)]
pub(crate) struct Card {
    /// None until the log has said.
    left: Option<u64>,
    under_way: VecDeque<(Offset, DeviceId)>,
    of_device: BTreeMap<DeviceId, u64>,
}

impl Card {
    pub(crate) const fn report(&mut self, bytes: u64) {
        self.left = Some(bytes);
    }

    /// Whether the log takes one more record and keeps `reserve` for what must always work.
    pub(crate) const fn takes(&self, reserve: u64) -> bool {
        match self.left {
            Some(left) => left >= reserve.saturating_add(RECORD_BYTES_MAX),
            None => true,
        }
    }

    /// Why a device's next command has to wait, if it has to.
    pub(crate) fn too_many(&self, device: DeviceId) -> Option<Reason> {
        let count = self.of_device.get(&device).copied().unwrap_or_default();
        (count >= COMMAND_WINDOW).then_some(Reason::Busy)
    }

    pub(crate) fn appended(&mut self, entry: &Entry) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(record_bytes(&entry.body));
        }
        if entry.counter.0 > 0 {
            self.under_way.push_back((entry.offset, entry.device));
            *self.of_device.entry(entry.device).or_default() += 1;
        }
    }

    pub(crate) fn settled(&mut self, up_to: Offset) {
        while let Some((offset, device)) = self.under_way.front().copied() {
            if offset > up_to {
                return;
            }
            self.under_way.pop_front();
            if let Some(count) = self.of_device.get_mut(&device) {
                *count -= 1;
                if *count == 0 {
                    self.of_device.remove(&device);
                }
            }
        }
    }
}

/// A cautious guess of what a record takes in the log.
fn record_bytes(body: &RecordBody) -> u64 {
    let content = match body {
        RecordBody::MessagePosted(body) => body.text.len(),
        RecordBody::RoomAdded(body) => body.members.len() * 5,
        RecordBody::CursorsMoved(body) => body.cursors.len() * 20,
        _ => 256,
    };
    content as u64 + RECORD_OVERHEAD_BYTES
}
