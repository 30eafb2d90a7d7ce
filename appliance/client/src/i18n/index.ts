// Looks up the catalogue. Placeholders are `{name}`; a `count` picks `.one` or `.other`.
import { en } from "./en.ts";
import { zh } from "./zh.ts";

export type Key = keyof typeof en;
export type Tongue = "en" | "zh";
type Stem<K> = K extends `${infer S}.other` ? S : never;
export type Plural = Stem<Key>;
export type Values = Record<string, string | number>;

export const CATALOGUES: Record<Tongue, Record<Key, string>> = { en, zh };

let tongue: Tongue = "en";

export function setTongue(next: Tongue): void {
  tongue = next;
}

/** Tag for `Intl` and the `lang` attribute. */
export function locale(): string {
  return tongue === "zh" ? "zh-Hans" : "en";
}

/** The best tongue for what the browser prefers. */
export function preferred(languages: readonly string[]): Tongue {
  const known = languages
    .map((language) => language.slice(0, 2).toLowerCase())
    .find((language) => language === "en" || language === "zh");
  return known === "zh" ? "zh" : "en";
}

export function t(key: Key, values: Values = {}): string {
  return CATALOGUES[tongue][key].replace(/\{(\w+)\}/g, (whole, name: string) =>
    Object.hasOwn(values, name) ? String(values[name]) : whole,
  );
}

export function plural(stem: Plural, count: number): string {
  const form = new Intl.PluralRules(locale()).select(count) === "one" ? "one" : "other";
  return t(`${stem}.${form}` as Key, { count });
}
