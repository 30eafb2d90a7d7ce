// The box under test: a real linnetd on loopback, or the fake one with LINNET_FAKE=1.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { FakeBox } from "../tests/fake/box.ts";
import { FakeServer, TOKEN } from "../tests/fake/server.ts";

const START_WITHIN_MS = 30_000;

export interface Box {
  url: string;
  claimLink: string;
  /** Cuts it off at once, as SIGKILL does. */
  kill(): Promise<void>;
  /** Starts it again on the same data and address. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export const FAKE = process.env["LINNET_FAKE"] === "1";

export function startBox(): Promise<Box> {
  return FAKE ? startFake() : startReal();
}

async function startFake(): Promise<Box> {
  const server = new FakeServer(new FakeBox(), resolve("dist"));
  const port = await server.start(0);
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    claimLink: `${url}/#claim=${TOKEN}`,
    kill: () => server.kill(),
    restart: async () => void (await server.start(port)),
    stop: () => server.kill(),
  };
}

async function startReal(): Promise<Box> {
  const binary = resolve(process.env["LINNETD"] ?? "../../target/debug/linnetd");
  if (!existsSync(binary)) {
    throw new Error(`no linnetd at ${binary}: run \`cargo build -p linnetd\` or set LINNETD`);
  }
  const data = await mkdtemp(join(tmpdir(), "linnet-e2e-"));
  const [https, http, native] = [await freePort(), await freePort(), await freePort()];
  const args = [
    "--data",
    data,
    "--listen",
    `127.0.0.1:${https}`,
    "--listen-http",
    `127.0.0.1:${http}`,
    "--listen-native",
    `127.0.0.1:${native}`,
  ];
  const url = `https://127.0.0.1:${https}`;
  let child = spawn(binary, args, { stdio: ["ignore", "pipe", "pipe"] });
  const token = await printedToken(child);
  return {
    url,
    claimLink: `${url}/#claim=${token}`,
    kill: () => end(child, "SIGKILL"),
    restart: async () => {
      child = spawn(binary, args, { stdio: ["ignore", "pipe", "pipe"] });
      drain(child);
      await answering(url);
    },
    stop: async () => {
      await end(child, "SIGKILL");
      await rm(data, { recursive: true, force: true });
    },
  };
}

/** linnetd prints its claim link once, at the first start. */
function printedToken(child: ChildProcess): Promise<string> {
  return new Promise((found, fail) => {
    let text = "";
    const timer = setTimeout(
      () => fail(new Error(`no claim link within 30 s:\n${text}`)),
      START_WITHIN_MS,
    );
    const read = (chunk: Buffer): void => {
      text += chunk.toString();
      const match = /#claim=([\w-]+)/.exec(text);
      if (!match?.[1]) return;
      clearTimeout(timer);
      found(match[1]);
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.on("error", fail);
    child.on("exit", (code) => fail(new Error(`linnetd ended with ${code}:\n${text}`)));
  });
}

function drain(child: ChildProcess): void {
  child.stdout?.resume();
  child.stderr?.resume();
}

async function answering(url: string): Promise<void> {
  const port = Number(new URL(url).port);
  const until = Date.now() + START_WITHIN_MS;
  while (Date.now() < until) {
    if (await accepts(port)) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error("linnetd did not listen again within 30 s");
}

async function accepts(port: number): Promise<boolean> {
  const { connect } = await import("node:net");
  const socket = connect(port, "127.0.0.1");
  const answer = await Promise.race([
    once(socket, "connect").then(() => true),
    once(socket, "error").then(() => false),
  ]).catch(() => false);
  socket.destroy();
  return answer;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
