import { describe, expect, it } from "vitest";
import { PING_AFTER_MS, PONG_WITHIN_MS, RETRY_LONGEST_MS, SETUP_WITHIN_MS } from "./limits.ts";
import { isUp, newSession, step, type Session } from "./session.ts";
import type { ServerFrame, WireError } from "./wire.ts";

const BOX = "b";

function frame(part: Omit<ServerFrame, "request">): { kind: "frame"; frame: ServerFrame } {
  return { kind: "frame", frame: { ...part, request: 0 } as ServerFrame };
}
const greeting = (box: string) =>
  frame({ kind: "greeting", body: { box_id: box, epoch: "e", version: "", time_ms: 0 } });
const welcome = (sync: "resumed" | "catch_up") =>
  frame({ kind: "welcome", body: { user: 1, device: 1, last_counter: 0, sync, head: 1 } });

function live(): Session {
  const session = newSession(BOX);
  step(session, { kind: "start" }, 0, 0);
  step(session, { kind: "opened" }, 0, 0);
  step(session, greeting(BOX), 0, 0);
  step(session, welcome("resumed"), 0, 0);
  return session;
}

describe("session", () => {
  it("says hello only after the greeting named its own box", () => {
    const session = newSession(BOX);
    expect(step(session, { kind: "start" }, 0, 0)).toEqual(["connect"]);
    expect(step(session, { kind: "opened" }, 0, 0)).toEqual([]);
    expect(step(session, greeting(BOX), 0, 0)).toEqual(["hello"]);
  });

  it("never shows its token to another box", () => {
    const session = newSession(BOX);
    step(session, { kind: "start" }, 0, 0);
    expect(step(session, greeting("other"), 0, 0)).toEqual(["close"]);
    expect(session.stop).toBe("other_box");
    expect(step(session, { kind: "wake" }, 1, 0)).toEqual([]);
  });

  it("catches up before it is live", () => {
    const session = newSession(BOX);
    step(session, { kind: "start" }, 0, 0);
    step(session, greeting(BOX), 0, 0);
    step(session, welcome("catch_up"), 0, 0);
    expect(session.phase).toBe("catching_up");
    expect(isUp(session)).toBe(true);
    step(session, frame({ kind: "caught_up", body: { cursor: 3 } }), 0, 0);
    expect(session.phase).toBe("live");
  });

  it("backs off up to a limit and starts small again after a welcome", () => {
    const session = live();
    let now = 0;
    const pauses: number[] = [];
    for (let n = 0; n < 8; n += 1) {
      step(session, { kind: "closed" }, now, 0.999);
      pauses.push(session.retry_at_ms - now);
      now = session.retry_at_ms;
      expect(step(session, { kind: "tick" }, now - 1, 0)).toEqual([]);
      expect(step(session, { kind: "tick" }, now, 0)).toEqual(["connect"]);
    }
    expect(pauses).toEqual([...pauses].sort((a, b) => a - b));
    expect(Math.max(...pauses)).toBeLessThanOrEqual(RETRY_LONGEST_MS);
    step(session, greeting(BOX), now, 0);
    step(session, welcome("resumed"), now, 0);
    step(session, { kind: "closed" }, now, 0);
    expect(session.retry_at_ms - now).toBeLessThan(1_000);
  });

  it("comes back when a closing server says so, not earlier", () => {
    const session = live();
    const closing = { reason: "shutting_down", text: "", retry_after_ms: 4_000 } as const;
    expect(step(session, frame({ kind: "closing", body: closing }), 0, 0)).toEqual(["close"]);
    expect(session.retry_at_ms).toBe(4_000);
  });

  it("notices a dead line by an unanswered ping", () => {
    const session = live();
    expect(step(session, { kind: "tick" }, PING_AFTER_MS + 1, 0)).toEqual(["ping"]);
    const late = PING_AFTER_MS + 1 + PONG_WITHIN_MS + 1;
    expect(step(session, { kind: "tick" }, late, 0)).toEqual(["close"]);
    expect(session.phase).toBe("waiting");
  });

  it("gives up a connection that is never welcomed", () => {
    const session = newSession(BOX);
    step(session, { kind: "start" }, 0, 0);
    expect(step(session, { kind: "tick" }, SETUP_WITHIN_MS + 1, 0)).toEqual(["close"]);
  });

  it("connects at once when the device wakes", () => {
    const session = live();
    step(session, { kind: "closed" }, 0, 0);
    expect(step(session, { kind: "wake" }, 1, 0)).toEqual(["connect"]);
  });

  it("comes back later when the box is too busy for its hello", () => {
    const session = newSession(BOX);
    step(session, { kind: "start" }, 0, 0);
    step(session, greeting(BOX), 0, 0);
    const body: WireError = {
      reason: "busy",
      field: "",
      text: "",
      retry_after_ms: 3_000,
      expected: null,
    };
    expect(step(session, frame({ kind: "error", body }), 0, 0)).toEqual(["close"]);
    expect(session.retry_at_ms).toBe(3_000);
    const up = live();
    expect(step(up, frame({ kind: "error", body }), 0, 0)).toEqual([]);
    expect(isUp(up)).toBe(true);
  });

  it("stops for good when the token was revoked", () => {
    const session = live();
    const body = {
      reason: "bad_token",
      field: "",
      text: "",
      retry_after_ms: null,
      expected: null,
    } as const;
    step(session, frame({ kind: "error", body }), 0, 0);
    expect(session.stop).toBe("bad_token");
    expect(step(session, { kind: "closed" }, 1, 0)).toEqual([]);
  });
});
