// The fake box behind real sockets: REST, WebSocket and the built client's files on loopback.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { WebSocketServer, type WebSocket } from "ws";
import type { ClientMessage, ServerMessage } from "../../src/core/wire.ts";
import { error, type FakeBox, type FakeDevice } from "./box.ts";

export const TOKEN = "AAAAAAAAAAAAAAAAAAAAAA";
const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".webmanifest": "application/manifest+json",
};
const WORDS = ["amber", "brook", "cedar", "dune", "ember", "finch", "grove", "heron"];
type Body = Record<string, string>;
interface Session {
  socket: WebSocket;
  device: FakeDevice | null;
}

export class FakeServer {
  private server: Server | null = null;
  private sessions = new Set<Session>();

  constructor(
    readonly box: FakeBox,
    private readonly dist: string,
  ) {}

  async start(port: number): Promise<number> {
    const server = createServer((request, response) => void this.answer(request, response));
    const sockets = new WebSocketServer({
      server,
      path: "/ws",
      handleProtocols: () => "linnet.json",
    });
    sockets.on("connection", (socket) => this.connected(socket));
    this.box.deliver = (user, message) => this.deliver(user, message);
    this.server = server;
    await new Promise<void>((done) => server.listen(port, "127.0.0.1", done));
    return (server.address() as { port: number }).port;
  }

  /** Every connection breaks at once, as when the power is cut. */
  async kill(): Promise<void> {
    for (const { socket } of this.sessions) socket.terminate();
    this.sessions.clear();
    const { server } = this;
    this.server = null;
    server?.closeAllConnections();
    await new Promise((done) => (server ? server.close(done) : done(null)));
  }

  private deliver(user: number, message: ServerMessage): void {
    for (const session of this.sessions) {
      if (session.device?.user !== user) continue;
      send(session.socket, message, 0);
      send(session.socket, { kind: "caught_up", body: { cursor: this.box.head } }, 0);
    }
  }

  private connected(socket: WebSocket): void {
    const session: Session = { socket, device: null };
    this.sessions.add(session);
    socket.on("close", () => this.sessions.delete(session));
    socket.on("message", (data) => this.take(session, String(data)));
    const { box_id, epoch } = this.box;
    send(
      socket,
      { kind: "greeting", body: { box_id, epoch, version: "fake", time_ms: Date.now() } },
      0,
    );
  }

  private take(session: Session, text: string): void {
    const { kind, request, body } = JSON.parse(text) as {
      kind: string;
      request: number;
      body: object;
    };
    const message = { kind, ...body } as ClientMessage;
    if (message.kind === "hello") return this.hello(session, message);
    if (!session.device) return send(session.socket, error("hello_first", {}), request);
    if (message.kind === "read")
      return this.box.read(session.device.user, message.room, message.seq);
    if (message.kind === "read_history") {
      return send(session.socket, this.box.history(session.device.user, message), request);
    }
    if (message.kind === "ping") {
      return send(session.socket, { kind: "pong", body: { time_ms: Date.now() } }, request);
    }
    if ("counter" in message)
      send(session.socket, this.box.command(session.device, message), request);
  }

  private hello(session: Session, hello: ClientMessage & { kind: "hello" }): void {
    const device = this.box.devices.find((one) => one.token === hello.token);
    if (!device) return send(session.socket, error("bad_token", {}), 1);
    const same = hello.epoch === this.box.epoch && hello.cursor > 0;
    const sync = !same ? "reset" : hello.cursor === this.box.head ? "resumed" : "catch_up";
    send(
      session.socket,
      {
        kind: "welcome",
        body: {
          user: device.user,
          device: device.device,
          last_counter: device.last,
          sync,
          head: this.box.head,
        },
      },
      1,
    );
    const changes = same
      ? this.box.since(device.user, hello.cursor)
      : this.box.snapshot(device.user);
    for (const change of changes) send(session.socket, change, 0);
    send(session.socket, { kind: "caught_up", body: { cursor: this.box.head } }, 0);
    session.device = device;
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? "/", "http://x").pathname;
    if (!path.startsWith("/api/")) return this.file(path, response);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const bearer = (request.headers.authorization ?? "").replace("Bearer ", "");
    if (path === "/api/logout") this.revoke(bearer);
    const [status, body] = this.api(path, text ? (JSON.parse(text) as Body) : {});
    response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
  }

  private api(path: string, body: Body): [number, object] {
    const { box } = this;
    const [name, password] = [body["name"] ?? "", body["password"] ?? ""];
    if (path === "/api/facts") {
      const { box_id, epoch, claimed } = box;
      return [200, { box_id, epoch, claimed, version: "fake", fingerprint_words: WORDS }];
    }
    if (path === "/api/claim") {
      if (body["token"] !== TOKEN) return refusal(403, "wrong_token", "");
      box.claimed = true;
      return this.signedIn(box.addUser(name, password, "owner").user);
    }
    if (path === "/api/login") {
      const user = box.users.find((one) => one.name === name && one.password === password);
      return user ? this.signedIn(user.user) : refusal(401, "wrong_login", "");
    }
    if (path === "/api/users") {
      if (box.users.some((user) => user.name === name)) return refusal(409, "name_taken", "name");
      return [200, { user: box.addUser(name, password, "member").user }];
    }
    return [200, {}];
  }

  private revoke(token: string): void {
    const device = this.box.devices.find((one) => one.token === token);
    if (device) device.token = "";
  }

  private signedIn(user: number): [number, object] {
    const { device, token } = this.box.addDevice(user);
    return [200, { user, device, token }];
  }

  private async file(path: string, response: ServerResponse): Promise<void> {
    const name = path === "/" ? "/index.html" : normalize(path);
    const content = await readFile(join(this.dist, name)).catch(() => null);
    if (!content) return void response.writeHead(404).end();
    const policy = "default-src 'self'; img-src 'self' data: blob:";
    const type = TYPES[extname(name)] ?? "application/octet-stream";
    response
      .writeHead(200, { "Content-Type": type, "Content-Security-Policy": policy })
      .end(content);
  }
}

function refusal(status: number, reason: string, field: string): [number, object] {
  return [status, { reason, field, text: reason }];
}

function send(socket: WebSocket, message: ServerMessage, request: number): void {
  socket.send(JSON.stringify({ ...message, request }));
}
