import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decode, encode, type ClientMessage } from "./wire.ts";

const FRAME = '{"kind":"caught_up","request":3,"body":{"cursor":5}}';

describe("wire", () => {
  it("writes commands as the wire document says", () => {
    expect(encode({ kind: "send", counter: 1, room: 2, text: "hi" }, 7)).toBe(
      '{"kind":"send","request":7,"body":{"counter":1,"room":2,"text":"hi"}}',
    );
    expect(encode({ kind: "ping" }, 1)).toBe('{"kind":"ping","request":1,"body":{}}');
  });

  it("reads a frame", () => {
    expect(decode(FRAME)).toEqual({ kind: "caught_up", request: 3, body: { cursor: 5 } });
  });

  it("reads every server message of the golden vectors", () => {
    const texts = golden(0x100, 0x1ff);
    expect(new Set(texts.map(({ name }) => name)).size).toBeGreaterThanOrEqual(17);
    for (const { name, json } of texts) {
      const frame = decode(`{"kind":"${name}","body":${json}}`);
      expect(frame, `${name} ${json}`).toMatchObject({ kind: name, body: JSON.parse(json) });
    }
  });

  it("writes every client message of the golden vectors byte by byte", () => {
    const texts = golden(1, 0xff);
    expect(new Set(texts.map(({ name }) => name)).size).toBeGreaterThanOrEqual(11);
    for (const { name, json } of texts) {
      const message = { kind: name, ...(JSON.parse(json) as object) } as ClientMessage;
      expect(encode(message, 1)).toBe(`{"kind":"${name}","request":1,"body":${json}}`);
    }
  });

  it("skips what it does not know and survives what is malformed", () => {
    const bad = [
      "",
      "null",
      "[]",
      "{}",
      '{"kind":"later","body":{}}',
      '{"kind":"caught_up","body":{}}',
      '{"kind":"caught_up","body":{"cursor":-1}}',
      '{"kind":"caught_up","body":{"cursor":1.5}}',
      '{"kind":"caught_up","body":{"cursor":9007199254740992}}',
      '{"kind":"toString","body":{}}',
      '{"kind":"room","body":{"members":[{"user":"1"}]}}',
    ];
    for (const text of bad) expect(decode(text), text).toBeNull();
    fc.assert(fc.property(fc.json(), (text) => decode(text) === null));
  });
});

interface Vector {
  name: string;
  kind: number;
  json: string;
}

/** The vectors that the server's own tests decode, of kinds `from..=to`. */
function golden(from: number, to: number): Vector[] {
  const file = new URL("../../../../tests/data/wire/v1.json", import.meta.url);
  const all = JSON.parse(readFileSync(file, "utf8")) as Vector[];
  return all.filter(({ kind }) => from <= kind && kind <= to);
}
