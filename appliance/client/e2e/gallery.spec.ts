// Pictures of every main state in both languages, light and dark, on a desktop and on a phone.
// Taken only when SCREENSHOTS names a folder; somebody looks at them.
import { expect, test, type Page } from "@playwright/test";
import { startBox, type Box } from "./box.ts";
import { Program, shoot, type Person } from "./browser.ts";
import { addPerson, fillAccount, logIn, openDirect, openRoom, say, words } from "./steps.ts";

const PASSWORD = "a calm little bird";
const LOOKS: (Person & { tag: string })[] = (["en-US", "zh-CN"] as const).flatMap((locale) =>
  [false, true].flatMap((dark) =>
    [false, true].map((phone) => ({
      ...{ name: "Ada", locale, dark, phone },
      tag: `${locale.slice(0, 2)}-${dark ? "dark" : "light"}-${phone ? "phone" : "desktop"}`,
    })),
  ),
);

test("gallery", async () => {
  test.setTimeout(300_000);
  const box = await startBox();
  const program = await Program.launch(null);
  try {
    for (const look of LOOKS) await shootClaim(await program.page(look), box, look.tag);
    await furnish(program, box);
    for (const look of LOOKS) await shootRooms(await program.page(look), box, look.tag);
  } finally {
    await program.close();
    await box.stop();
  }
});

async function shootClaim(page: Page, box: Box, tag: string): Promise<void> {
  await page.goto(box.claimLink);
  await expect(page.locator(".words li")).toHaveCount(8);
  await shoot(page, `claim-${tag}`);
  await page.context().close();
}

/** A box that has been lived with. */
async function furnish(program: Program, box: Box): Promise<void> {
  const ada = await program.page({ name: "Ada", locale: "en-US" });
  await ada.goto(box.claimLink);
  await fillAccount(ada, "Ada", PASSWORD);
  await ada.getByRole("button", { name: (await words(ada))("claim.submit") }).click();
  for (const name of ["Grace", "小明", "Mum", "奶奶", "Linus", "Marie"]) {
    await addPerson(ada, name, PASSWORD);
  }
  await group(ada, "Family 一家人", ["小明", "Mum", "奶奶"]);
  await say(ada, "Good morning everyone! The new box is on the shelf next to the router.");
  const ming = await program.page({ name: "小明", locale: "zh-CN" });
  await logIn(ming, box.url, "小明", PASSWORD);
  await openRoom(ming, "Family");
  await say(ming, "早上好！我在学校，午饭后回来。");
  await say(ming, "晚上一起包饺子吗？🥟");
  await say(ada, "Yes! I'll buy flour, cabbage and chives on the way home.");
  await say(ada, "This is how grandma does it: https://example.org/dumplings?fold=18");
  const mum = await program.page({ name: "Mum", locale: "en-US" });
  await logIn(mum, box.url, "Mum", PASSWORD);
  await openRoom(mum, "Family");
  await say(mum, "Lovely. Please be home by six, it takes a while to fold eighty of them.");
  await openDirect(mum, "Ada");
  await say(mum, "Can you bring the big pot from the cellar?");
  await group(ada, "Class 3b", ["Grace", "Linus", "Marie"]);
  await say(ada, "Tomorrow we meet at the museum, not at school.");
  for (const name of ["Grace", "Linus", "Marie"]) {
    await openDirect(ada, name);
    await say(ada, `Hi ${name}, welcome to Linnet!`);
  }
  for (const page of [ada, ming, mum]) {
    await expect(page.locator(".message.pending")).toHaveCount(0);
    await page.context().close();
  }
}

async function group(page: Page, name: string, people: string[]): Promise<void> {
  const t = await words(page);
  await page.getByRole("button", { name: t("nav.chats"), exact: true }).click();
  await page.getByRole("button", { name: t("rooms.newgroup") }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel(t("newgroup.name")).fill(name);
  for (const person of people) await dialog.getByText(person, { exact: true }).click();
  await dialog.getByRole("button", { name: t("newgroup.submit") }).click();
  await expect(page.locator(".room-head h1")).toHaveText(name);
}

async function shootRooms(page: Page, box: Box, tag: string): Promise<void> {
  await page.goto(box.url);
  const submit = page.locator("button[type=submit]");
  await submit.waitFor();
  const t = await words(page);
  await shoot(page, `login-${tag}`);
  await logIn(page, box.url, "Ada", PASSWORD);
  await expect(page.locator(".room-row")).toHaveCount(6);
  await shoot(page, `rooms-${tag}`);
  await openRoom(page, "Family");
  await expect(page.locator(".message")).toHaveCount(6);
  await shoot(page, `group-${tag}`);
  await page.getByRole("button", { name: t("room.menu.members"), exact: true }).click();
  await expect(page.getByRole("dialog")).toBeVisible();
  await shoot(page, `members-${tag}`);
  await page.keyboard.press("Escape");
  for (const view of ["people", "settings", "trust"] as const) {
    await page.goto(`${box.url}/#/${view}`);
    await expect(page.locator(".pane-head h1")).toHaveText(t(`${view}.title`));
    if (view === "trust") await expect(page.locator(".words li")).toHaveCount(8);
    await shoot(page, `${view}-${tag}`);
  }
  await page.context().close();
}
