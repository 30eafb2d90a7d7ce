// Every limit of the client, with its unit and reason. Wire limits repeat those of crate `wire`.

/** Longest message text in UTF-8 bytes, as the server enforces it. */
export const TEXT_BYTES_MAX = 16 * 1024;

/** Longest user or room name in UTF-8 bytes, as the server enforces it. */
export const NAME_BYTES_MAX = 128;

/** Most commands in flight: half the server's result window, so that a resend never leaves it. */
export const IN_FLIGHT_MAX = 32;

/** Messages one history request asks for: three phone screens. */
export const HISTORY_PAGE = 50;

/** Messages kept per room between visits: ten pages, so that scrolling back a day is instant. */
export const CACHE_MESSAGES_MAX = 500;

/** Most commands the outbox holds: beyond it a person would not find the failed one. */
export const OUTBOX_MAX = 500;

/** Largest integer JSON carries exactly (2^53 - 1). */
export const INTEGER_MAX = Number.MAX_SAFE_INTEGER;

/** First pause before connecting again; it doubles up to the longest. */
export const RETRY_FIRST_MS = 500;
export const RETRY_LONGEST_MS = 15_000;

/** Quiet time after which a ping checks the line, and how long its answer may take. */
export const PING_AFTER_MS = 25_000;
export const PONG_WITHIN_MS = 10_000;

/** Time for connecting, greeting and welcome together; the server allows ten for hello. */
export const SETUP_WITHIN_MS = 15_000;

/** Pause before a command that met a passing trouble is sent again, when the server names none. */
export const COMMAND_RETRY_MS = 3_000;

/** Shortest such pause, whatever the server names: a busy box is not asked in a tight loop. */
export const COMMAND_RETRY_LEAST_MS = 250;

/** Messages of one author closer than this share a heading. */
export const GROUP_WITHIN_MS = 5 * 60_000;
