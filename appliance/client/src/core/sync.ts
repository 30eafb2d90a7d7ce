// The client's copy of what its user may see, and how server messages change it.
// Pure: no I/O and no clock. Applying a message twice, or an older one late, changes nothing;
// `dirty` collects what storage has to write, and the cursor never runs ahead of the content.
import { CACHE_MESSAGES_MAX } from "./limits.ts";
import { addRange, keepFrom, rangeAt, type Range } from "./ranges.ts";
import type {
  HistoryPage,
  MemberChange,
  Message,
  ReadMark,
  Room,
  ServerMessage,
  User,
} from "./wire.ts";

/** A room of the copy; `covered` are the message numbers whose content is held or known lost. */
export interface RoomCopy extends Room {
  covered: Range[];
  /** Own read cursor that the server has not confirmed yet; 0 when there is none. */
  read_wanted: number;
}

/** What storage has not written yet. */
export interface Dirty {
  everything: boolean;
  users: Set<number>;
  rooms: Set<number>;
  gone: Set<number>;
  messages: Message[];
  /** Room -> lowest message number still kept. */
  trimmed: Map<number, number>;
  cursor: boolean;
}

export interface Copy {
  epoch: string | null;
  cursor: number;
  me: number;
  device: number;
  users: Map<number, User>;
  rooms: Map<number, RoomCopy>;
  /** Messages in memory per room, ascending by seq. */
  logs: Map<number, Message[]>;
  dirty: Dirty;
}

export function newDirty(): Dirty {
  return {
    everything: false,
    users: new Set(),
    rooms: new Set(),
    gone: new Set(),
    messages: [],
    trimmed: new Map(),
    cursor: false,
  };
}

export function newCopy(me = 0, device = 0): Copy {
  return {
    epoch: null,
    cursor: 0,
    me,
    device,
    users: new Map(),
    rooms: new Map(),
    logs: new Map(),
    dirty: newDirty(),
  };
}

/** Hands out what is to be written and starts a new collection. */
export function takeDirty(copy: Copy): Dirty {
  const dirty = copy.dirty;
  copy.dirty = newDirty();
  return dirty;
}

/** Takes back what could not be written, beneath what has changed since. */
export function putBack(copy: Copy, older: Dirty): void {
  const { dirty } = copy;
  const still = older.messages.filter((message) => !dirty.gone.has(message.room));
  dirty.messages = dirty.everything ? dirty.messages : [...still, ...dirty.messages];
  dirty.everything ||= older.everything;
  dirty.cursor ||= older.cursor;
  for (const user of older.users) dirty.users.add(user);
  for (const room of older.rooms) dirty.rooms.add(room);
  for (const room of older.gone) dirty.gone.add(room);
  for (const [room, seq] of older.trimmed) {
    dirty.trimmed.set(room, Math.max(seq, dirty.trimmed.get(room) ?? 0));
  }
}

/** Drops everything: another epoch, or the server said so. The outbox is not part of the copy. */
export function reset(copy: Copy, epoch: string): void {
  Object.assign(copy, newCopy(copy.me, copy.device), { epoch });
  copy.dirty.everything = true;
  copy.dirty.cursor = true;
}

/** Applies one message of the server; kinds that carry no state are ignored. */
export function apply(copy: Copy, message: ServerMessage): void {
  switch (message.kind) {
    case "user":
      return applyUser(copy, message.body);
    case "room":
      return applyRoom(copy, message.body);
    case "room_gone":
      return dropRoom(copy, message.body.room);
    case "member_change":
      return applyMember(copy, message.body);
    case "members_changed":
      return message.body.members.forEach((moved) =>
        applyMember(copy, { ...moved, room: message.body.room }),
      );
    case "message":
      return applyMessage(copy, message.body);
    case "read_mark":
      return applyRead(copy, message.body);
    case "caught_up":
      return moveCursor(copy, message.body.cursor);
    default:
      return;
  }
}

function applyUser(copy: Copy, user: User): void {
  const known = copy.users.get(user.user);
  if (known && known.offset >= user.offset) return;
  copy.users.set(user.user, user);
  copy.dirty.users.add(user.user);
}

function applyRoom(copy: Copy, snapshot: Room): void {
  const known = copy.rooms.get(snapshot.room);
  if (known && known.offset > snapshot.offset) return;
  const room: RoomCopy = {
    ...snapshot,
    covered: keepFrom(known?.covered ?? [], snapshot.first),
    read_wanted: (known?.read_wanted ?? 0) > snapshot.read ? (known?.read_wanted ?? 0) : 0,
  };
  copy.rooms.set(room.room, room);
  copy.dirty.rooms.add(room.room);
  if (room.last) hold(copy, room, room.last);
  if (known && known.head > room.head) headTo(copy, room, known.last, known.head);
  if (room.read_wanted > room.read) room.read = room.read_wanted;
  if (room.read > snapshot.read || room.head > snapshot.head) room.unread = countUnread(copy, room);
}

function dropRoom(copy: Copy, room: number): void {
  copy.rooms.delete(room);
  copy.logs.delete(room);
  copy.dirty.rooms.delete(room);
  copy.dirty.messages = copy.dirty.messages.filter((message) => message.room !== room);
  copy.dirty.trimmed.delete(room);
  copy.dirty.gone.add(room);
}

function applyMember(copy: Copy, change: MemberChange): void {
  const room = copy.rooms.get(change.room);
  if (!room || change.offset <= room.offset) return;
  const others = room.members.filter((member) => member.user !== change.user);
  room.members = change.joined ? [...others, { user: change.user, read: 0 }] : others;
  room.offset = change.offset;
  copy.dirty.rooms.add(room.room);
}

/** Takes in one message; also the sender's own, made from its acknowledgement. */
export function applyMessage(copy: Copy, message: Message): void {
  const room = copy.rooms.get(message.room);
  // Without its room a message is not lost: the room's snapshot makes history ask for it.
  if (!room || message.seq < room.first) return;
  hold(copy, room, message);
  if (message.seq <= room.head) return;
  headTo(copy, room, message, message.seq);
  if (message.author !== copy.me && message.seq > room.read) room.unread += 1;
}

function headTo(copy: Copy, room: RoomCopy, last: Message | null, head: number): void {
  room.head = head;
  room.last = last;
  copy.dirty.rooms.add(room.room);
}

function hold(copy: Copy, room: RoomCopy, message: Message): void {
  if (!insert(copy, message)) return;
  room.covered = addRange(room.covered, message.seq, message.seq);
  copy.dirty.messages.push(message);
  copy.dirty.rooms.add(room.room);
}

/** Puts a message in its place in memory; false when it was there. */
function insert(copy: Copy, message: Message): boolean {
  const log = copy.logs.get(message.room) ?? [];
  let at = log.length;
  while (at > 0 && (log[at - 1] as Message).seq > message.seq) at -= 1;
  if (at > 0 && (log[at - 1] as Message).seq === message.seq) return false;
  log.splice(at, 0, message);
  copy.logs.set(message.room, log);
  return true;
}

function applyRead(copy: Copy, mark: ReadMark): void {
  const room = copy.rooms.get(mark.room);
  if (!room) return;
  copy.dirty.rooms.add(room.room);
  if (mark.user !== copy.me) {
    room.members = room.members.map((member) =>
      member.user === mark.user && member.read < mark.seq ? { ...member, read: mark.seq } : member,
    );
    return;
  }
  if (mark.seq >= room.read_wanted) room.read_wanted = 0;
  if (mark.seq <= room.read) return;
  room.read = mark.seq;
  room.unread = countUnread(copy, room);
}

/** The user has read up to `seq` on this screen; true when the server has to hear of it. */
export function readUpTo(copy: Copy, roomId: number, seq: number): boolean {
  const room = copy.rooms.get(roomId);
  if (!room || seq <= room.read) return false;
  room.read = seq;
  room.read_wanted = seq;
  room.unread = countUnread(copy, room);
  copy.dirty.rooms.add(roomId);
  return true;
}

/** Exact when everything above the cursor is in memory, else an upper bound. */
function countUnread(copy: Copy, room: RoomCopy): number {
  if (room.read >= room.head) return 0;
  const above = (copy.logs.get(room.room) ?? []).filter((message) => message.seq > room.read);
  if (above.length === room.head - room.read) {
    return above.filter((message) => message.author !== copy.me).length;
  }
  return Math.min(room.unread, room.head - room.read);
}

function moveCursor(copy: Copy, cursor: number): void {
  if (cursor <= copy.cursor) return;
  copy.cursor = cursor;
  copy.dirty.cursor = true;
}

/** Takes in a page that was asked for with `before`. */
export function applyHistory(copy: Copy, page: HistoryPage, before: number): void {
  const room = copy.rooms.get(page.room);
  if (!room) return;
  for (const message of page.messages) if (message.seq >= room.first) hold(copy, room, message);
  room.covered = addRange(room.covered, page.before ?? room.first, before - 1);
  copy.dirty.rooms.add(room.room);
}

/** Takes in messages that storage held; they are covered already. */
export function applyStored(copy: Copy, messages: readonly Message[]): void {
  for (const message of messages) if (copy.rooms.has(message.room)) insert(copy, message);
}

/** What the conversation may show without a hole: the messages of the newest covered stretch. */
export interface Stretch {
  messages: Message[];
  /** Ask history with this for what lies above; null at the room's beginning. */
  before: number | null;
}

export function newestStretch(copy: Copy, roomId: number): Stretch {
  const room = copy.rooms.get(roomId);
  if (!room || room.head < room.first) return { messages: [], before: null };
  const range = rangeAt(room.covered, room.head);
  if (!range) return { messages: [], before: room.head + 1 };
  const log = copy.logs.get(roomId) ?? [];
  return {
    messages: log.filter((message) => message.seq >= range[0]),
    before: range[0] > room.first ? range[0] : null,
  };
}

/** Forgets all but the newest messages of a room that is no longer on screen. */
export function trim(copy: Copy, roomId: number): void {
  const log = copy.logs.get(roomId);
  const room = copy.rooms.get(roomId);
  if (!log || !room || log.length <= CACHE_MESSAGES_MAX) return;
  const kept = log.slice(-CACHE_MESSAGES_MAX);
  const lowest = (kept[0] as Message).seq;
  copy.logs.set(roomId, kept);
  room.covered = keepFrom(room.covered, lowest);
  copy.dirty.rooms.add(roomId);
  copy.dirty.trimmed.set(roomId, lowest);
}
