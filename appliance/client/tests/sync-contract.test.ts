// The sync contract as properties: whatever the line, the disk and the box do, every written
// message is posted exactly once and the screen shows exactly what the box holds.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { World } from "./sim.ts";

type Step =
  | "write"
  | "other"
  | "connect"
  | "drop"
  | "crash"
  | "save"
  | "up"
  | "down"
  | "late"
  | "busy"
  | "calm";
const STEPS: Step[] = [
  "write",
  "other",
  "connect",
  "drop",
  "crash",
  "save",
  "up",
  "down",
  "late",
  "busy",
  "calm",
];
// Deliveries are drawn more often, so that commands get half-way before the next mishap.
const step = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Step>("up") },
  { weight: 6, arbitrary: fc.constant<Step>("down") },
  { weight: 3, arbitrary: fc.constant<Step>("write") },
  { weight: 5, arbitrary: fc.constantFrom(...STEPS) },
);
const steps = fc.array(step, { minLength: 5, maxLength: 120 });

function begin(): World {
  const world = new World();
  world.settle();
  return world;
}

function run(world: World, list: readonly Step[]): void {
  for (const what of list) {
    switch (what) {
      case "write":
        world.write(`w${world.written.length}`);
        break;
      case "other":
        world.otherSays("hi");
        break;
      case "connect":
        world.connect();
        break;
      case "drop":
        world.drop();
        break;
      case "crash":
        world.crash();
        break;
      case "save":
        world.saveAll();
        break;
      case "up":
        world.serverTakes();
        break;
      case "down":
        world.clientTakes();
        break;
      case "late":
        world.serverTakesLate();
        break;
      case "busy":
        world.box.trouble = "busy";
        break;
      case "calm":
        world.box.trouble = null;
        break;
    }
  }
}

function allTexts(world: World): string[] {
  return world.currentRoom().messages.map((message) => message.text);
}

describe("the sync contract", () => {
  it("posts every message exactly once and in order over a line that drops and repeats", () => {
    fc.assert(
      fc.property(steps, (list) => {
        const world = begin();
        run(world, list);
        world.settle();
        expect(world.posted(world.me)).toEqual(world.written);
        expect(world.shown()).toEqual(allTexts(world));
        expect(world.box_out.entries).toEqual([]);
      }),
      { numRuns: 400 },
    );
  });

  it("counts unread messages the same however they arrive", () => {
    fc.assert(
      fc.property(steps, (list) => {
        const world = begin();
        run(world, list);
        world.settle();
        const room = world.copy.rooms.get(world.room.room);
        expect(room?.unread).toBe(world.posted(2).length);
        expect(room?.head).toBe(allTexts(world).length);
      }),
      { numRuns: 150 },
    );
  });

  it("sends its own lost messages again, once, after a restore of the box", () => {
    fc.assert(
      fc.property(steps, steps, steps, (before, lost, after) => {
        const world = begin();
        run(world, before);
        world.settle();
        const backup = world.backup();
        run(
          world,
          lost.filter((what) => what !== "crash"),
        );
        world.settle();
        world.restore(backup, "e1".repeat(16));
        run(
          world,
          after.filter((what) => what !== "crash"),
        );
        world.settle();
        const posted = world.posted(world.me);
        expect([...posted].sort()).toEqual([...world.written].sort());
        expect(world.shown()).toEqual(allTexts(world));
      }),
      { numRuns: 200 },
    );
  });

  it("keeps un-sent messages over a new epoch and drops the old copy", () => {
    const world = begin();
    world.otherSays("before");
    world.settle();
    const backup = world.backup();
    world.drop();
    world.write("waiting");
    world.otherSays("lost with the old state");
    world.restore(backup, "e2".repeat(16));
    world.settle();
    expect(world.posted(world.me)).toEqual(["waiting"]);
    expect(world.shown()).toEqual(["before", "waiting"]);
    expect(world.copy.epoch).toBe("e2".repeat(16));
  });

  it("holds a message back when its room is another one after the restore", () => {
    const world = begin();
    const backup = world.backup();
    world.drop();
    world.write("private");
    world.restore(backup, "e3".repeat(16));
    const eve = world.box.addUser("Eve", "", "member");
    const room = world.currentRoom();
    room.since = new Map([
      [world.me, 1],
      [eve.user, 1],
    ]);
    world.settle();
    expect(world.posted(world.me)).toEqual([]);
    expect(world.box_out.entries.map((entry) => entry.failure)).toEqual(["room_changed"]);
  });

  it("registers anew when another copy of it uses the same numbers", () => {
    const world = begin();
    const twin = structuredClone(world.box_out);
    world.write("mine");
    world.settle();
    world.box_out = twin;
    world.write("the twin's");
    world.settle();
    expect(world.behind).toBe(1);
    expect(world.posted(world.me)).toEqual(["mine", "the twin's"]);
  });

  it("registers anew when the box knows more of its commands than it does", () => {
    const world = begin();
    world.write("one");
    world.settle();
    const old = { copy: structuredClone(world.copy), outbox: structuredClone(world.box_out) };
    world.write("two");
    world.settle();
    world.drop();
    Object.assign(world, { copy: old.copy, box_out: old.outbox });
    world.write("three");
    world.settle();
    expect(world.behind).toBe(1);
    expect(world.posted(world.me)).toEqual(["one", "two", "three"]);
    expect(world.shown()).toEqual(["one", "two", "three"]);
  });
});
