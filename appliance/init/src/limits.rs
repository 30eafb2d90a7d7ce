//! Every bound and period of pid 1, with its unit and its reason.

/// Uid and gid of `linnetd` (overlay/etc/passwd).
pub(crate) const LINNET_ID: u32 = 900;

/// Uid and gid of the `net` child.
pub(crate) const NET_ID: u32 = 901;

/// Descriptors each process may open: 20,000 sockets per ring table plus files, with room.
pub(crate) const OPEN_FILES_MAX: u64 = 65_536;

/// Bytes a process may pin. io_uring's provided buffers count on some kernels; the memory budget
/// of `linnetd` bounds them, this only keeps the default of 8 MiB from being the first limit.
pub(crate) const LOCKED_BYTES_MAX: u64 = 256 << 20;

/// First pause before a service is started again, in milliseconds: a crash is rarely cured by
/// waiting, so the first one is short.
pub(crate) const RESTART_MS_MIN: u64 = 250;

/// Longest pause between starts, in milliseconds: the owner who fixes the cause does not wait long.
pub(crate) const RESTART_MS_MAX: u64 = 30_000;

/// A service that ran this long is no longer failing, in milliseconds.
pub(crate) const STABLE_MS: u64 = 60_000;

/// So many failures in a row make the LED say "failed".
pub(crate) const FAILURES_SHOWN: u32 = 5;

/// A service that said nothing for this long is killed and started anew, in milliseconds.
pub(crate) const SILENT_KILL_MS: u64 = 90_000;

/// Without any progress of `linnetd` for this long the watchdog is no longer fed, in milliseconds.
/// Longer than two lives of a silent service, so that a restart is tried before a reset.
pub(crate) const NO_PROGRESS_MS: u64 = 300_000;

/// Without a storage answer for this long the watchdog is no longer fed, in milliseconds. A card
/// that collects garbage answers within seconds.
pub(crate) const STORAGE_SILENT_MS: u64 = 60_000;

/// Pause between two storage probes, in milliseconds.
pub(crate) const STORAGE_PROBE_MS: u64 = 10_000;

/// The Pi's watchdog counts at most 15 s; assumed where sysfs does not say.
pub(crate) const WATCHDOG_DEFAULT_S: u64 = 15;

/// The main loop wakes at least this often, in milliseconds.
pub(crate) const TICK_MS: u64 = 1_000;

/// A helper program (fsck, mkfs) that does not move for this long is killed, in milliseconds.
pub(crate) const HELPER_STUCK_MS: u64 = 120_000;

/// How often a helper program's progress is looked at, in milliseconds.
pub(crate) const HELPER_POLL_MS: u64 = 100;

/// How long a partition may take to appear after the kernel started, in milliseconds. USB and SD
/// controllers probe late; on the Pi 4 the card is there within two seconds.
pub(crate) const DISK_WAIT_MS: u64 = 15_000;

/// Time between the request to stop and the kill, in milliseconds: one checkpoint on a slow card.
pub(crate) const STOP_GRACE_MS: u64 = 10_000;

/// Lines a second that one service may put on the console; the ring gets all.
pub(crate) const CONSOLE_LINES_PER_SECOND: u32 = 40;

/// Log lines kept in memory.
pub(crate) const LOG_RING_LINES: usize = 1_000;

/// Events that wait for the main loop; senders block beyond that.
pub(crate) const EVENTS_MAX: usize = 256;

/// Connections to the control socket at once: `linnetd`'s one, and one while it is replaced.
pub(crate) const CONTROL_CONNECTIONS_MAX: usize = 4;

/// How long a write to the control socket may take, in milliseconds, before the peer is dropped:
/// pid 1 never waits for a service.
pub(crate) const CONTROL_WRITE_MS: u64 = 500;

/// Longest kernel command line read, in bytes (COMMAND_LINE_SIZE on arm64 is 2048).
pub(crate) const CMDLINE_BYTES_MAX: usize = 4_096;

/// Longest boot nonce taken from the command line, in bytes.
pub(crate) const NONCE_BYTES_MAX: usize = 64;

/// How often the clock's floor is stored, in milliseconds: 100 small writes a day.
pub(crate) const CLOCK_PERSIST_MS: u64 = 15 * 60 * 1_000;

/// The floor is never believed beyond the build time plus this, in seconds: ten years.
pub(crate) const CLOCK_AHEAD_S: u64 = 10 * 365 * 24 * 3_600;

/// From this temperature on the owner is told, in thousandths of a degree: the Pi 4 slows down.
pub(crate) const TEMPERATURE_WARN_MC: i32 = 80_000;

/// From this share of the card's life on the owner is told, in percent.
pub(crate) const CARD_LIFE_WARN_PERCENT: u8 = 80;

/// How long after it said that it runs the box has come to rest, in milliseconds: what the start
/// took from the page cache and the allocator is given back by then.
pub(crate) const AT_REST_MS: u64 = 10_000;

/// How often power, heat and card are looked at, in milliseconds: weak supplies dip for seconds,
/// and the driver remembers two.
pub(crate) const BOARD_LOOK_MS: u64 = 2_000;

/// Records of pstore looked at: ramoops keeps fewer.
pub(crate) const PSTORE_FILES_MAX: usize = 32;

/// Bytes read of one of them; ramoops' records have 128 KiB at most in our device tree.
pub(crate) const PSTORE_BYTES_MAX: u64 = 256 * 1024;

/// How often the log's tail goes to DATA at most, in milliseconds: 100 writes of 51 KB a day.
pub(crate) const TAIL_KEEP_MS: u64 = 15 * 60 * 1_000;

/// How long the reset pin must be held at the start, in milliseconds: no slip of a screwdriver.
pub(crate) const RESET_HOLD_MS: u64 = 10_000;

/// A pin that is held for longer than this is not held by a person, in milliseconds.
pub(crate) const RESET_HELD_MS_MAX: u64 = 60_000;

/// An interruption shorter than this is a bouncing contact, in milliseconds.
pub(crate) const RESET_BOUNCE_MS: u64 = 100;

/// How often the held pin is looked at, in milliseconds.
pub(crate) const RESET_LOOK_MS: u64 = 10;

/// The clock moved by more than this, in seconds, is shown to the owner: a day, as deletion by time
/// could follow.
pub(crate) const CLOCK_JUMP_S: u64 = 24 * 3_600;

/// A correction by at least this, in seconds, is worth a line; the crystal drifts 2 s a day.
pub(crate) const CLOCK_STEP_TOLD_S: u64 = 5;

/// Uid and gid of the child that sends the log to the owner's server.
pub(crate) const SYSLOG_ID: u32 = 902;

/// Lines a second that go to the owner's log server: a crash loop with its back traces fits.
pub(crate) const SYSLOG_LINES_PER_SECOND: u32 = 50;

/// How long an address of the log server is used, in milliseconds, before its name is looked up
/// again.
pub(crate) const SYSLOG_RESOLVE_MS: u64 = 300_000;

/// Pause after a look-up or a message that failed, in milliseconds.
pub(crate) const SYSLOG_RETRY_MS: u64 = 30_000;

/// Lines that wait for the child; more are left out. A start says about 60.
pub(crate) const SYSLOG_QUEUE_LINES: usize = 256;

/// Complaints about the provisioning file that are shown: a screen of them, far below a frame.
pub(crate) const COMPLAINTS_MAX: usize = 24;

/// How long a program that was killed may take to vanish, in milliseconds; one that waits for a
/// broken card may never.
pub(crate) const HELPER_KILL_MS: u64 = 5_000;

/// How long the last writes to DATA may take at an orderly end, in milliseconds: what may be dirty
/// (sysctl.rs) on a card that has become slow.
pub(crate) const LAST_WRITES_MS: u64 = 60_000;

/// Most kernel modules loaded from the list.
pub(crate) const MODULES_MAX: usize = 64;

/// Bytes a file of the list, of sysfs or of /proc may have.
pub(crate) const SMALL_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Longest settings file read, in bytes: a full one has under 1 KiB.
pub(crate) const SETTINGS_BYTES_MAX: u64 = 16 * 1024;

/// The end of DATA is a multiple of this, in sectors of 512 bytes (1 MiB).
pub(crate) const PARTITION_ALIGN_SECTORS: u64 = 2_048;

/// A file system this much smaller than its partition is grown, in bytes. ext4 leaves less than
/// one block group of small change unused.
pub(crate) const GROW_BYTES_MIN: u64 = 16 << 20;

/// Size of a service's own /tmp in MiB: the rescue page keeps keys there, nothing else does.
pub(crate) const PRIVATE_TMP_MIB: u32 = 16;

/// Threads of `linnetd`: it has about 15, and as many again for blocking calls of the web side.
pub(crate) const SERVER_TASKS_MAX: u32 = 128;

/// Threads and processes of the network child and the Wi-Fi program that it starts.
pub(crate) const NET_TASKS_MAX: u32 = 32;

/// Memory of the network child and the Wi-Fi program, in bytes: both together need about 10 MB.
pub(crate) const NET_MEMORY_BYTES_MAX: u64 = 64 << 20;

/// Share of the memory from which the kernel takes page cache back from `linnetd`, in percent. Its
/// budget is half of the memory; the rest up to here is cache of its own files.
pub(crate) const FENCE_SOFT_PERCENT: u64 = 75;

/// Share of the memory beyond which the kernel ends `linnetd`, in percent: kernel, init and the
/// network child need about 80 MB on the smallest board (1 GB).
pub(crate) const FENCE_HARD_PERCENT: u64 = 85;

const _: () = assert!(5 * RESET_LOOK_MS < RESET_BOUNCE_MS && RESET_BOUNCE_MS < RESET_HOLD_MS);
const _: () = assert!(FENCE_SOFT_PERCENT < FENCE_HARD_PERCENT && FENCE_HARD_PERCENT < 100);
const _: () = assert!(NO_PROGRESS_MS > 3 * SILENT_KILL_MS);
const _: () = assert!(STORAGE_SILENT_MS > 3 * STORAGE_PROBE_MS);
const _: () = assert!(RESTART_MS_MIN < RESTART_MS_MAX && RESTART_MS_MAX < STABLE_MS);
