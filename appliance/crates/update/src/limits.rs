//! Every bound of this crate, with its unit and its reason.

/// Longest provisioning file in bytes. A full one has under 1 KiB; the rest is room for comments.
pub const PROVISION_BYTES_MAX: usize = 16 * 1024;

/// Longest host name in bytes: one DNS label (RFC 1035 section 2.3.4).
pub const HOST_NAME_BYTES_MAX: usize = 63;

/// Longest time zone name in bytes. The longest in the tz database has 32.
pub const TIME_ZONE_BYTES_MAX: usize = 64;

/// Longest Wi-Fi network name in bytes (IEEE 802.11 section 9.4.2.2).
pub const SSID_BYTES_MAX: usize = 32;

/// Shortest and longest WPA passphrase in characters (IEEE 802.11 annex J.4).
pub const PASSPHRASE_CHARS: std::ops::RangeInclusive<usize> = 8..=63;

/// Largest body of a control frame in bytes: a status or a log tail, with room to spare.
pub const CONTROL_FRAME_BYTES_MAX: usize = 64 * 1024;

/// Most log lines in one control answer: 200 lines of 256 bytes stay below one frame.
pub const LOG_LINES_MAX: usize = 200;

/// Longest log line that init keeps, in bytes; the rest is cut and marked.
pub const LOG_LINE_BYTES_MAX: usize = 256;

/// Longest health detail, reason or nonce in bytes: one sentence for a person.
pub const SENTENCE_BYTES_MAX: usize = 400;

/// Most notes for the owner in one status.
pub const NOTES_MAX: usize = 16;

/// Size of the raw slot area in bytes. It lies in the gap before the first root partition.
pub const SLOT_AREA_BYTES: usize = 64 * 1024;

/// Size of one of the two record copies in the slot area, in bytes.
pub const SLOT_COPY_BYTES: usize = 16 * 1024;

/// Where the second copy starts, in bytes: half the area away, in another erase block on most
/// cards, so that one torn write cannot reach both.
pub const SLOT_COPY_B_OFFSET: usize = SLOT_AREA_BYTES / 2;

/// Most spent provisioning ids that are kept. Each costs its owner one claim of this very card.
pub const SPENT_IDS_MAX: usize = 256;

/// Longest reason kept for a failed trial, in bytes.
pub const REASON_BYTES_MAX: usize = 2 * 1024;

/// How often an armed slot that never started is armed, in all, before init reports it.
pub const ARM_TIMES_MAX: u8 = 2;

/// `autoboot.txt` is one sector, so that one sector write is the whole commit.
pub const AUTOBOOT_BYTES: usize = 512;

const _: () = assert!(SLOT_COPY_B_OFFSET + SLOT_COPY_BYTES <= SLOT_AREA_BYTES);
const _: () = assert!(SLOT_COPY_BYTES <= SLOT_COPY_B_OFFSET);
const _: () = assert!(SPENT_IDS_MAX * 16 + 2 * REASON_BYTES_MAX + 512 <= SLOT_COPY_BYTES);
const _: () = assert!(NOTES_MAX * (SENTENCE_BYTES_MAX + 2) <= CONTROL_FRAME_BYTES_MAX / 2);
const _: () = assert!(LOG_LINES_MAX * (LOG_LINE_BYTES_MAX + 2) + 512 <= CONTROL_FRAME_BYTES_MAX);
