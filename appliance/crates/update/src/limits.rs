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

/// Most time servers that an owner may name: the fourth answer already tells which one lies.
pub const TIME_SERVERS_MAX: usize = 4;

/// Most name servers of a fixed address; resolv.conf(5) reads three.
pub const NAME_SERVERS_MAX: usize = 3;

/// Longest name of a server in bytes (RFC 1035 section 2.3.4, without the root's dot).
pub const SERVER_NAME_BYTES_MAX: usize = 253;

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

/// Length of a chunk of an image in a bundle, in bytes: what a box holds in memory and loses of a
/// broken transfer at most, and long enough that compressing it alone costs little.
pub const BUNDLE_CHUNK_BYTES: usize = 1 << 20;

/// Longest packed chunk in bytes: zstd's own bound for 1 MiB that does not compress (1/256 more),
/// and the frame's head.
pub const BUNDLE_PACKED_CHUNK_BYTES_MAX: usize = BUNDLE_CHUNK_BYTES + BUNDLE_CHUNK_BYTES / 256 + 64;

/// Most chunks in a bundle and in one image: eight times what the slots of a card hold.
pub const BUNDLE_CHUNKS_MAX: usize = 1024;

/// Longest manifest of a bundle in bytes; it is held in memory before its signature is checked.
pub const BUNDLE_MANIFEST_BYTES_MAX: usize = 512 * 1024;

/// Most keys that a bundle may accept for what follows: some for the maker, one of the owner's.
pub const BUNDLE_KEYS_MAX: usize = 8;

/// Most formats on DATA, and most numbers of one that a release reads.
pub const BUNDLE_FORMATS_MAX: usize = 16;

/// Longest name in a manifest in bytes: a version, a board, a format.
pub const BUNDLE_NAME_BYTES_MAX: usize = 64;

const _: () = assert!(SLOT_COPY_B_OFFSET + SLOT_COPY_BYTES <= SLOT_AREA_BYTES);
const _: () = assert!(SLOT_COPY_BYTES <= SLOT_COPY_B_OFFSET);
const _: () = assert!(SPENT_IDS_MAX * 16 + 2 * REASON_BYTES_MAX + 512 <= SLOT_COPY_BYTES);
const _: () = assert!(NOTES_MAX * (SENTENCE_BYTES_MAX + 2) <= CONTROL_FRAME_BYTES_MAX / 2);
const _: () = assert!(LOG_LINES_MAX * (LOG_LINE_BYTES_MAX + 2) + 512 <= CONTROL_FRAME_BYTES_MAX);
// What a chunk takes in the manifest: two digests, two numbers, keys and its line in an image.
const _: () = assert!(BUNDLE_CHUNKS_MAX * 300 < BUNDLE_MANIFEST_BYTES_MAX);
