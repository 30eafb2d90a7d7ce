// One connection's life as a state machine: connect, greeting, hello, welcome, live, and again.
// Pure: it is told the time and what happened, and answers with what to do. The token is asked
// for only after the greeting named the box it belongs to.
import {
  PING_AFTER_MS,
  PONG_WITHIN_MS,
  RETRY_FIRST_MS,
  RETRY_LONGEST_MS,
  SETUP_WITHIN_MS,
} from "./limits.ts";
import type { ServerFrame } from "./wire.ts";

export type Phase =
  "idle" | "connecting" | "greeting" | "welcoming" | "catching_up" | "live" | "waiting" | "stopped";

/** Why a session stopped for good. */
export type Stop = "signed_out" | "bad_token" | "other_box" | "behind" | "elsewhere";

export interface Session {
  phase: Phase;
  /** Failed tries since the last welcome. */
  tries: number;
  /** When to connect again, in phase `waiting`. */
  retry_at_ms: number;
  /** When the present connection was begun, and when it last spoke. */
  begun_ms: number;
  heard_ms: number;
  pinged_ms: number;
  stop: Stop | null;
  box: string;
}

export type Event =
  | { kind: "start" | "tick" | "wake" | "closed" | "opened" }
  | { kind: "frame"; frame: ServerFrame }
  | { kind: "stop"; why: Stop };

export type Action = "connect" | "hello" | "ping" | "close";

export function newSession(box: string): Session {
  return {
    phase: "idle",
    tries: 0,
    retry_at_ms: 0,
    begun_ms: 0,
    heard_ms: 0,
    pinged_ms: 0,
    stop: null,
    box,
  };
}

/** `chance` is a random number in [0, 1), which spreads the reconnects of many clients. */
export function step(session: Session, event: Event, nowMs: number, chance: number): Action[] {
  if (session.phase === "stopped") return [];
  switch (event.kind) {
    case "start":
      return session.phase === "idle" ? connect(session, nowMs) : [];
    case "wake":
      return session.phase === "waiting" ? connect(session, nowMs) : probe(session, nowMs);
    case "tick":
      return tick(session, nowMs, chance);
    case "opened":
      return opened(session, nowMs);
    case "closed":
      return lost(session, nowMs, chance, null);
    case "frame":
      return heard(session, event.frame, nowMs, chance);
    case "stop":
      return stop(session, event.why);
  }
}

/** True while the connection carries the user's changes. */
export function isUp(session: Session): boolean {
  return session.phase === "live" || session.phase === "catching_up";
}

function connect(session: Session, nowMs: number): Action[] {
  Object.assign(session, { phase: "connecting", begun_ms: nowMs, heard_ms: nowMs, pinged_ms: 0 });
  return ["connect"];
}

function opened(session: Session, nowMs: number): Action[] {
  if (session.phase === "connecting") session.phase = "greeting";
  session.heard_ms = nowMs;
  return [];
}

function stop(session: Session, why: Stop): Action[] {
  Object.assign(session, { phase: "stopped", stop: why });
  return ["close"];
}

function heard(session: Session, frame: ServerFrame, nowMs: number, chance: number): Action[] {
  session.heard_ms = nowMs;
  session.pinged_ms = 0;
  switch (frame.kind) {
    case "greeting":
      return greeted(session, frame.body.box_id);
    case "welcome":
      session.phase = frame.body.sync === "resumed" ? "live" : "catching_up";
      session.tries = 0;
      return [];
    case "caught_up":
      if (session.phase === "catching_up") session.phase = "live";
      return [];
    case "error":
      if (frame.body.reason === "bad_token") return stop(session, "bad_token");
      // Before the welcome it answers hello: the server can't take this session now.
      if (session.phase !== "welcoming") return [];
      return lost(session, nowMs, chance, frame.body.retry_after_ms);
    case "closing":
      if (frame.body.reason === "bad_token") return stop(session, "bad_token");
      return lost(session, nowMs, chance, frame.body.retry_after_ms);
    default:
      return [];
  }
}

function greeted(session: Session, box: string): Action[] {
  if (box !== session.box) return stop(session, "other_box");
  session.phase = "welcoming";
  return ["hello"];
}

function lost(session: Session, nowMs: number, chance: number, after: number | null): Action[] {
  if (session.phase === "waiting" || session.phase === "idle") return [];
  const pause = Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** session.tries);
  session.tries += 1;
  session.phase = "waiting";
  session.retry_at_ms = nowMs + Math.max(after ?? 0, pause * (0.5 + chance / 2));
  return ["close"];
}

function tick(session: Session, nowMs: number, chance: number): Action[] {
  if (session.phase === "waiting") {
    return nowMs >= session.retry_at_ms ? connect(session, nowMs) : [];
  }
  if (!isUp(session)) {
    const late = session.phase !== "idle" && nowMs - session.begun_ms > SETUP_WITHIN_MS;
    return late ? lost(session, nowMs, chance, null) : [];
  }
  if (session.pinged_ms > 0) {
    return nowMs - session.pinged_ms > PONG_WITHIN_MS ? lost(session, nowMs, chance, null) : [];
  }
  return nowMs - session.heard_ms > PING_AFTER_MS ? ping(session, nowMs) : [];
}

/** After sleep or a network change: find out at once whether the line still works. */
function probe(session: Session, nowMs: number): Action[] {
  return isUp(session) && session.pinged_ms === 0 ? ping(session, nowMs) : [];
}

function ping(session: Session, nowMs: number): Action[] {
  session.pinged_ms = nowMs;
  return ["ping"];
}
