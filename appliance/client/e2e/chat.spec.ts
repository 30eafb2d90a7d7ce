// A family's first evening with the box, on a browser that trusts it and on one that does not.
import { X509Certificate } from "node:crypto";
import AxeBuilder from "@axe-core/playwright";
import { expect, test, type Page } from "@playwright/test";
import { FAKE, startBox, type Box } from "./box.ts";
import { Program, shoot } from "./browser.ts";
import {
  addPerson,
  expectShown,
  fillAccount,
  logIn,
  openDirect,
  openRoom,
  say,
  shown,
  words,
} from "./steps.ts";

const PASSWORD = "a calm little bird";

for (const trusted of FAKE ? [false] : [false, true]) {
  test.describe.serial(trusted ? "trusted" : "untrusted", () => {
    let box: Box;
    let program: Program;
    let ada: Page;
    let ming: Page;
    const said: string[] = [];

    test.beforeAll(async () => {
      box = await startBox();
      program = await Program.launch(trusted ? await certificate(box) : null);
    });
    // The first argument must be a pattern, even an empty one: Playwright reads its names.
    test.afterEach(async ({}, info) => {
      if (info.status !== info.expectedStatus) console.log(await program.describe());
    });
    test.afterAll(async () => {
      await program?.close();
      await box?.stop();
    });

    test("the claim link makes an owner and leaves the address bar at once", async () => {
      ada = await program.page({ name: "Ada", locale: "en-US" });
      const faults = collectFaults(ada);
      await ada.goto(box.claimLink);
      await expect(ada.getByRole("heading", { name: "Make this box yours" })).toBeVisible();
      expect(ada.url()).toBe(`${box.url}/`);
      expect(await ada.evaluate(() => isSecureContext && "subtle" in crypto)).toBe(true);
      await expect(ada.locator(".words li")).toHaveCount(8);
      await shoot(ada, "claim-en-light-desktop");
      await expectAccessible(ada);
      await fillAccount(ada, "Ada", "short");
      await ada.getByRole("button", { name: "Become the owner" }).click();
      await expect(ada.getByText("needs at least 8 characters")).toBeVisible();
      await fillAccount(ada, "Ada", PASSWORD);
      await ada.getByRole("button", { name: "Become the owner" }).click();
      await expect(ada.getByRole("heading", { name: "Chats" })).toBeVisible();
      await expect(ada.getByText("No chats yet")).toBeVisible();
      await shoot(ada, "empty-en-light-desktop");
      expect(faults).toEqual([]);
    });

    if (trusted) {
      test("without the box's certificate an unforgiving browser refuses it", async () => {
        const stranger = await Program.launch(null, "strict");
        const page = await stranger.page({ name: "", locale: "en-US" });
        await expect(page.goto(box.url)).rejects.toThrow(/ERR_CERT_AUTHORITY_INVALID/);
        await stranger.close();
      });
    }

    test("the owner adds people, who sign in in their own language", async () => {
      await addPerson(ada, "小明", PASSWORD);
      await addPerson(ada, "Grace", PASSWORD);
      await shoot(ada, "people-en-light-desktop");
      await expectAccessible(ada);
      ming = await program.page({ name: "小明", locale: "zh-CN", dark: true });
      await ming.goto(box.url);
      await expect(ming.getByRole("heading", { name: "欢迎回来" })).toBeVisible();
      await fillAccount(ming, "小明", "not the password");
      await ming.getByRole("button", { name: "登录" }).click();
      await expect(ming.getByText("用户名或密码不正确。")).toBeVisible();
      await shoot(ming, "login-zh-dark-desktop");
      await expectAccessible(ming);
      await logIn(ming, box.url, "小明", PASSWORD);
    });

    test("two browsers chat, and the sender sees what is safe and what was read", async () => {
      await openDirect(ada, "小明");
      await say(ada, "Hello! The box is up and running.");
      await expect(ada.locator(".message .state.check, .message .state.checks")).toHaveCount(1);
      await expect(ming.locator(".room-row .badge")).toHaveText(/1/);
      await ming.bringToFront();
      await openRoom(ming, "Ada");
      await expect(ada.locator(".message .state.checks")).toHaveCount(1);
      await expect(ming.locator(".room-row .badge")).toHaveCount(0);
      await say(ming, "你好！我这边一切正常。");
      await say(ming, "<b>bold?</b> https://example.org/a?b=1, see");
      said.push(
        "Hello! The box is up and running.",
        "你好！我这边一切正常。",
        "<b>bold?</b> https://example.org/a?b=1, see",
      );
      await expectShown(ada, said);
      await expectShown(ming, said);
      const link = ada.locator(".message-text a");
      await expect(link).toHaveAttribute("href", "https://example.org/a?b=1");
      await expect(link).toHaveAttribute("rel", /noopener/);
    });

    test("Shift+Enter starts a line and Enter that ends a composition does not send", async () => {
      const area = ada.locator(".composer textarea");
      await area.fill("one");
      await area.press("Shift+Enter");
      await area.pressSequentially("two");
      await expect(area).toHaveValue("one\ntwo");
      await area.evaluate((node) => {
        node.dispatchEvent(
          new KeyboardEvent("keydown", {
            key: "Enter",
            isComposing: true,
            bubbles: true,
            cancelable: true,
          }),
        );
      });
      await expect(area).toHaveValue("one\ntwo");
      await area.press("Enter");
      said.push("one\ntwo");
      await expectShown(ming, said);
    });

    test("what is written while the box is down arrives once and in order", async () => {
      await box.kill();
      await expect(ada.getByText("No connection to the box", { exact: false })).toBeVisible();
      for (const text of ["down 1", "down 2", "down 3"]) await say(ada, text);
      await say(ming, "离线消息");
      await expect(ada.locator(".message.pending")).toHaveCount(3);
      await shoot(ada, "offline-en-light-desktop");
      await expectAccessible(ada);
      await shoot(ming, "offline-zh-dark-desktop");
      await expectAccessible(ming);
      const context = ming.context();
      await ming.close();
      await box.restart();
      ming = await context.newPage();
      await ming.goto(box.url);
      await openRoom(ming, "Ada");
      await expect
        .poll(() => sorted(ada), { timeout: 40_000 })
        .toEqual([...said, "down 1", "down 2", "down 3", "离线消息"].sort());
      const now = await shown(ada);
      expect(now.filter((text) => text.startsWith("down"))).toEqual(["down 1", "down 2", "down 3"]);
      said.splice(0, said.length, ...now);
      await expectShown(ada, said);
      await expectShown(ming, said);
      await expect(ada.getByText("No connection to the box", { exact: false })).toBeHidden();
    });

    test("kills in the middle of a stream of messages lose and double nothing", async () => {
      for (let round = 0; round < 3; round += 1) {
        for (let n = 0; n < 12; n += 1) {
          await say(ada, `round ${round} message ${n}`);
          said.push(`round ${round} message ${n}`);
          if (n === 5) await box.kill();
        }
        await box.restart();
        await expectShown(ada, said);
        await expectShown(ming, said);
      }
      await ada.reload();
      await expectShown(ada, said);
    });

    test("a new device pages the history to its beginning", async () => {
      await openRoom(ada, "小明");
      const grown = Array.from({ length: 120 }, (_, n) => `page me ${n}`);
      for (const text of grown) await say(ada, text);
      said.push(...grown);
      await expectShown(ming, said);
      const phone = await program.page({ name: "小明", locale: "zh-CN", phone: true });
      await logIn(phone, box.url, "小明", PASSWORD);
      await shoot(phone, "rooms-zh-light-phone");
      await openRoom(phone, "Ada");
      await expect(phone.locator(".message-text").last()).toHaveText("page me 119");
      expect((await shown(phone)).length).toBeLessThan(said.length);
      await expect
        .poll(
          async () => {
            await phone.locator(".log").evaluate((log) => void (log.scrollTop = 0));
            return (await shown(phone)).length;
          },
          { timeout: 30_000 },
        )
        .toBe(said.length);
      await expectShown(phone, said);
      await phone.context().close();
    });

    test("a group room with three people, a leave, and what a late member sees", async () => {
      const t = await words(ada);
      await ada.getByRole("button", { name: t("rooms.newgroup") }).click();
      const dialog = ada.getByRole("dialog");
      await dialog.getByLabel(t("newgroup.name")).fill("Kitchen 厨房");
      await dialog.getByText("小明").click();
      await shoot(ada, "newgroup-en-light-desktop");
      await expectAccessible(ada);
      await dialog.getByRole("button", { name: t("newgroup.submit") }).click();
      await expect(ada.locator(".room-head h1")).toHaveText("Kitchen 厨房");
      await say(ada, "Dinner at seven?");
      await openRoom(ming, "Kitchen");
      await say(ming, "好的，我带水果。");
      await ada.getByRole("button", { name: t("room.menu.members"), exact: true }).click();
      await ada.getByRole("dialog").getByRole("button", { name: "Grace" }).click();
      await expect(ada.getByText("3 members")).toBeVisible();
      await ada.keyboard.press("Escape");
      await expect(ada.getByRole("dialog")).toBeHidden();
      const grace = await program.page({ name: "Grace", locale: "en-US", dark: true });
      await logIn(grace, box.url, "Grace", PASSWORD);
      await openRoom(grace, "Kitchen");
      await expectShown(grace, ["Dinner at seven?", "好的，我带水果。"]);
      await say(grace, "I'll be there!");
      await expectShown(ada, ["Dinner at seven?", "好的，我带水果。", "I'll be there!"]);
      await shoot(ada, "group-en-light-desktop");
      await expectAccessible(ada);
      await shoot(ming, "group-zh-dark-desktop");
      await expectAccessible(ming);
      await shoot(grace, "group-en-dark-desktop");
      await grace.getByRole("button", { name: "Leave", exact: true }).click();
      await grace.getByRole("button", { name: "Leave the group" }).click();
      await expect(grace.locator(".room-row")).toHaveCount(0);
      await expect(ada.getByText("2 members")).toBeVisible();
      await grace.context().close();
    });

    test("the keyboard alone walks the rooms and leaves a conversation", async () => {
      await ada.keyboard.press("Escape");
      await expect(ada.locator(".room-head")).toHaveCount(0);
      await ada.locator(".room-row").first().focus();
      await ada.keyboard.press("ArrowDown");
      await ada.keyboard.press("Enter");
      await expect(ada.locator(".room-head h1")).toHaveText("小明");
      await expect(ada.locator(".composer textarea")).toBeFocused();
    });

    test("only one tab writes, and a person can move to the other", async () => {
      const second = await ada.context().newPage();
      await second.goto(box.url);
      await expect(second.getByText("open in another tab", { exact: false })).toBeVisible();
      await shoot(second, "elsewhere-en-light-desktop");
      await second.getByRole("button", { name: "Use Linnet here" }).click();
      await openRoom(second, "小明");
      await expect(ada.getByText("open in another tab", { exact: false })).toBeVisible();
      await say(second, "from the second tab");
      said.push("from the second tab");
      await openRoom(ming, "Ada");
      await expectShown(ming, said);
      await second.close();
      await expect(ada.getByRole("heading", { name: "Chats" })).toBeVisible();
      await expectShown(ada, said);
    });

    test("a device that was signed out keeps its unsent messages", async () => {
      const token = await tokenOf(ming);
      await box.kill();
      await openRoom(ming, "Ada");
      await say(ming, "未发送，但没有丢失");
      await expect(ming.locator(".message.pending")).toHaveCount(1);
      const context = ming.context();
      await ming.close();
      await box.restart();
      expect(await ada.evaluate(revoke, token)).toBe(true);
      ming = await context.newPage();
      await ming.goto(box.url);
      await expect(ming.getByText("未发送的消息仍然保留", { exact: false })).toBeVisible();
      await fillAccount(ming, "小明", PASSWORD);
      await ming.getByRole("button", { name: "登录" }).click();
      said.push("未发送，但没有丢失");
      await openRoom(ming, "Ada");
      await expectShown(ming, said);
      await expectShown(ada, said);
    });

    test("settings change language and appearance; signing out forgets all", async () => {
      await ming.getByRole("button", { name: "设置", exact: true }).click();
      await shoot(ming, "settings-zh-dark-desktop");
      await expectAccessible(ming);
      await ming.getByRole("radio", { name: "English" }).check();
      await expect(ming.getByRole("heading", { name: "Settings" })).toBeVisible();
      await ming.getByRole("radio", { name: "Light" }).check();
      await expect(ming.locator("html")).toHaveAttribute("data-theme", "light");
      await ming.getByRole("button", { name: "What trust brings" }).click();
      await expect(ming.locator(".words li")).toHaveCount(8);
      await shoot(ming, "trust-en-light-desktop");
      await expectAccessible(ming);
      await ming.getByRole("button", { name: "Settings", exact: true }).click();
      const second = await ming.context().newPage();
      await second.goto(box.url);
      await expect(second.getByText("open in another tab", { exact: false })).toBeVisible();
      await ming.bringToFront();
      await ming.getByRole("button", { name: "Sign out" }).click();
      await expect(ming.getByRole("heading", { name: "Welcome back" })).toBeVisible();
      await expect(second.getByRole("heading", { name: "Welcome back" })).toBeVisible();
      await second.close();
      const left = await ming.evaluate(async () => (await indexedDB.databases()).length);
      expect(left).toBeLessThanOrEqual(1);
      expect(await ming.evaluate(() => JSON.stringify(localStorage))).not.toMatch(/[0-9a-f]{64}/);
    });

    test("a phone shows one column at a time", async () => {
      const phone = await program.page({ name: "Ada", locale: "en-US", phone: true, dark: true });
      await logIn(phone, box.url, "Ada", PASSWORD);
      await expect(phone.locator(".conversation")).toBeHidden();
      await shoot(phone, "rooms-en-dark-phone");
      await expectAccessible(phone);
      await openRoom(phone, "Kitchen");
      await expect(phone.locator(".sidebar")).toBeHidden();
      await shoot(phone, "group-en-dark-phone");
      await expectAccessible(phone);
      const wide = await phone.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(wide).toBeLessThanOrEqual(0);
      await phone.getByRole("button", { name: "Back to chats" }).click();
      await expect(phone.locator(".sidebar")).toBeVisible();
      await phone.context().close();
    });
  });
}

/** The box's own certificate, fetched as the trust page offers it. */
async function certificate(box: Box): Promise<Buffer> {
  const before = await Program.launch(null);
  const page = await before.page({ name: "", locale: "en-US" });
  const answer = await page.context().request.get(`${box.url}/ca.crt`);
  const bytes = await answer.body();
  await before.close();
  expect(new X509Certificate(bytes).ca).toBe(true);
  return bytes;
}

/** Script errors and what the content security policy refused. */
function collectFaults(page: Page): string[] {
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    if (/Content Security Policy/i.test(message.text())) faults.push(message.text());
  });
  return faults;
}

/** No finding of the accessibility checker, contrast included. */
async function expectAccessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`,
  );
  expect(found).toEqual([]);
}

/** In a page: as the owner's device list will do, a device's token stops working. */
async function revoke(token: string): Promise<boolean> {
  const headers = { Authorization: `Bearer ${token}` };
  return (await fetch("/api/logout", { method: "POST", headers })).ok;
}

/** The device's secret, as only this page's own origin can read it. */
function tokenOf(page: Page): Promise<string> {
  return page.evaluate(async () => {
    const [database] = await indexedDB.databases();
    const db = await new Promise<IDBDatabase>((done) => {
      const open = indexedDB.open(database?.name ?? "");
      open.onsuccess = () => done(open.result);
    });
    const account = await new Promise<{ token: string }>((done) => {
      const get = db.transaction("account").objectStore("account").get("account");
      get.onsuccess = () => done(get.result as { token: string });
    });
    db.close();
    return account.token;
  });
}

async function sorted(page: Page): Promise<string[]> {
  return (await shown(page)).sort();
}
