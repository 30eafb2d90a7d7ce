import { describe, expect, it } from "vitest";
import { CATALOGUES, plural, preferred, setTongue, t, type Key } from "./index.ts";

const { en, zh } = CATALOGUES;
const keys = Object.keys(en) as Key[];
const placeholders = (text: string): string[] => [...text.matchAll(/\{\w+\}/g)].map(String).sort();

describe("catalogue", () => {
  it("has every sentence in every language", () => {
    expect(Object.keys(zh)).toEqual(keys);
    for (const key of keys) expect(zh[key].trim(), key).not.toBe("");
  });

  it("uses the same placeholders in every language", () => {
    for (const key of keys) expect(placeholders(zh[key]), key).toEqual(placeholders(en[key]));
  });

  it("is translated, not copied", () => {
    const same = keys.filter((key) => en[key] === zh[key]);
    expect(same).toEqual(["app.name", "settings.version"]);
  });

  it("fills in values as they are, also when they look like placeholders", () => {
    setTongue("en");
    expect(t("rooms.by", { name: "{text}", text: "$& hi" })).toBe("{text}: $& hi");
    expect(plural("room.members", 1)).toBe("1 member");
    expect(plural("room.members", 2)).toBe("2 members");
    setTongue("zh");
    expect(plural("room.members", 1)).toBe("1 位成员");
    setTongue("en");
  });

  it("picks the first language it knows", () => {
    expect(preferred(["fr-FR", "zh-TW", "en"])).toBe("zh");
    expect(preferred(["de"])).toBe("en");
    expect(preferred([])).toBe("en");
  });
});
