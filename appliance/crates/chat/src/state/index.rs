//! The look-up tables that follow from the entities: names, tokens, direct rooms, rooms of a user.

use wire::ids::{DeviceId, RoomId, UserId};
use wire::server::RoomKind;

use super::{Account, Device, SYSTEM_DEVICE, SYSTEM_ROOM, State};

impl State {
    pub(crate) fn insert_user(&mut self, account: Account) {
        self.names.insert(account.name.to_lowercase(), account.user);
        self.users.insert(account.user, account);
    }

    pub(crate) fn insert_device(&mut self, device: Device) {
        if device.device != SYSTEM_DEVICE {
            self.tokens.insert(device.token_hash, device.device);
            self.devices_of.entry(device.user).or_default().insert(device.device);
        }
        self.devices.insert(device.device, device);
    }

    pub(crate) fn remove_device(&mut self, device: DeviceId) -> Option<Device> {
        if device == SYSTEM_DEVICE {
            return None;
        }
        let gone = self.devices.remove(&device)?;
        self.tokens.remove(&gone.token_hash);
        if let Some(devices) = self.devices_of.get_mut(&gone.user) {
            devices.remove(&device);
            // As after a load, which knows nothing of a user without devices.
            if devices.is_empty() {
                self.devices_of.remove(&gone.user);
            }
        }
        Some(gone)
    }

    pub(crate) fn note_room_of(&mut self, user: UserId, room: RoomId) {
        self.rooms_of.entry(user).or_default().insert(room);
    }

    /// Notes whose direct room this is. Members of a direct room never change.
    pub(crate) fn note_direct(&mut self, id: RoomId) {
        let Some(room) = self.rooms.get(&id) else { return };
        if room.facts.room_kind != RoomKind::Direct || id == SYSTEM_ROOM {
            return;
        }
        let first = room.members.values().next();
        let last = room.members.values().next_back();
        if let (Some(first), Some(last)) = (first, last) {
            self.directs.insert((first.user, last.user), id);
        }
    }
}
