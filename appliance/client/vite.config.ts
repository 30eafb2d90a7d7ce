// Build of the web client: static files that linnetd embeds and serves under a strict CSP.
import { readFileSync } from "node:fs";
import { defineConfig } from "vitest/config";

const backend = process.env["LINNET_BACKEND"] ?? "https://127.0.0.1:8443";

const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  define: { __APP_VERSION__: JSON.stringify(version) },
  build: {
    target: "es2022",
    // The CSP forbids inline content, and every browser in range knows module preload.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      "/api": { target: backend, secure: false },
      "/ca.crt": { target: backend, secure: false },
      "/ws": { target: backend, secure: false, ws: true },
    },
  },
  test: { include: ["src/**/*.test.ts", "tests/**/*.test.ts"] },
});
