// What a conversation shows, as a flat list: day headings, the "new" line, holes and messages.
// Pure; the screen only draws it.
import { GROUP_WITHIN_MS } from "../core/limits.ts";
import type { Entry } from "../core/outbox.ts";
import type { RoomCopy } from "../core/sync.ts";
import type { Message } from "../core/wire.ts";

export type Item =
  | { kind: "day"; key: string; time_ms: number }
  | { kind: "new"; key: string }
  | { kind: "damaged"; key: string; count: number }
  | { kind: "message"; key: string; message: Message; first: boolean; last: boolean }
  | { kind: "pending"; key: string; entry: Entry; text: string; first: boolean; last: boolean };

type Spoken = Item & { kind: "message" | "pending" };

export function timeline(
  room: RoomCopy,
  messages: readonly Message[],
  entries: readonly Entry[],
  newFrom: number,
  me: number,
): Item[] {
  const items: Item[] = [];
  let previous: Message | null = null;
  let lineDrawn = false;
  for (const message of messages) {
    if (!previous || !sameDay(previous.time_ms, message.time_ms)) {
      items.push({ kind: "day", key: `d${message.seq}`, time_ms: message.time_ms });
    }
    const missing = previous && room.history === "all" ? message.seq - previous.seq - 1 : 0;
    if (missing > 0) items.push({ kind: "damaged", key: `x${message.seq}`, count: missing });
    if (!lineDrawn && newFrom > 0 && message.seq > newFrom && message.author !== me) {
      items.push({ kind: "new", key: "new" });
      lineDrawn = true;
    }
    items.push({ kind: "message", key: keyOf(message), message, first: true, last: true });
    previous = message;
  }
  for (const entry of entries) {
    if (entry.command.kind !== "send" || entry.command.room !== room.room) continue;
    const { text } = entry.command;
    items.push({ kind: "pending", key: `o${entry.id}`, entry, text, first: true, last: true });
  }
  joinNeighbours(items, me);
  return items;
}

function keyOf(message: Message): string {
  return `m${message.seq}`;
}

/** Neighbours of one author within minutes look like one block. */
function joinNeighbours(items: Item[], me: number): void {
  for (let at = 1; at < items.length; at += 1) {
    const [above, below] = [items[at - 1] as Item, items[at] as Item];
    if (!isSpoken(above) || !isSpoken(below)) continue;
    const close = timeOf(below) - timeOf(above) < GROUP_WITHIN_MS;
    if (!close || authorOf(above, me) !== authorOf(below, me)) continue;
    above.last = false;
    below.first = false;
  }
}

function isSpoken(item: Item): item is Spoken {
  return item.kind === "message" || item.kind === "pending";
}

function timeOf(item: Spoken): number {
  return item.kind === "message" ? item.message.time_ms : item.entry.written_ms;
}

function authorOf(item: Spoken, me: number): number {
  return item.kind === "message" ? item.message.author : me;
}

export function sameDay(a: number, b: number): boolean {
  return new Date(a).toDateString() === new Date(b).toDateString();
}
