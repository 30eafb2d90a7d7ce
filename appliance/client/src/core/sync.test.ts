import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CACHE_MESSAGES_MAX } from "./limits.ts";
import { addRange, keepFrom, rangeAt, type Range } from "./ranges.ts";
import * as sync from "./sync.ts";
import type { Message, Room } from "./wire.ts";

const ME = 1;
const OTHER = 2;

function message(seq: number, author = OTHER): Message {
  return {
    offset: 100 + seq,
    room: 1,
    seq,
    author,
    device: author,
    counter: seq,
    time_ms: seq,
    text: `t${seq}`,
  };
}

function room(part: Partial<Room> = {}): Room {
  return {
    offset: 10,
    room: 1,
    room_kind: "group",
    name: "r",
    history: "all",
    members: [
      { user: ME, read: 0 },
      { user: OTHER, read: 0 },
    ],
    first: 1,
    head: 0,
    read: 0,
    unread: 0,
    last: null,
    ...part,
  };
}

function copyWith(part: Partial<Room> = {}): sync.Copy {
  const copy = sync.newCopy(ME, 1);
  sync.apply(copy, { kind: "room", body: room(part) });
  return copy;
}

function at(copy: sync.Copy): sync.RoomCopy {
  const found = copy.rooms.get(1);
  if (!found) throw new Error("no room");
  return found;
}

const say = (copy: sync.Copy, seq: number, author = OTHER): void =>
  sync.apply(copy, { kind: "message", body: message(seq, author) });
const seqs = (copy: sync.Copy): number[] =>
  sync.newestStretch(copy, 1).messages.map((one) => one.seq);

describe("ranges", () => {
  it("hold exactly the numbers that were added", () => {
    const pairs = fc.array(fc.tuple(fc.nat(30), fc.nat(6)), { maxLength: 20 });
    fc.assert(
      fc.property(pairs, fc.nat(40), (list, cut) => {
        let ranges: Range[] = [];
        const set = new Set<number>();
        for (const [from, length] of list) {
          ranges = addRange(ranges, from, from + length - 1);
          for (let n = from; n < from + length; n += 1) set.add(n);
        }
        for (let n = 0; n < 40; n += 1) expect(rangeAt(ranges, n) !== null).toBe(set.has(n));
        for (let n = 1; n < ranges.length; n += 1) {
          expect((ranges[n] as Range)[0]).toBeGreaterThan((ranges[n - 1] as Range)[1] + 1);
        }
        for (let n = 0; n < 40; n += 1) {
          expect(rangeAt(keepFrom(ranges, cut), n) !== null).toBe(set.has(n) && n >= cut);
        }
      }),
    );
  });
});

describe("copy", () => {
  it("ignores a room snapshot that is older than what it knows", () => {
    const copy = copyWith({ name: "new", offset: 20 });
    sync.apply(copy, { kind: "room", body: room({ name: "old", offset: 19 }) });
    expect(at(copy).name).toBe("new");
  });

  it("keeps messages and its newest one over a room snapshot", () => {
    const copy = copyWith();
    say(copy, 1);
    say(copy, 2);
    sync.apply(copy, {
      kind: "room",
      body: room({ offset: 30, head: 1, last: message(1), unread: 1 }),
    });
    expect(seqs(copy)).toEqual([1, 2]);
    expect(at(copy)).toMatchObject({ head: 2, unread: 2, last: { seq: 2 } });
  });

  it("never moves a read cursor back", () => {
    const copy = copyWith();
    [1, 2, 3].forEach((seq) => say(copy, seq));
    sync.apply(copy, { kind: "read_mark", body: { offset: 1, room: 1, user: ME, seq: 2 } });
    sync.apply(copy, { kind: "read_mark", body: { offset: 2, room: 1, user: ME, seq: 1 } });
    expect(at(copy)).toMatchObject({ read: 2, unread: 1 });
    sync.apply(copy, { kind: "read_mark", body: { offset: 3, room: 1, user: OTHER, seq: 3 } });
    sync.apply(copy, { kind: "read_mark", body: { offset: 4, room: 1, user: OTHER, seq: 1 } });
    expect(at(copy).members.find((one) => one.user === OTHER)?.read).toBe(3);
  });

  it("remembers what it read until the server has heard of it", () => {
    const copy = copyWith();
    say(copy, 1);
    expect(sync.readUpTo(copy, 1, 1)).toBe(true);
    expect(sync.readUpTo(copy, 1, 1)).toBe(false);
    expect(at(copy)).toMatchObject({ unread: 0, read_wanted: 1 });
    sync.apply(copy, {
      kind: "room",
      body: room({ offset: 40, head: 1, unread: 1, last: message(1) }),
    });
    expect(at(copy)).toMatchObject({ unread: 0, read_wanted: 1 });
    sync.apply(copy, { kind: "read_mark", body: { offset: 5, room: 1, user: ME, seq: 1 } });
    expect(at(copy).read_wanted).toBe(0);
  });

  it("does not count its own messages as unread", () => {
    const copy = copyWith();
    say(copy, 1, ME);
    say(copy, 2);
    expect(at(copy).unread).toBe(1);
  });

  it("shows only the newest stretch without a hole and asks for what is above it", () => {
    const copy = copyWith({ head: 9, last: message(9) });
    expect(seqs(copy)).toEqual([9]);
    expect(sync.newestStretch(copy, 1).before).toBe(9);
    const page = { room: 1, messages: [6, 7, 8].map((seq) => message(seq)), damaged: 0, before: 6 };
    sync.applyHistory(copy, page, 9);
    expect(seqs(copy)).toEqual([6, 7, 8, 9]);
    sync.applyHistory(
      copy,
      { room: 1, messages: [message(1), message(4)], damaged: 3, before: null },
      6,
    );
    expect(seqs(copy)).toEqual([1, 4, 6, 7, 8, 9]);
    expect(sync.newestStretch(copy, 1).before).toBeNull();
  });

  it("shows nothing from before its user joined", () => {
    const copy = copyWith({ first: 5, head: 4 });
    say(copy, 3);
    expect(sync.newestStretch(copy, 1)).toEqual({ messages: [], before: null });
    say(copy, 5);
    expect(seqs(copy)).toEqual([5]);
    expect(sync.newestStretch(copy, 1).before).toBeNull();
  });

  it("deletes everything of a room that is gone, also what was not stored yet", () => {
    const copy = copyWith();
    say(copy, 1);
    sync.apply(copy, { kind: "room_gone", body: { offset: 50, room: 1 } });
    expect(copy.rooms.size + copy.logs.size).toBe(0);
    expect(copy.dirty.messages).toEqual([]);
    expect([...copy.dirty.gone]).toEqual([1]);
  });

  it("applies joins and leaves once and never an older one late", () => {
    const copy = copyWith();
    const change = (offset: number, joined: boolean): void =>
      sync.apply(copy, { kind: "member_change", body: { offset, room: 1, user: 3, joined } });
    change(11, true);
    change(12, false);
    change(11, true);
    expect(at(copy).members.map((one) => one.user)).toEqual([ME, OTHER]);
  });

  it("takes joins and leaves of a large room as a list", () => {
    const copy = copyWith();
    const members = [
      { offset: 11, user: 3, joined: true },
      { offset: 12, user: OTHER, joined: false },
    ];
    sync.apply(copy, { kind: "members_changed", body: { room: 1, members } });
    expect(at(copy).members.map((one) => one.user)).toEqual([ME, 3]);
  });

  it("forgets the oldest messages of a long room and knows that it did", () => {
    const copy = copyWith();
    for (let seq = 1; seq <= CACHE_MESSAGES_MAX + 20; seq += 1) say(copy, seq);
    sync.trim(copy, 1);
    expect(seqs(copy)).toHaveLength(CACHE_MESSAGES_MAX);
    expect(sync.newestStretch(copy, 1).before).toBe(21);
    expect(copy.dirty.trimmed.get(1)).toBe(21);
  });

  it("shows messages in order whatever order and repetition they come in", () => {
    const order = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(order, (list) => {
        const copy = copyWith();
        for (const seq of list) say(copy, seq);
        const log = (copy.logs.get(1) ?? []).map((one) => one.seq);
        expect(log).toEqual([...new Set(list)].sort((a, b) => a - b));
        expect(at(copy).head).toBe(Math.max(...list));
        expect(copy.dirty.messages).toHaveLength(log.length);
      }),
    );
  });
});
