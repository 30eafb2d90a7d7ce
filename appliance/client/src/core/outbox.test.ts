import { describe, expect, it } from "vitest";
import { IN_FLIGHT_MAX } from "./limits.ts";
import * as outbox from "./outbox.ts";
import type { WireError } from "./wire.ts";

const EPOCH = "e";

function filled(count: number): outbox.Outbox {
  const box = outbox.newOutbox();
  outbox.welcome(box, 7, 0);
  for (let n = 1; n <= count; n += 1) {
    outbox.write(box, {
      command: { kind: "send", room: 1, text: `m${n}` },
      user: 1,
      epoch: EPOCH,
      target: null,
      now_ms: 0,
    });
  }
  return box;
}

function send(box: outbox.Outbox, now = 0): number[] {
  const batch = outbox.takeSendable(box, EPOCH, 1, now);
  for (const entry of batch) entry.request = entry.counter + 100;
  return batch.map((entry) => entry.counter);
}

function error(reason: WireError["reason"], more: Partial<WireError> = {}): WireError {
  return { reason, field: "", text: "", retry_after_ms: null, expected: null, ...more };
}

describe("outbox", () => {
  it("numbers commands densely and keeps a bounded number in flight", () => {
    const box = filled(IN_FLIGHT_MAX + 3);
    expect(send(box)).toEqual(Array.from({ length: IN_FLIGHT_MAX }, (_, n) => n + 1));
    expect(send(box)).toEqual([]);
    outbox.settle(box, 1);
    expect(send(box)).toEqual([IN_FLIGHT_MAX + 1]);
  });

  it("asks again for results the server has and renumbers only what it has not", () => {
    const box = filled(4);
    send(box);
    outbox.disconnected(box);
    outbox.welcome(box, 7, 2);
    expect(box.entries.map((entry) => entry.counter)).toEqual([1, 2, 0, 0]);
    expect(send(box)).toEqual([1, 2, 3, 4]);
  });

  it("waits after a passing trouble and sends the same numbers again", () => {
    const box = filled(2);
    send(box);
    expect(outbox.trouble(box, 101, error("card_full", { retry_after_ms: 500 }), 0)).toBe(true);
    expect(send(box, 499)).toEqual([]);
    expect(send(box, 500)).toEqual([1, 2]);
  });

  it("ignores late answers to frames it has recalled", () => {
    const box = filled(2);
    send(box);
    outbox.trouble(box, 101, error("busy"), 0);
    expect(outbox.trouble(box, 102, error("gap", { expected: 1 }), 0)).toBe(false);
  });

  it("goes back to the number the server expects", () => {
    const box = filled(3);
    send(box);
    outbox.trouble(box, 102, error("gap", { expected: 2 }), 0);
    expect(box.entries.map((entry) => entry.request !== 0)).toEqual([true, false, false]);
    expect(send(box)).toEqual([2, 3]);
  });

  it("keeps a refused command for the person and uses up its number", () => {
    const box = filled(2);
    send(box);
    outbox.refuse(box, 1, "no_such_room");
    outbox.settle(box, 2);
    expect(box.entries.map((entry) => entry.failure)).toEqual(["no_such_room"]);
    const again = outbox.retry(box, box.entries[0]?.id ?? 0, EPOCH);
    expect(again?.failure).toBeNull();
    expect(send(box)).toEqual([3]);
  });

  it("frees the number of a command that can never be taken", () => {
    const box = filled(2);
    send(box);
    outbox.trouble(box, 101, error("malformed"), 0);
    expect(box.entries.map((entry) => [entry.failure, entry.counter])).toEqual([
      ["malformed", 0],
      [null, 0],
    ]);
    expect(send(box)).toEqual([1]);
  });

  it("never lets a person delete what may already be on its way", () => {
    const box = filled(2);
    outbox.takeSendable(box, EPOCH, 1, 0);
    expect(outbox.remove(box, 1)).toBeNull();
    expect(box.entries).toHaveLength(2);
  });

  it("asks a person about tried commands when the device is a new one", () => {
    const box = filled(3);
    const [first] = box.entries;
    if (first) Object.assign(first, { tried: true, counter: 1 });
    box.assigned = 1;
    outbox.welcome(box, 8, 0);
    expect(box.entries.map((entry) => entry.failure)).toEqual(["unsure", null, null]);
    expect(send(box)).toEqual([1, 2]);
  });

  it("sends nothing of another person", () => {
    const box = filled(1);
    expect(outbox.takeSendable(box, EPOCH, 2, 0)).toEqual([]);
  });
});
