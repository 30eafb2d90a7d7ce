// Invariants of the client's sources, written as absences.
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, it } from "vitest";
import { en } from "../src/i18n/en.ts";

const LINES_MAX = 600;
const COLUMNS_MAX = 100;
const ROOT = join(import.meta.dirname, "..");

function files(folder: string, endings: RegExp): { name: string; text: string }[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && endings.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ name: relative(ROOT, path), text: readFileSync(path, "utf8") }));
}

function offences(list: { name: string; text: string }[], pattern: RegExp): string[] {
  return list.flatMap(({ name, text }) =>
    text
      .split("\n")
      .flatMap((line, at) => (pattern.test(line) ? [`${name}:${at + 1}: ${line.trim()}`] : [])),
  );
}

const sources = files("src", /\.(ts|tsx|css)$/);
const shipped = sources.filter(({ name }) => !name.endsWith(".test.ts"));
const core = shipped.filter(({ name }) => name.startsWith("src/core/"));
const screens = shipped.filter(({ name }) => name.endsWith(".tsx"));

describe("tidy", () => {
  it("finds the sources", () => {
    expect(core.length).toBeGreaterThan(4);
    expect(screens.length).toBeGreaterThan(8);
  });

  it("no file is longer or wider than a person reads", () => {
    for (const { name, text } of sources) {
      expect(text.split("\n").length, name).toBeLessThanOrEqual(LINES_MAX);
    }
    const wide = new RegExp(`^.{${COLUMNS_MAX + 1},}$`);
    const code = sources.filter(({ name }) => !/^src\/i18n\/(en|zh)\.ts$/.test(name));
    expect(offences(code, wide)).toEqual([]);
  });

  it("the core has no clock, randomness, network, storage or screen", () => {
    const names =
      "Date.now Math.random fetch WebSocket indexedDB localStorage document window setTimeout " +
      "navigator crypto";
    const impure = new RegExp(`\\b(${names.replaceAll(".", "\\.").replaceAll(" ", "|")})\\b`);
    const comment = /: (\/\/|\/?\*)/;
    expect(offences(core, impure).filter((line) => !comment.test(line))).toEqual([]);
    expect(offences(core, /from "\.\.\/(ui|shell|store|app|engine)/)).toEqual([]);
  });

  it("no text ever becomes markup", () => {
    expect(
      offences(shipped, /innerHTML|dangerouslySet|insertAdjacentHTML|document\.write|\beval\(/),
    ).toEqual([]);
  });

  it("every sentence on screen comes from the catalogue", () => {
    const bare = />[^<>{}=]*[A-Za-z\u4e00-\u9fff]{2,}[^<>{}=]*<\//;
    const attribute = /\b(aria-label|title|placeholder|label)="[^"]*[A-Za-z]{2}/;
    expect(offences(screens, bare)).toEqual([]);
    expect(offences(screens, attribute)).toEqual([]);
  });

  it("every sentence of the catalogue is used", () => {
    const code = shipped.filter(({ name }) => !name.startsWith("src/i18n/"));
    const all = code.map(({ text }) => text).join("\n");
    const stems = ["role.", "reason.", "settings.theme.", "newgroup.history."];
    const unused = Object.keys(en).filter((key) => {
      const plain = key.replace(/\.(one|other)$/, "");
      return !all.includes(`"${plain}"`) && !stems.some((stem) => key.startsWith(stem));
    });
    expect(unused).toEqual([]);
  });

  it("colours stand in one file", () => {
    const styles = shipped.filter(
      ({ name }) => name.endsWith(".css") && !name.endsWith("tokens.css"),
    );
    expect(offences(styles, /#[0-9a-f]{3,8}\b|\brgb|\bhsl/i)).toEqual([]);
    expect(offences(screens, /style=|#[0-9a-f]{6}\b/i)).toEqual([]);
  });

  it("components keep no state of their own", () => {
    expect(offences(screens, /\buseState\b|\buseReducer\b|setState\(/)).toEqual([]);
  });

  it("the page needs nothing inline and nothing from elsewhere", () => {
    const page = readFileSync(join(ROOT, "index.html"), "utf8");
    expect(page).not.toMatch(/<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|https?:/);
  });

  it("the lockfile names no registry host", () => {
    expect(readFileSync(join(ROOT, "package-lock.json"), "utf8")).not.toMatch(/"resolved"/);
  });
});
