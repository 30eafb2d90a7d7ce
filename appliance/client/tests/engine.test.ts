// The real engine against the fake box over a real socket, with storage in memory: what the pure
// simulation can't see is the order of storing and sending.
import "fake-indexeddb/auto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { WebSocket } from "ws";
import { newOutbox } from "../src/core/outbox.ts";
import { newCopy, newestStretch } from "../src/core/sync.ts";
import type { Stop } from "../src/core/session.ts";
import { Engine } from "../src/engine.ts";
import { Store, type Account } from "../src/shell/db.ts";
import { state } from "../src/store.ts";
import { FakeBox, type FakeDevice } from "./fake/box.ts";
import { FakeServer } from "./fake/server.ts";

let boxes = 0;
let box: FakeBox;
let server: FakeServer;
let port: number;
let store: Store;
let device: FakeDevice;
let stops: Stop[];
let engines: Engine[];
const ROOM = 1;

beforeEach(async () => {
  box = new FakeBox();
  boxes += 1;
  box.box_id = boxes.toString(16).padStart(32, "0");
  const [ada, ming] = [box.addUser("Ada", "", "owner"), box.addUser("Ming", "", "member")];
  device = box.addDevice(ada.user);
  box.addDevice(ming.user);
  box.addRoom("direct", "", "all", [ada.user, ming.user]);
  server = new FakeServer(box, ".");
  port = await server.start(0);
  stubBrowser(port);
  store = await Store.open(box.box_id);
  [stops, engines] = [[], []];
});

afterEach(async () => {
  for (const engine of engines) await engine.stop("signed_out");
  store.close();
  await server.kill();
  vi.unstubAllGlobals();
});

function stubBrowser(at: number): void {
  vi.stubGlobal("location", { protocol: "http:", host: `127.0.0.1:${at}` });
  vi.stubGlobal("WebSocket", WebSocket);
  vi.stubGlobal("window", globalThis);
  vi.stubGlobal("document", { hidden: true, visibilityState: "visible", ...listeners() });
  for (const [name, value] of Object.entries(listeners())) vi.stubGlobal(name, value);
}

function listeners(): Record<string, () => void> {
  return { addEventListener: () => undefined, removeEventListener: () => undefined };
}

/** What a reload does: everything comes from storage. */
async function open(): Promise<Engine> {
  const [copy, outbox] = [newCopy(), newOutbox()];
  await store.load(copy, outbox);
  Object.assign(state, { copy, outbox, route: { view: "room", room: ROOM } });
  state.loaded.clear();
  const account: Account = {
    user: device.user,
    device: device.device,
    token: device.token,
    name: "Ada",
  };
  const events = { stopped: (why: Stop) => void stops.push(why), roomReady: () => undefined };
  const engine = new Engine(store, account, events);
  engines.push(engine);
  await engine.start();
  return engine;
}

async function live(): Promise<void> {
  await vi.waitFor(() => expect(state.session.phase).toBe("live"), { timeout: 5_000 });
}

const say = (engine: Engine, text: string): Promise<void> =>
  engine.command({ kind: "send", room: ROOM, text });
const posted = (): string[] => box.rooms[0]?.messages.map((message) => message.text) ?? [];
const shown = (): string[] => newestStretch(state.copy, ROOM).messages.map(({ text }) => text);

async function quiet(): Promise<void> {
  await vi.waitFor(() => expect(state.outbox.entries).toEqual([]), { timeout: 5_000 });
}

describe("engine", () => {
  it("sends what was written while the box was away, once, also after a reload", async () => {
    const first = await open();
    await live();
    await server.kill();
    for (const text of ["a", "b", "c"]) await say(first, text);
    await first.stop("signed_out");
    await server.start(port);
    await open();
    await quiet();
    expect(posted()).toEqual(["a", "b", "c"]);
    expect(shown()).toEqual(["a", "b", "c"]);
  });

  it("does not double a command whose acknowledgement was lost", async () => {
    const engine = await open();
    await live();
    const run = box.command.bind(box);
    box.command = (...args) => {
      const reply = run(...args);
      box.command = run;
      void server.kill().then(() => server.start(port));
      return reply;
    };
    await say(engine, "once");
    await vi.waitFor(() => expect(posted()).toEqual(["once"]));
    await vi.waitFor(() => expect(state.session.phase).not.toBe("live"));
    await quiet();
    expect(posted()).toEqual(["once"]);
    expect(shown()).toEqual(["once"]);
  });

  it("stores a command with its number before it leaves", async () => {
    const engine = await open();
    await live();
    const seen: number[] = [];
    const run = box.command.bind(box);
    box.command = (_from, command) => {
      const check = async (): Promise<void> => {
        const [copy, outbox] = [newCopy(), newOutbox()];
        await store.load(copy, outbox);
        if (outbox.entries.some((entry) => entry.counter === command.counter)) {
          seen.push(command.counter);
        }
      };
      void check();
      return { kind: "error", body: { ...BUSY } };
    };
    await say(engine, "first stored");
    await vi.waitFor(() => expect(seen).toEqual([1]));
    box.command = run;
    await quiet();
    expect(posted()).toEqual(["first stored"]);
  });

  it("brings back its own messages after a restore, and drops the old copy", async () => {
    const engine = await open();
    await live();
    await say(engine, "kept");
    await quiet();
    const { head, users, devices, rooms, changes } = structuredClone({
      ...{ head: box.head, users: box.users, devices: box.devices },
      ...{ rooms: box.rooms, changes: box.changes },
    });
    await say(engine, "lost and found");
    await quiet();
    await server.kill();
    await say(engine, "written meanwhile");
    Object.assign(box, { head, users, devices, rooms, changes, epoch: "e1".repeat(16) });
    await server.start(port);
    await quiet();
    expect(posted()).toEqual(["kept", "lost and found", "written meanwhile"]);
    expect(state.copy.epoch).toBe("e1".repeat(16));
  });

  it("never speaks to another box", async () => {
    box.box_id = "ff".repeat(16);
    await open();
    await vi.waitFor(() => expect(stops).toEqual(["other_box"]));
    expect(state.copy.rooms.size).toBe(0);
  });

  it("stops writing when another tab has taken over", async () => {
    const engine = await open();
    await live();
    await store.becomeWriter("another tab");
    await say(engine, "too late");
    await vi.waitFor(() => expect(stops).toEqual(["elsewhere"]));
    expect(posted()).toEqual([]);
  });

  it("waits while the card is full and goes on when it is not", async () => {
    const engine = await open();
    await live();
    box.trouble = "card_full";
    await say(engine, "patient");
    await vi.waitFor(() => expect(state.outbox.trouble).toBe("card_full"));
    box.trouble = null;
    await quiet();
    expect(posted()).toEqual(["patient"]);
    expect(state.outbox.trouble).toBeNull();
  });
});

const BUSY = { reason: "busy", field: "", text: "", retry_after_ms: 200, expected: null } as const;
