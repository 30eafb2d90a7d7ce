import "fake-indexeddb/auto";
import { describe, expect, it } from "vitest";
import * as outbox from "../core/outbox.ts";
import * as sync from "../core/sync.ts";
import type { Message, Room } from "../core/wire.ts";
import { NotWriter, Store } from "./db.ts";

let boxes = 0;
async function fresh(writer = "w"): Promise<Store> {
  boxes += 1;
  const store = await Store.open(`box${boxes}`);
  await store.becomeWriter(writer);
  return store;
}

function message(room: number, seq: number): Message {
  return {
    offset: seq,
    room,
    seq,
    author: 2,
    device: 5,
    counter: seq,
    time_ms: 1,
    text: `t${seq}`,
  };
}

function filled(): sync.Copy {
  const copy = sync.newCopy(1, 3);
  sync.reset(copy, "e");
  for (const room of [1, 2]) {
    const body: Room = {
      offset: 1,
      room,
      room_kind: "group",
      name: `r${room}`,
      history: "all",
      members: [],
      first: 1,
      head: 0,
      read: 0,
      unread: 0,
      last: null,
    };
    sync.apply(copy, { kind: "room", body });
    for (const seq of [1, 2, 3]) sync.apply(copy, { kind: "message", body: message(room, seq) });
  }
  sync.apply(copy, { kind: "user", body: { offset: 1, user: 2, name: "Ming", role: "member" } });
  sync.apply(copy, { kind: "caught_up", body: { cursor: 9 } });
  return copy;
}

async function loaded(store: Store): Promise<{ copy: sync.Copy; box: outbox.Outbox }> {
  const [copy, box] = [sync.newCopy(), outbox.newOutbox()];
  await store.load(copy, box);
  return { copy, box };
}

describe("storage", () => {
  it("brings back copy and outbox as they were", async () => {
    const store = await fresh();
    const copy = filled();
    const box = outbox.newOutbox();
    outbox.welcome(box, 3, 4);
    const command = { kind: "send", room: 1, text: "hi" } as const;
    outbox.write(box, { command, user: 1, epoch: "e", target: null, now_ms: 5 });
    const [entry] = outbox.takeSendable(box, "e", 1, 0);
    if (entry) entry.request = 77;
    await store.save("w", copy, sync.takeDirty(copy), box);
    const again = await loaded(store);
    expect(again.copy).toMatchObject({ epoch: "e", cursor: 9, me: 1, device: 3 });
    expect(again.copy.rooms.get(2)).toEqual(copy.rooms.get(2));
    expect(again.copy.users.get(2)?.name).toBe("Ming");
    expect(await store.messages(1)).toEqual([1, 2, 3].map((seq) => message(1, seq)));
    expect(again.box.assigned).toBe(5);
    expect(again.box.entries).toEqual([{ ...entry, request: 0 }]);
  });

  it("deletes a room's messages with the room and trims the oldest", async () => {
    const store = await fresh();
    const copy = filled();
    await store.save("w", copy, sync.takeDirty(copy), null);
    sync.apply(copy, { kind: "room_gone", body: { offset: 9, room: 1 } });
    copy.dirty.trimmed.set(2, 3);
    await store.save("w", copy, sync.takeDirty(copy), null);
    expect(await store.messages(1)).toEqual([]);
    expect((await store.messages(2)).map((one) => one.seq)).toEqual([3]);
    expect([...(await loaded(store)).copy.rooms.keys()]).toEqual([2]);
  });

  it("drops the copy but keeps the outbox on a new epoch", async () => {
    const store = await fresh();
    const copy = filled();
    const box = outbox.newOutbox();
    const command = { kind: "send", room: 1, text: "hi" } as const;
    outbox.write(box, { command, user: 1, epoch: "e", target: null, now_ms: 5 });
    await store.save("w", copy, sync.takeDirty(copy), box);
    sync.reset(copy, "e2");
    await store.save("w", copy, sync.takeDirty(copy), null);
    const again = await loaded(store);
    expect(again.copy).toMatchObject({ epoch: "e2", cursor: 0 });
    expect(again.copy.rooms.size).toBe(0);
    expect(await store.messages(2)).toEqual([]);
    expect(again.box.entries).toHaveLength(1);
  });

  it("refuses a tab that lost its turn, and that tab's changes stay pending", async () => {
    const store = await fresh("first");
    await store.becomeWriter("second");
    const copy = filled();
    const dirty = sync.takeDirty(copy);
    await expect(store.save("first", copy, dirty, null)).rejects.toThrow(NotWriter);
    expect((await loaded(store)).copy.rooms.size).toBe(0);
    sync.putBack(copy, dirty);
    await store.save("second", copy, sync.takeDirty(copy), null);
    expect(await store.messages(2)).toHaveLength(3);
  });

  it("finds a device's own messages above a command number", async () => {
    const store = await fresh();
    const copy = filled();
    await store.save("w", copy, sync.takeDirty(copy), null);
    expect((await store.ownMessages(5, 1)).map((one) => one.counter)).toEqual([2, 3, 2, 3]);
    expect(await store.ownMessages(6, 0)).toEqual([]);
  });

  it("keeps the boxes apart", async () => {
    const store = await fresh();
    await store.setAccount({ user: 1, device: 1, token: "t", name: "Ada" });
    const other = await fresh();
    expect(await other.account()).toBeNull();
    expect((await store.account())?.name).toBe("Ada");
  });
});
