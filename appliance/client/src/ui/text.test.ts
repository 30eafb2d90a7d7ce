import { describe, expect, it } from "vitest";
import { newOutbox, write } from "../core/outbox.ts";
import type { RoomCopy } from "../core/sync.ts";
import type { Message } from "../core/wire.ts";
import { bytesOf, initials, linkify } from "./text.ts";
import { timeline } from "./timeline.ts";

const links = (text: string): (string | null)[] =>
  linkify(text)
    .filter(({ href }) => href !== null)
    .map(({ text: piece }) => piece);

describe("linkify", () => {
  it("keeps every character of the text", () => {
    for (const text of [
      "",
      "a",
      "see https://a.example/x, ok",
      "https://a.example https://b.example",
    ]) {
      expect(
        linkify(text)
          .map((piece) => piece.text)
          .join(""),
      ).toBe(text);
    }
  });

  it("leaves the sentence's punctuation out of the address", () => {
    expect(links("go to https://a.example/x?y=1. Now!")).toEqual(["https://a.example/x?y=1"]);
    expect(links("(https://a.example/x)")).toEqual(["https://a.example/x"]);
    expect(links("https://a.example/b_(c)")).toEqual(["https://a.example/b_(c)"]);
    expect(links("看 https://a.example/x。很好")).toEqual(["https://a.example/x"]);
  });

  it("makes links of web addresses only", () => {
    for (const text of [
      "javascript:alert(1)",
      "data:text/html,x",
      "file:///etc",
      "http://",
      "HTTPS:",
    ]) {
      expect(links(text), text).toEqual([]);
    }
    expect(linkify('https://a.example/"onclick=')[0]?.href).toBe("https://a.example/");
  });
});

describe("words", () => {
  it("takes one or two letters for the picture, whole characters only", () => {
    expect(initials("ada lovelace king")).toBe("AK");
    expect(initials("Class 3b")).toBe("C3");
    expect(initials("小明")).toBe("小");
    expect(initials("Family 一家人")).toBe("F");
    expect(initials("👩‍🚀 x")).toBe("👩");
    expect(initials("  ")).toBe("");
  });

  it("counts bytes as the server does", () => {
    expect(bytesOf("aé小👩")).toBe(1 + 2 + 3 + 4);
  });
});

describe("timeline", () => {
  const MINUTE = 60_000;
  const noon = new Date(2026, 0, 2, 12).getTime();
  const room = { room: 1, history: "all" } as RoomCopy;
  const message = (seq: number, author: number, time_ms: number): Message => ({
    offset: seq,
    room: 1,
    seq,
    author,
    device: 1,
    counter: seq,
    time_ms,
    text: `t${seq}`,
  });
  const kinds = (list: Message[], newFrom = 0): string[] =>
    timeline(room, list, [], newFrom, 1).map((item) => item.kind);

  it("heads every day, and joins what one author says within minutes", () => {
    const list = [
      message(1, 2, noon - 24 * 60 * MINUTE),
      message(2, 2, noon),
      message(3, 2, noon + MINUTE),
      message(4, 2, noon + 10 * MINUTE),
      message(5, 1, noon + 10 * MINUTE),
    ];
    expect(kinds(list)).toEqual([
      "day",
      "message",
      "day",
      "message",
      "message",
      "message",
      "message",
    ]);
    const firsts = timeline(room, list, [], 0, 1).flatMap((one) =>
      one.kind === "message" ? one.first : [],
    );
    expect(firsts).toEqual([true, true, false, true, true]);
  });

  it("draws one line above the first new message of somebody else", () => {
    const list = [
      message(1, 2, noon),
      message(2, 1, noon),
      message(3, 2, noon),
      message(4, 2, noon),
    ];
    expect(kinds(list, 1)).toEqual(["day", "message", "message", "new", "message", "message"]);
  });

  it("says where messages could not be read", () => {
    const items = timeline(room, [message(1, 2, noon), message(4, 2, noon)], [], 0, 1);
    expect(items.find((item) => item.kind === "damaged")).toMatchObject({ count: 2 });
  });

  it("puts waiting messages of this room at the end", () => {
    const box = newOutbox();
    for (const target of [1, 2]) {
      const command = { kind: "send", room: target, text: `to ${target}` } as const;
      write(box, { command, user: 1, epoch: "e", target: null, now_ms: noon });
    }
    const items = timeline(room, [message(1, 1, noon)], box.entries, 0, 1);
    expect(items.at(-1)).toMatchObject({ kind: "pending", text: "to 1", first: false });
    expect(items.filter((item) => item.kind === "pending")).toHaveLength(1);
  });
});
