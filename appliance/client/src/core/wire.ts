// The messages of the wire in their JSON encoding, as crate `wire` defines them.
// `decode` is the only door for frames: what passes it has every field in its stated type.
import { INTEGER_MAX } from "./limits.ts";

export type History = "all" | "since_join";
export type Role = "owner" | "admin" | "member";
export type SyncMode = "resumed" | "catch_up" | "reset";
export type Reason =
  | "malformed"
  | "unknown_kind"
  | "too_long"
  | "hello_first"
  | "bad_token"
  | "no_such_room"
  | "no_such_user"
  | "not_allowed"
  | "empty"
  | "over_limit"
  | "gap"
  | "conflict"
  | "busy"
  | "card_full"
  | "card_failed"
  | "shutting_down"
  | "internal";

export type Command =
  | { kind: "send"; room: number; text: string }
  | { kind: "open_direct"; user: number }
  | { kind: "create_room"; name: string; members: number[]; history: History }
  | { kind: "add_member"; room: number; user: number }
  | { kind: "remove_member"; room: number; user: number };

export type Question =
  | { kind: "hello"; token: string; epoch: string | null; cursor: number; client: string }
  | { kind: "read"; room: number; seq: number }
  | { kind: "sync"; cursor: number }
  | { kind: "read_history"; room: number; before: number | null; limit: number }
  | { kind: "show"; room: number | null }
  | { kind: "ping" };

export type ClientMessage = (Command & { counter: number }) | Question;

export interface Greeting {
  box_id: string;
  epoch: string;
  version: string;
  time_ms: number;
}
export interface Welcome {
  user: number;
  device: number;
  last_counter: number;
  sync: SyncMode;
  head: number;
}
export interface Ack {
  counter: number;
  offset: number;
  room: number;
  seq: number;
  time_ms: number;
}
export interface Refused {
  counter: number;
  reason: Reason;
  field: string;
  text: string;
}
export interface AlreadyApplied {
  counter: number;
}
export interface WireError {
  reason: Reason;
  field: string;
  text: string;
  retry_after_ms: number | null;
  expected: number | null;
}
export interface User {
  offset: number;
  user: number;
  name: string;
  role: Role;
}
export interface Member {
  user: number;
  read: number;
}
export interface Message {
  offset: number;
  room: number;
  seq: number;
  author: number;
  device: number;
  counter: number;
  time_ms: number;
  text: string;
}
export interface Room {
  offset: number;
  room: number;
  room_kind: "direct" | "group";
  name: string;
  history: History;
  members: Member[];
  first: number;
  head: number;
  read: number;
  unread: number;
  last: Message | null;
}
export interface RoomGone {
  offset: number;
  room: number;
}
export interface MemberChange {
  offset: number;
  room: number;
  user: number;
  joined: boolean;
}
export interface MembersChanged {
  room: number;
  members: { offset: number; user: number; joined: boolean }[];
}
export interface ReadMark {
  offset: number;
  room: number;
  user: number;
  seq: number;
}
export interface CaughtUp {
  cursor: number;
}
export interface RoomAt {
  room: number;
  head: number;
  offset: number;
}
export interface HistoryPage {
  room: number;
  messages: Message[];
  damaged: number;
  before: number | null;
}
export interface Pong {
  time_ms: number;
}
export interface Closing {
  reason: Reason;
  text: string;
  retry_after_ms: number | null;
}

interface Bodies {
  greeting: Greeting;
  welcome: Welcome;
  ack: Ack;
  refused: Refused;
  already_applied: AlreadyApplied;
  error: WireError;
  user: User;
  room: Room;
  room_gone: RoomGone;
  member_change: MemberChange;
  message: Message;
  read_mark: ReadMark;
  caught_up: CaughtUp;
  room_at: RoomAt;
  history_page: HistoryPage;
  pong: Pong;
  closing: Closing;
  members_changed: MembersChanged;
}
export type ServerMessage = { [K in keyof Bodies]: { kind: K; body: Bodies[K] } }[keyof Bodies];
export type ServerFrame = ServerMessage & { request: number };

/** One text frame of the client. */
export function encode(message: ClientMessage, request: number): string {
  const { kind, ...body } = message;
  return JSON.stringify({ kind, request, body });
}

/** One text frame of the server; null for kinds and shapes this client does not know. */
export function decode(text: string): ServerFrame | null {
  let frame: unknown;
  try {
    frame = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isRecord(frame) || typeof frame["kind"] !== "string") return null;
  const shape = Object.hasOwn(SHAPES, frame["kind"]) ? SHAPES[frame["kind"] as keyof Bodies] : null;
  if (!shape || !shape(frame["body"])) return null;
  const request = isWhole(frame["request"]) ? frame["request"] : 0;
  return { kind: frame["kind"], request, body: frame["body"] } as ServerFrame;
}

type Check = (value: unknown) => boolean;

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isWhole(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= INTEGER_MAX;
}

const text: Check = (value) => typeof value === "string";
const flag: Check = (value) => typeof value === "boolean";
const maybe =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);
const list =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const one =
  (...words: string[]): Check =>
  (value) =>
    words.includes(value as string);
const shape =
  (fields: Record<string, Check>): Check =>
  (value) =>
    isRecord(value) && Object.entries(fields).every(([name, check]) => check(value[name]));
const whole: Check = isWhole;

const message = shape({
  offset: whole,
  room: whole,
  seq: whole,
  author: whole,
  device: whole,
  counter: whole,
  time_ms: whole,
  text,
});

const SHAPES: { [K in keyof Bodies]: Check } = {
  greeting: shape({ box_id: text, epoch: text, version: text, time_ms: whole }),
  welcome: shape({
    user: whole,
    device: whole,
    last_counter: whole,
    sync: one("resumed", "catch_up", "reset"),
    head: whole,
  }),
  ack: shape({ counter: whole, offset: whole, room: whole, seq: whole, time_ms: whole }),
  refused: shape({ counter: whole, reason: text, field: text, text }),
  already_applied: shape({ counter: whole }),
  error: shape({
    reason: text,
    field: text,
    text,
    retry_after_ms: maybe(whole),
    expected: maybe(whole),
  }),
  user: shape({ offset: whole, user: whole, name: text, role: one("owner", "admin", "member") }),
  room: shape({
    offset: whole,
    room: whole,
    room_kind: one("direct", "group"),
    name: text,
    history: one("all", "since_join"),
    members: list(shape({ user: whole, read: whole })),
    first: whole,
    head: whole,
    read: whole,
    unread: whole,
    last: maybe(message),
  }),
  room_gone: shape({ offset: whole, room: whole }),
  member_change: shape({ offset: whole, room: whole, user: whole, joined: flag }),
  message,
  read_mark: shape({ offset: whole, room: whole, user: whole, seq: whole }),
  caught_up: shape({ cursor: whole }),
  room_at: shape({ room: whole, head: whole, offset: whole }),
  history_page: shape({
    room: whole,
    messages: list(message),
    damaged: whole,
    before: maybe(whole),
  }),
  pong: shape({ time_ms: whole }),
  closing: shape({ reason: text, text, retry_after_ms: maybe(whole) }),
  members_changed: shape({
    room: whole,
    members: list(shape({ offset: whole, user: whole, joined: flag })),
  }),
};
