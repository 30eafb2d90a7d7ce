//! Every limit of the measurements, with its unit and reason.

/// Most sessions of one seeded folder: every user's devices.
pub const SESSIONS_MAX: u32 = 640_000;

/// Bytes of a floor's frame: the payload that the generator sends by default, stamp included.
pub const FLOOR_FRAME_BYTES: usize = 100;

const _: () =
    assert!(SESSIONS_MAX as usize == chat::limits::USERS_MAX * chat::limits::DEVICES_PER_USER_MAX);
const _: () = assert!(FLOOR_FRAME_BYTES >= load::STAMP_BYTES);
