//! Every limit of the wire, with its unit and reason. Exceeding one is an error the peer sees.

/// Longest frame a client may send, header included. A 16 KiB text in JSON, where one byte may
/// take six (`\u0000`), still fits.
pub const CLIENT_FRAME_BYTES_MAX: usize = 128 * 1024;

/// Longest frame the server sends: a history page of [`HISTORY_PAGE_MAX`] messages is cut to fit.
pub const SERVER_FRAME_BYTES_MAX: usize = 512 * 1024;

/// Longest message text in UTF-8 bytes: several printed pages, a quarter of a log record.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Longest user, room, device or client name in UTF-8 bytes: fits one line of any screen.
pub const NAME_BYTES_MAX: usize = 128;

/// Most members one `create_room` may name; more are added one by one.
pub const CREATE_MEMBERS_MAX: usize = 1_000;

/// Most messages one history page carries.
pub const HISTORY_PAGE_MAX: u32 = 200;

/// Deepest nesting of a JSON frame. The deepest message needs four levels.
pub const JSON_DEPTH_MAX: usize = 16;

/// Largest integer a JSON reader in any language holds exactly (IEEE 754 double): 2^53 - 1.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Results the server remembers per device, and so the most commands a device may have un-acked.
pub const COMMAND_WINDOW: u64 = 64;

const _: () = assert!(TEXT_BYTES_MAX * 6 < CLIENT_FRAME_BYTES_MAX);
const _: () = assert!(CLIENT_FRAME_BYTES_MAX <= SERVER_FRAME_BYTES_MAX);
