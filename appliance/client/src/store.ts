// The one place of the client's state. Everything on screen is a function of it.
// Whoever changes it calls `changed()`; the screen follows once per frame.
import { useEffect, useState } from "preact/hooks";
import { newOutbox, type Outbox } from "./core/outbox.ts";
import { newSession, type Session } from "./core/session.ts";
import { newCopy, type Copy } from "./core/sync.ts";
import type { BoxReport, Facts } from "./shell/api.ts";
import type { Account } from "./shell/db.ts";
import type { Key } from "./i18n/index.ts";

export type Page =
  "starting" | "unsupported" | "unreachable" | "claim" | "login" | "main" | "elsewhere";
export type Route =
  { view: "home" | "people" | "settings" | "trust" | "box" } | { view: "room"; room: number };
export type Dialog =
  | { kind: "new_chat" | "new_group" | "add_user" | "factory_reset" }
  | { kind: "members" | "leave"; room: number };
export type Language = "auto" | "en" | "zh";
export type Theme = "auto" | "light" | "dark";

/** A sentence for the person, with the form field it belongs to or none. */
export interface Problem {
  key: Key;
  field: string;
  values: Record<string, string | number>;
}

export interface State {
  page: Page;
  facts: Facts | null;
  claimToken: string;
  /** How the box itself is, as far as it was asked. */
  box: BoxReport | "asking" | "absent";
  account: Account | null;
  copy: Copy;
  outbox: Outbox;
  session: Session;
  route: Route;
  dialog: Dialog | null;
  language: Language;
  theme: Theme;
  /** What went wrong with the form on screen, and whether its request is under way. */
  problem: Problem | null;
  busy: boolean;
  /** A passing remark, read out by screen readers. */
  notice: { key: Key; values: Record<string, string> } | null;
  /** Why the login page is shown again. */
  loginNote: Key | null;
  /** Rooms whose stored messages are in memory, and rooms whose older page is under way. */
  loaded: Set<number>;
  fetching: Set<number>;
  /** Unsent text per room, and the room list's filter. */
  drafts: Map<number, string>;
  filter: string;
  /** Read cursor of the room on screen when it was opened: where "new messages" begins. */
  newFrom: number;
  /** True once this page has lost a working connection, or never got one for a while. */
  lineTrouble: boolean;
}

export const state: State = {
  page: "starting",
  facts: null,
  claimToken: "",
  box: "asking",
  account: null,
  copy: newCopy(),
  outbox: newOutbox(),
  session: newSession(""),
  route: { view: "home" },
  dialog: null,
  language: "auto",
  theme: "auto",
  problem: null,
  busy: false,
  notice: null,
  loginNote: null,
  loaded: new Set(),
  fetching: new Set(),
  drafts: new Map(),
  filter: "",
  newFrom: 0,
  lineTrouble: false,
};

/** How often a hidden page is brought up to date. */
const HIDDEN_DRAW_MS = 250;

const screens = new Set<() => void>();
let planned = false;

export function notify(key: Key, values: Record<string, string> = {}): void {
  state.notice = { key, values };
  changed();
}

/** Tells the screen that the state changed. */
export function changed(): void {
  if (planned) return;
  planned = true;
  const draw = (): void => {
    planned = false;
    for (const screen of screens) screen();
  };
  // A hidden page gets no frames, but its title still counts unread messages.
  if (document.hidden) setTimeout(draw, HIDDEN_DRAW_MS);
  else requestAnimationFrame(draw);
}

/** The state, for a component that follows it. */
export function useStore(): State {
  const [, turn] = useState(0);
  useEffect(() => {
    const screen = (): void => turn((count) => count + 1);
    screens.add(screen);
    return () => void screens.delete(screen);
  }, []);
  return state;
}
