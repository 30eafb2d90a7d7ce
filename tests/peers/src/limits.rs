//! Every limit of the measurements, with its unit and reason.

/// Most sessions of one seeded folder: every user's devices.
pub const SESSIONS_MAX: u32 = 640_000;

/// Bytes of a floor's frame: the payload that the generator sends by default, stamp included.
pub const FLOOR_FRAME_BYTES: usize = 100;

/// Connections that wait to be accepted by a floor: the kernel's own bound.
pub const FLOOR_BACKLOG: i32 = 4_096;

/// Connections of the ring floor: what its file table holds.
pub const FLOOR_FILES: u32 = 16_384;

/// Submissions that the ring floor puts together: a message to a thousand members is one call.
pub const FLOOR_SUBMISSIONS: u32 = 1_024;

/// Completions that may wait: every connection's greeting.
pub const FLOOR_COMPLETIONS: u32 = 16_384;

/// Receive buffers of the ring floor, each of [`FLOOR_RECEIVE_BYTES`].
pub const FLOOR_BUFFERS: u16 = 1_024;

/// Bytes a floor receives at once.
pub const FLOOR_RECEIVE_BYTES: usize = 2_048;

/// Sockets that a polled floor looks at in one turn.
pub const FLOOR_READY_MAX: usize = 1_024;

const _: () =
    assert!(SESSIONS_MAX as usize == chat::limits::USERS_MAX * chat::limits::DEVICES_PER_USER_MAX);
const _: () = assert!(FLOOR_FRAME_BYTES >= load::STAMP_BYTES);
