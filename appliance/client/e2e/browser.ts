// Debian's Chromium, once with certificate errors clicked through and once trusting the box's CA.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Browser, type Page } from "@playwright/test";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export interface Person {
  name: string;
  locale: "en-US" | "zh-CN";
  dark?: boolean;
  phone?: boolean;
}

/** A browser program of its own home, so that its certificate store is a throw-away one. */
export class Program {
  private constructor(
    private readonly browser: Browser,
    private readonly home: string,
    readonly strict: boolean,
  ) {}

  static async launch(ca: Buffer | null, errors?: "strict"): Promise<Program> {
    const home = await mkdtemp(join(tmpdir(), "linnet-home-"));
    if (ca !== null) trust(home, ca);
    const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
    if (!existsSync(executablePath)) {
      throw new Error(`no Chromium at ${executablePath}: install the package or set CHROMIUM`);
    }
    const browser = await chromium.launch({
      executablePath,
      args: FLAGS,
      env: { ...process.env, HOME: home } as Record<string, string>,
    });
    return new Program(browser, home, ca !== null || errors === "strict");
  }

  async page(person: Person): Promise<Page> {
    const size = person.phone ? { width: 390, height: 844 } : { width: 1280, height: 800 };
    const context = await this.browser.newContext({
      ignoreHTTPSErrors: !this.strict,
      locale: person.locale,
      viewport: size,
      colorScheme: person.dark ? "dark" : "light",
      timezoneId: "Asia/Shanghai",
      ...(person.phone ? { hasTouch: true, isMobile: true, deviceScaleFactor: 2 } : {}),
    });
    return context.newPage();
  }

  /** What every open page shows, for the report of a failed test. */
  async describe(): Promise<string> {
    const pages = this.browser.contexts().flatMap((context) => context.pages());
    const texts = pages.map(async (page) => {
      const shown = page.locator("body").innerText({ timeout: 2_000 });
      return `--- ${page.url()}\n${await shown.catch(String)}`;
    });
    return (await Promise.all(texts)).join("\n");
  }

  async close(): Promise<void> {
    await this.browser.close();
    await rm(this.home, { recursive: true, force: true });
  }
}

/** Imports the CA as an owner would: as a trusted authority for websites. */
function trust(home: string, ca: Buffer): void {
  const store = join(home, ".pki", "nssdb");
  mkdirSync(store, { recursive: true });
  const file = join(home, "ca.crt");
  writeFileSync(file, ca);
  const run = (...args: string[]): void => {
    execFileSync("certutil", ["-d", `sql:${store}`, ...args], {
      env: { ...process.env, HOME: home },
    });
  };
  run("-N", "--empty-password");
  run("-A", "-t", "C,,", "-n", "linnet", "-i", file);
}

/** Keeps a picture of the page when SCREENSHOTS names a folder. */
export async function shoot(page: Page, name: string): Promise<void> {
  const folder = process.env["SCREENSHOTS"];
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`), animations: "disabled" });
}
