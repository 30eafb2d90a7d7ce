// Words for the screen: names, times, and links in plain text. Pure.
import type { Copy, RoomCopy } from "../core/sync.ts";
import { locale, t } from "../i18n/index.ts";
import { sameDay } from "./timeline.ts";

export function userName(copy: Copy, user: number): string {
  return copy.users.get(user)?.name ?? `#${user}`;
}

/** The other person of a direct room, or oneself in a room alone. */
export function otherOf(copy: Copy, room: RoomCopy): number {
  return room.members.find((member) => member.user !== copy.me)?.user ?? copy.me;
}

export function roomName(copy: Copy, room: RoomCopy): string {
  return room.room_kind === "direct" ? userName(copy, otherOf(copy, room)) : room.name;
}

/** Rooms by their newest activity; rooms with waiting messages count as active now. */
export function roomsByActivity(copy: Copy): RoomCopy[] {
  const at = (room: RoomCopy): number => room.last?.offset ?? room.offset;
  return [...copy.rooms.values()].sort((a, b) => at(b) - at(a));
}

export function dayName(timeMs: number, nowMs: number): string {
  if (sameDay(timeMs, nowMs)) return t("day.today");
  if (sameDay(timeMs, nowMs - 86_400_000)) return t("day.yesterday");
  const year = new Date(timeMs).getFullYear() === new Date(nowMs).getFullYear();
  return new Intl.DateTimeFormat(locale(), {
    weekday: "long",
    day: "numeric",
    month: "long",
    ...(year ? {} : { year: "numeric" }),
  }).format(timeMs);
}

export function clock(timeMs: number): string {
  return new Intl.DateTimeFormat(locale(), { hour: "numeric", minute: "2-digit" }).format(timeMs);
}

/** Short time for the room list: the clock today, else the date. */
export function shortTime(timeMs: number, nowMs: number): string {
  if (sameDay(timeMs, nowMs)) return clock(timeMs);
  if (sameDay(timeMs, nowMs - 86_400_000)) return t("day.yesterday");
  return new Intl.DateTimeFormat(locale(), { day: "numeric", month: "numeric" }).format(timeMs);
}

export interface Piece {
  text: string;
  href: string | null;
}

const LINK = /https?:\/\/[^\s<>"'`\u3000-\u303f\uff00-\uffef]+/gi;
const TRAILING = /[.,;:!?)\]}…]+$/;

/** Cuts a text into plain pieces and web links; nothing else ever becomes a link. */
export function linkify(text: string): Piece[] {
  const pieces: Piece[] = [];
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    const link = bareLink(match[0]);
    if (!link) continue;
    if (match.index > end) pieces.push({ text: text.slice(end, match.index), href: null });
    pieces.push(link);
    end = match.index + link.text.length;
  }
  if (end < text.length) pieces.push({ text: text.slice(end), href: null });
  return pieces;
}

/** Without the sentence's punctuation, but with a bracket that belongs to the address. */
function bareLink(raw: string): Piece | null {
  const balanced = raw.includes("(") && raw.endsWith(")");
  const text = balanced ? raw : raw.replace(TRAILING, "");
  try {
    return { text, href: new URL(text).href };
  } catch {
    return null;
  }
}

/** Bytes of UTF-8, as the server counts. */
export function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** One or two letters for the round picture. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  const latin = words.every((word) => /^[\p{Script=Latin}\d]/u.test(word));
  const letters = words.length > 1 && latin ? [words[0], words.at(-1)] : [words[0]];
  const first = letters.map((word) => [...(word ?? "")][0] ?? "").join("");
  return first.toLocaleUpperCase(locale());
}
