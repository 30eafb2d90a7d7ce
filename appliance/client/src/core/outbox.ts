// Commands on their way to the server: numbered densely, kept until their result is known.
// Pure. Rules of the sync contract: a number is given just before a command is first sent and is
// stored before it leaves; `Welcome.last_counter` is the truth; resending is always harmless.
import { COMMAND_RETRY_LEAST_MS, COMMAND_RETRY_MS, IN_FLIGHT_MAX } from "./limits.ts";
import type { Copy, RoomCopy } from "./sync.ts";
import type { Command, Message, Reason, WireError } from "./wire.ts";

/** Why a command waits for a person: the server's reason, or ours. */
export type Failure = Reason | "unsure" | "room_changed";

/** What a room looked like when the command was written: its number means nothing elsewhere. */
export interface Target {
  kind: "direct" | "group";
  name: string;
  people: string[];
}

export interface Entry {
  /** Order of writing on this device. */
  id: number;
  command: Command;
  /** The device's command number; 0 while it has none. */
  counter: number;
  /** It left this device at least once under some number. */
  tried: boolean;
  user: number;
  epoch: string | null;
  target: Target | null;
  written_ms: number;
  failure: Failure | null;
  /** Request id of the frame in flight on this connection; 0 when none is. Never stored. */
  request: number;
}

export interface Outbox {
  entries: Entry[];
  device: number;
  /** Highest number given so far; storage holds it before a frame leaves. */
  assigned: number;
  next_id: number;
  /** Nothing is sent before this time, after a passing trouble. */
  paused_until_ms: number;
  /** The trouble that paused it, for the screen. */
  trouble: Reason | null;
  /** The server knows more commands of this device than the device does: it must register anew. */
  behind: boolean;
}

export function newOutbox(): Outbox {
  return {
    entries: [],
    device: 0,
    assigned: 0,
    next_id: 1,
    paused_until_ms: 0,
    trouble: null,
    behind: false,
  };
}

export interface Written {
  command: Command;
  user: number;
  epoch: string | null;
  target: Target | null;
  now_ms: number;
}

/** Adds a command at the end. */
export function write(outbox: Outbox, written: Written): Entry {
  const entry: Entry = {
    id: outbox.next_id,
    command: written.command,
    counter: 0,
    tried: false,
    user: written.user,
    epoch: written.epoch,
    target: written.target,
    written_ms: written.now_ms,
    failure: null,
    request: 0,
  };
  outbox.next_id += 1;
  outbox.entries.push(entry);
  return entry;
}

/** Takes the server's word on a fresh connection; called before anything is sent on it. */
export function welcome(outbox: Outbox, device: number, lastCounter: number): void {
  if (outbox.device !== device) return adopt(outbox, device, lastCounter);
  outbox.behind = lastCounter > outbox.assigned;
  outbox.paused_until_ms = 0;
  outbox.trouble = null;
  for (const entry of outbox.entries) {
    entry.request = 0;
    // Never accepted, so free: numbers are given again, densely and in the same order.
    if (entry.counter > lastCounter) entry.counter = 0;
  }
  if (!outbox.behind) outbox.assigned = lastCounter;
}

/** A newly registered device starts at 1 and can't tell what became of tried commands. */
function adopt(outbox: Outbox, device: number, lastCounter: number): void {
  for (const entry of outbox.entries) {
    if (entry.tried && !entry.failure) entry.failure = "unsure";
    Object.assign(entry, { counter: 0, request: 0, tried: false });
  }
  Object.assign(outbox, {
    device,
    assigned: lastCounter,
    behind: false,
    paused_until_ms: 0,
    trouble: null,
  });
}

/** After a lost connection nothing is in flight. */
export function disconnected(outbox: Outbox): void {
  for (const entry of outbox.entries) entry.request = 0;
}

/** What may leave now, oldest first; entries without a number are given theirs. */
export function takeSendable(outbox: Outbox, epoch: string, user: number, nowMs: number): Entry[] {
  if (nowMs < outbox.paused_until_ms) return [];
  const open = outbox.entries.filter((entry) => !entry.failure && entry.user === user);
  const inFlight = open.filter((entry) => entry.request !== 0).length;
  const ready: Entry[] = [];
  for (const entry of open) {
    if (inFlight + ready.length >= IN_FLIGHT_MAX) break;
    if (entry.request !== 0) continue;
    if (entry.counter === 0 && outbox.behind) break;
    // Of another epoch: held until its room is known to be the same one.
    if (entry.counter === 0 && entry.epoch !== epoch) break;
    ready.push(entry);
  }
  for (const entry of ready) number(outbox, entry);
  return ready;
}

function number(outbox: Outbox, entry: Entry): void {
  entry.tried = true;
  if (entry.counter !== 0) return;
  outbox.assigned += 1;
  entry.counter = outbox.assigned;
}

/** Removes the command whose result came; null when it is not in the outbox any more. */
export function settle(outbox: Outbox, counter: number): Entry | null {
  const entry = numbered(outbox, counter);
  outbox.trouble = null;
  if (entry) outbox.entries = outbox.entries.filter((other) => other !== entry);
  return entry;
}

/** The server refused it for good: the number is used, a person decides what becomes of it. */
export function refuse(outbox: Outbox, counter: number, reason: Reason): Entry | null {
  const entry = numbered(outbox, counter);
  outbox.trouble = null;
  if (entry) fail(entry, reason);
  return entry;
}

function numbered(outbox: Outbox, counter: number): Entry | null {
  return outbox.entries.find((entry) => entry.counter === counter && counter !== 0) ?? null;
}

function fail(entry: Entry, failure: Failure): void {
  Object.assign(entry, { failure, counter: 0, request: 0, tried: false });
}

const PASSING: ReadonlySet<Reason> = new Set<Reason>([
  "busy",
  "card_full",
  "card_failed",
  "shutting_down",
  "internal",
  "hello_first",
]);

/** An error answered request `request`; false when that frame is not in flight (any more). */
export function trouble(outbox: Outbox, request: number, error: WireError, nowMs: number): boolean {
  const entry = outbox.entries.find((other) => other.request === request && request !== 0);
  if (!entry) return false;
  if (error.reason === "gap") return (expectAgain(outbox, error.expected ?? entry.counter), true);
  if (error.reason === "conflict") return (conflict(outbox, entry), true);
  const { counter } = entry;
  if (PASSING.has(error.reason)) {
    outbox.trouble = error.reason;
    outbox.paused_until_ms =
      nowMs + Math.max(error.retry_after_ms ?? COMMAND_RETRY_MS, COMMAND_RETRY_LEAST_MS);
    recall(outbox, counter);
  } else {
    fail(entry, error.reason);
    release(outbox, counter);
  }
  return true;
}

/** Somebody else numbers as this device: this was never done; register anew, then send it. */
function conflict(outbox: Outbox, entry: Entry): void {
  Object.assign(entry, { counter: 0, request: 0, tried: false });
  outbox.behind = true;
}

/** Frames from `counter` on count as not sent; late answers to them no longer match. */
function recall(outbox: Outbox, counter: number): void {
  for (const entry of outbox.entries) if (entry.counter >= counter) entry.request = 0;
}

/** The unused number `counter` and those above it, which the server did not accept, are free. */
function release(outbox: Outbox, counter: number): void {
  recall(outbox, counter);
  for (const entry of outbox.entries) if (entry.counter >= counter) entry.counter = 0;
  outbox.assigned = counter - 1;
}

function expectAgain(outbox: Outbox, expected: number): void {
  recall(outbox, expected);
  const known = outbox.entries.some((entry) => entry.counter === expected);
  if (!known) release(outbox, expected);
}

/** After a new epoch's rooms are known: messages to rooms that are still the same may go. */
export function recheck(outbox: Outbox, copy: Copy): void {
  for (const entry of outbox.entries) {
    if (entry.epoch === copy.epoch || entry.failure) continue;
    entry.epoch = copy.epoch;
    if (!sameRoom(entry, copy)) fail(entry, "room_changed");
  }
}

/** Only messages: other commands name people by numbers that may mean somebody else now. */
function sameRoom(entry: Entry, copy: Copy): boolean {
  const room = entry.command.kind === "send" ? copy.rooms.get(entry.command.room) : null;
  if (!room || !entry.target) return false;
  const now = targetOf(copy, room);
  if (now.kind !== entry.target.kind || now.name !== entry.target.name) return false;
  return now.kind === "group" || now.people.join("\n") === entry.target.people.join("\n");
}

/** What is kept of a room beside a command for it. */
export function targetOf(copy: Copy, room: RoomCopy): Target {
  const people = room.members.map((member) => copy.users.get(member.user)?.name ?? "").sort();
  return { kind: room.room_kind, name: room.name, people };
}

/**
 * A restore took the box back in time: the author's own device sends again what it had posted.
 * `lost` are its own messages above the server's `last_counter`, of the copy about to be dropped;
 * they come before everything that waits.
 */
export function rescue(
  outbox: Outbox,
  lost: readonly Message[],
  targets: ReadonlyMap<number, Target>,
): Entry[] {
  const ordered = [...lost].sort((a, b) => a.counter - b.counter);
  const waiting = outbox.entries;
  const first = Math.min(outbox.next_id, ...waiting.map((entry) => entry.id)) - ordered.length;
  const rescued = ordered.map((message, index) => {
    const entry = write(outbox, {
      command: { kind: "send", room: message.room, text: message.text },
      user: message.author,
      epoch: "",
      target: targets.get(message.room) ?? null,
      now_ms: message.time_ms,
    });
    entry.id = first + index;
    return entry;
  });
  outbox.entries = [...rescued, ...waiting];
  return rescued;
}

/** A person asks to send a failed command again: it goes to the end with a new number. */
export function retry(outbox: Outbox, id: number, epoch: string | null): Entry | null {
  const entry = remove(outbox, id);
  if (!entry) return null;
  const { command, user, target, written_ms } = entry;
  return write(outbox, { command, user, epoch, target, now_ms: written_ms });
}

/** Removes a command that no longer can or never could be done; not one that is on its way. */
export function remove(outbox: Outbox, id: number): Entry | null {
  const entry = outbox.entries.find((other) => other.id === id && (other.failure || !other.tried));
  if (!entry) return null;
  outbox.entries = outbox.entries.filter((other) => other !== entry);
  return entry;
}

/** True when a device that is behind has no result left to ask for and may register anew. */
export function mayRegister(outbox: Outbox): boolean {
  return outbox.behind && outbox.entries.every((entry) => entry.counter === 0);
}
