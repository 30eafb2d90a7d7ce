// End-to-end tests in Debian's Chromium against a real linnetd (or the fake box, LINNET_FAKE=1).
import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: "e2e",
  // The gallery only takes pictures: it runs where a folder for them is named.
  testIgnore: process.env["SCREENSHOTS"] ? [] : ["gallery.spec.ts"],
  timeout: 180_000,
  expect: { timeout: 15_000 },
  use: { actionTimeout: 15_000, navigationTimeout: 15_000 },
  workers: 1,
  fullyParallel: false,
  reporter: [["list"]],
  outputDir: process.env["E2E_OUTPUT"] ?? "node_modules/.e2e",
});
