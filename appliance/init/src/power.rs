//! The power key: a button on a GPIO, a keyboard's power key, or QEMU's `system_powerdown` on its
//! `virt` machine. Reads evdev records; looks for devices until there are some.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use crate::events::{Ending, Event};

/// linux/input.h: time (2 x 8 bytes on 64-bit kernels), type, code, value.
const RECORD_BYTES: usize = 24;
const EV_KEY: u16 = 1;
const KEY_POWER: u16 = 116;

/// Input devices watched at most.
const DEVICES_MAX: usize = 8;

/// Input drivers appear late, and some boxes have none at all.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Watches on threads of its own.
pub(crate) fn watch(events: SyncSender<Event>) {
    std::thread::spawn(move || {
        let mut watched: Vec<PathBuf> = Vec::new();
        loop {
            for path in
                devices().into_iter().filter(|path| !watched.contains(path)).collect::<Vec<_>>()
            {
                if watched.len() >= DEVICES_MAX {
                    return;
                }
                if let Ok(file) = File::open(&path) {
                    let events = events.clone();
                    std::thread::spawn(move || read(file, &events));
                }
                watched.push(path);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    });
}

fn devices() -> Vec<PathBuf> {
    let entries = fs::read_dir("/dev/input").into_iter().flatten().flatten();
    let paths = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"event"));
    paths.map(|entry| entry.path()).collect()
}

/// Until the device goes away.
fn read(mut from: impl Read, events: &SyncSender<Event>) {
    let mut record = [0; RECORD_BYTES];
    while from.read_exact(&mut record).is_ok() {
        if is_power_key(&record) && events.send(Event::Stop(Ending::PowerOff)).is_err() {
            return;
        }
    }
}

fn is_power_key(record: &[u8; RECORD_BYTES]) -> bool {
    let half = |at: usize| u16::from_ne_bytes([record[at], record[at + 1]]);
    let pressed = record[20..] == 1i32.to_ne_bytes();
    half(16) == EV_KEY && half(18) == KEY_POWER && pressed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u16, code: u16, value: i32) -> [u8; RECORD_BYTES] {
        let mut record = [7; RECORD_BYTES];
        record[16..18].copy_from_slice(&kind.to_ne_bytes());
        record[18..20].copy_from_slice(&code.to_ne_bytes());
        record[20..].copy_from_slice(&value.to_ne_bytes());
        record
    }

    #[test]
    fn only_pressing_the_power_key_stops_the_box() {
        let (sender, receiver) = std::sync::mpsc::sync_channel(8);
        let records = [
            record(0, 0, 0),
            record(EV_KEY, 30, 1),
            record(EV_KEY, KEY_POWER, 0),
            record(EV_KEY, KEY_POWER, 2),
            record(3, KEY_POWER, 1),
            record(EV_KEY, KEY_POWER, 1),
        ];
        read(records.concat().as_slice(), &sender);
        drop(sender);
        let events: Vec<_> = receiver.iter().collect();
        assert!(matches!(events.as_slice(), [Event::Stop(Ending::PowerOff)]), "{events:?}");
    }
}
