// What a person does on the screen, by the names a screen reader would say.
import { expect, type Page } from "@playwright/test";
import { CATALOGUES, type Key, type Tongue } from "../src/i18n/index.ts";

/** The catalogue's words in the page's tongue. */
export async function words(
  page: Page,
): Promise<(key: Key, values?: Record<string, string>) => string> {
  const lang = await page.locator("html").getAttribute("lang");
  const tongue: Tongue = lang?.startsWith("zh") ? "zh" : "en";
  return (key, values = {}) =>
    CATALOGUES[tongue][key].replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? "");
}

export async function fillAccount(page: Page, name: string, password: string): Promise<void> {
  const t = await words(page);
  await page.getByLabel(t("field.name"), { exact: true }).fill(name);
  await page.getByLabel(t("field.password"), { exact: true }).fill(password);
}

export async function logIn(
  page: Page,
  url: string,
  name: string,
  password: string,
): Promise<void> {
  await page.goto(url);
  await page.getByRole("button", { name: (await words(page))("login.submit") }).waitFor();
  const t = await words(page);
  await fillAccount(page, name, password);
  await page.getByRole("button", { name: t("login.submit") }).click();
  await expect(page.getByRole("heading", { name: t("rooms.title") })).toBeVisible();
}

export async function addPerson(page: Page, name: string, password: string): Promise<void> {
  const t = await words(page);
  await page.getByRole("button", { name: t("nav.people"), exact: true }).click();
  await page.getByRole("button", { name: t("people.add") }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel(t("field.name"), { exact: true }).fill(name);
  await dialog.getByLabel(t("field.password"), { exact: true }).fill(password);
  await dialog.getByRole("button", { name: t("adduser.submit"), exact: true }).click();
  await expect(dialog).toBeHidden();
  await expect(page.locator("main .people").getByText(name)).toBeVisible();
}

export async function openDirect(page: Page, name: string): Promise<void> {
  const t = await words(page);
  await page.getByRole("button", { name: t("nav.chats"), exact: true }).click();
  await page.getByRole("button", { name: t("rooms.new"), exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name }).click();
  await expect(page.locator(".room-head h1")).toHaveText(name);
}

export async function openRoom(page: Page, name: string): Promise<void> {
  await page.locator(".room-row", { hasText: name }).click();
  await expect(page.locator(".room-head h1")).toContainText(name);
}

export async function say(page: Page, text: string): Promise<void> {
  const box = page.locator(".composer textarea");
  await box.fill(text);
  await box.press("Enter");
  await expect(box).toHaveValue("");
}

/** Every message on screen, top to bottom. */
export function shown(page: Page): Promise<string[]> {
  return page.locator(".messages .message-text").allTextContents();
}

/** Exactly these messages, in this order, none of them waiting or failed. */
export async function expectShown(page: Page, texts: string[]): Promise<void> {
  await expect.poll(() => shown(page), { timeout: 30_000 }).toEqual(texts);
  await expect(page.locator(".message.pending, .message.failed")).toHaveCount(0);
}
