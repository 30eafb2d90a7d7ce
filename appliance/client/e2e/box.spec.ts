// The page of the box itself. The server under test has no system of a card below, so what init
// would report is answered here; REST and init have their own tests.
import AxeBuilder from "@axe-core/playwright";
import { expect, test, type Page, type Route } from "@playwright/test";
import { startBox, type Box } from "./box.ts";
import { Program, shoot } from "./browser.ts";
import { fillAccount, words } from "./steps.ts";

const PASSWORD = "a calm little bird";
const REPORT = {
  host_name: "linnet-2",
  interface: "eth0",
  addresses: ["192.168.1.20", "fe80::ba27:ebff:fe12:3456"],
  uptime_ms: 90_000,
  starts: 1,
  board: "Raspberry Pi 4 Model B Rev 1.4",
  kernel: "6.12.117",
  release: "0.1.0",
  slot: "A",
  clock: { set: false, time_ms: 1_790_000_000_000, source: null },
  notes: ["The power supply is too weak: use one with 5.1 V and 3 A."],
};

test.describe.serial("the box itself", () => {
  let box: Box;
  let program: Program;
  let ada: Page;
  const sent: { path: string; body: unknown }[] = [];

  test.beforeAll(async () => {
    box = await startBox();
    program = await Program.launch(null);
    ada = await program.page({ name: "Ada", locale: "en-US" });
    await ada.goto(box.claimLink);
    await fillAccount(ada, "Ada", PASSWORD);
    await ada.getByRole("button", { name: "Become the owner" }).click();
    await expect(ada.getByRole("heading", { name: "Chats" })).toBeVisible();
  });
  test.afterAll(async () => {
    await program?.close();
    await box?.stop();
  });

  test("a server without a card's system says so", async () => {
    await ada.getByRole("button", { name: "Settings", exact: true }).click();
    await ada.getByRole("button", { name: "Clock, network, restart, factory reset" }).click();
    await expect(ada.getByText("does not run on a Linnet card")).toBeVisible();
  });

  test("what needs the owner comes first; an unset clock takes this device's time", async () => {
    await ada.route("**/api/box**", (route) => answer(route, sent));
    await ada.reload();
    await expect(ada.getByText("linnet-2.local")).toBeVisible();
    await expect(ada.getByText("power supply is too weak")).toBeVisible();
    await shoot(ada, "box-en-light-desktop");
    const found = await new AxeBuilder({ page: ada }).analyze();
    expect(found.violations.map(({ id, nodes }) => [id, nodes[0]?.html])).toEqual([]);
    await ada.getByRole("button", { name: "Take the time of this device" }).click();
    await expect.poll(() => sent.map(({ path }) => path)).toEqual(["/api/box/time"]);
    const { time_ms } = sent[0]?.body as { time_ms: number };
    expect(Math.abs(time_ms - Date.now())).toBeLessThan(60_000);
  });

  test("a refused setting is explained beside its field", async () => {
    sent.length = 0;
    await ada.getByLabel("Name", { exact: true }).fill("Attic 7");
    await ada.getByRole("button", { name: "Save" }).first().click();
    await expect(ada.getByText("that is no host name")).toBeVisible();
    await ada.getByLabel("Network name").fill("home");
    await ada.getByLabel("Passphrase").fill("correct horse");
    await ada.getByRole("button", { name: "Save" }).nth(1).click();
    await expect(ada.getByText("Stored.")).toBeVisible();
    const wifi = { ssid: "home", passphrase: "correct horse", country: null };
    expect(sent.at(-1)).toEqual({ path: "/api/box/settings", body: { wifi } });
  });

  test("a factory reset asks for the password and closes after it", async () => {
    sent.length = 0;
    await ada.getByRole("button", { name: "Factory reset" }).click();
    const dialog = ada.getByRole("dialog");
    await dialog.getByLabel("Password", { exact: true }).fill("wrong");
    await dialog.getByRole("button", { name: "Erase everything" }).click();
    await expect(dialog.getByText("Name or password is wrong.")).toBeVisible();
    await dialog.getByLabel("Password", { exact: true }).fill(PASSWORD);
    await shoot(ada, "reset-en-light-desktop");
    await dialog.getByRole("button", { name: "Erase everything" }).click();
    await expect(dialog).toBeHidden();
    await expect(ada.getByText("The box erases everything")).toBeVisible();
  });

  test("on a phone, in Chinese and in the dark, nothing is cut off", async () => {
    const page = await program.page({ name: "Ada", locale: "zh-CN", dark: true, phone: true });
    await page.route("**/api/box**", (route) => answer(route, sent));
    await page.goto(box.url);
    await page.locator("button[type=submit]").waitFor();
    await fillAccount(page, "Ada", PASSWORD);
    await page.locator("button[type=submit]").click();
    const t = await words(page);
    await expect(page.getByRole("heading", { name: t("rooms.title") })).toBeVisible();
    await page.goto(`${box.url}/#/box`);
    await expect(page.getByText("linnet-2.local")).toBeVisible();
    await shoot(page, "box-zh-dark-phone");
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    expect(wide).toBe(false);
  });
});

async function answer(route: Route, sent: { path: string; body: unknown }[]): Promise<void> {
  const request = route.request();
  const path = new URL(request.url()).pathname;
  if (request.method() === "GET") return route.fulfill({ json: REPORT });
  const body = request.postDataJSON() as Record<string, unknown>;
  sent.push({ path, body });
  const refused = refusal(path, body);
  return route.fulfill({ status: refused ? 403 : 200, json: refused ?? {} });
}

function refusal(path: string, body: Record<string, unknown>): object | null {
  if (path.endsWith("factory-reset") && body["password"] !== PASSWORD) {
    return { reason: "wrong_password", field: "password", text: "name or password is wrong" };
  }
  if (body["host_name"] === "attic 7") {
    return { reason: "refused", field: "host_name", text: "that is no host name" };
  }
  return null;
}
