// A seeded world for the pure cores: one client with a disk, a box, and a line that drops, delays
// and repeats. The driver does what engine.ts does, with every I/O step a choice of the test.
import * as outbox from "../src/core/outbox.ts";
import * as sync from "../src/core/sync.ts";
import type { ServerMessage, Welcome } from "../src/core/wire.ts";
import { FakeBox, type FakeDevice, type FakeRoom } from "./fake/box.ts";

interface Sent {
  request: number;
  message: Parameters<FakeBox["command"]>[1];
}
interface Received {
  request: number;
  message: ServerMessage;
}
interface Line {
  up: Sent[];
  down: Received[];
  requests: number;
  live: boolean;
}

export class World {
  box = new FakeBox();
  device: FakeDevice;
  room: FakeRoom;
  copy: sync.Copy;
  box_out = outbox.newOutbox();
  written: string[] = [];
  behind = 0;
  private disk: { copy: sync.Copy; outbox: outbox.Outbox };
  private line: Line = { up: [], down: [], requests: 0, live: false };
  /** Frames of broken connections that the network still holds. */
  private late: Sent[] = [];
  private now = 0;
  private other: FakeDevice;

  constructor() {
    const [ada, ming] = [
      this.box.addUser("Ada", "", "owner"),
      this.box.addUser("Ming", "", "member"),
    ];
    this.device = this.box.addDevice(ada.user);
    this.other = this.box.addDevice(ming.user);
    this.room = this.box.addRoom("direct", "", "all", [ada.user, ming.user]);
    this.copy = sync.newCopy(ada.user, this.device.device);
    this.disk = { copy: structuredClone(this.copy), outbox: structuredClone(this.box_out) };
    this.box.deliver = (user, message) => this.delivered(user, message);
  }

  get me(): number {
    return this.device.user;
  }

  write(text: string): void {
    const room = this.copy.rooms.get(this.room.room);
    if (!room) return;
    const target = outbox.targetOf(this.copy, room);
    const command = { kind: "send", room: room.room, text } as const;
    outbox.write(this.box_out, {
      command,
      user: this.me,
      epoch: this.copy.epoch,
      target,
      now_ms: this.now,
    });
    this.written.push(text);
    this.saveAll();
    this.pump();
  }

  otherSays(text: string): void {
    this.other.last += 1;
    this.box.post(this.currentRoom(), this.other, this.other.last, text);
  }

  connect(): void {
    this.drop();
    const { epoch, cursor } = this.copy;
    const same = epoch === this.box.epoch && cursor > 0;
    const mode = !same ? "reset" : cursor === this.box.head ? "resumed" : "catch_up";
    this.line = { up: [], down: [], requests: 0, live: false };
    const body: Welcome = {
      user: this.me,
      device: this.device.device,
      last_counter: this.device.last,
      sync: mode,
      head: this.box.head,
    };
    this.reply(0, { kind: "welcome", body });
    const changes = same ? this.box.since(this.me, cursor) : this.box.snapshot(this.me);
    for (const change of changes) this.reply(0, change);
    this.reply(0, { kind: "caught_up", body: { cursor: this.box.head } });
    this.line.live = true;
  }

  drop(): void {
    this.late.push(...this.line.up);
    this.line = { up: [], down: [], requests: 0, live: false };
    outbox.disconnected(this.box_out);
  }

  /** The client's process ends; what it had not stored is gone. */
  crash(): void {
    this.drop();
    this.copy = structuredClone(this.disk.copy);
    this.box_out = structuredClone(this.disk.outbox);
    outbox.disconnected(this.box_out);
  }

  saveAll(): void {
    this.disk = { copy: structuredClone(this.copy), outbox: structuredClone(this.box_out) };
  }

  serverTakes(): void {
    const sent = this.line.up.shift();
    if (sent) this.reply(sent.request, this.box.command(this.device, sent.message));
  }

  /** The server takes a frame of a dead connection; nobody hears the answer. */
  serverTakesLate(): void {
    const sent = this.late.shift();
    if (sent) this.box.command(this.device, sent.message);
  }

  clientTakes(): void {
    const received = this.line.down.shift();
    if (!received) return;
    this.now += 1;
    this.take(received);
  }

  /** A copy of the box as a backup would hold it. */
  backup(): { box: Pick<FakeBox, "head" | "users" | "devices" | "rooms" | "changes"> } {
    const { head, users, devices, rooms, changes } = this.box;
    return { box: structuredClone({ head, users, devices, rooms, changes }) };
  }

  restore(saved: ReturnType<World["backup"]>, epoch: string): void {
    this.drop();
    this.late = [];
    Object.assign(this.box, structuredClone(saved.box), { epoch });
    this.device = this.box.devices[this.device.device - 1] as FakeDevice;
    this.other = this.box.devices[this.other.device - 1] as FakeDevice;
  }

  /** Signs in again after the client found itself behind. */
  registerAnew(): void {
    this.device = this.box.addDevice(this.me);
    this.behind += 1;
    this.connect();
  }

  /** All troubles end; everything is delivered until nothing moves. */
  settle(): void {
    this.box.trouble = null;
    this.late = [];
    for (let round = 0; round < 50; round += 1) {
      this.now += 100_000;
      if (round % 10 === 0) this.connect();
      this.pump();
      while (this.line.up.length + this.line.down.length > 0) {
        this.clientTakes();
        this.serverTakes();
      }
      if (outbox.mayRegister(this.box_out)) this.registerAnew();
      else if (this.box_out.entries.every((entry) => entry.failure)) return;
    }
    throw new Error("the outbox never became empty");
  }

  currentRoom(): FakeRoom {
    return this.box.rooms[this.room.room - 1] as FakeRoom;
  }

  /** Texts as the server holds them, in order. */
  posted(author: number): string[] {
    return this.currentRoom()
      .messages.filter((one) => one.author === author)
      .map((one) => one.text);
  }

  /** Texts as the screen shows them, after paging to the beginning. */
  shown(): string[] {
    for (;;) {
      const { messages, before } = sync.newestStretch(this.copy, this.room.room);
      if (before === null) return messages.map((message) => message.text);
      const ask = { kind: "read_history", room: this.room.room, before, limit: 3 } as const;
      const page = this.box.history(this.me, ask);
      if (page.kind !== "history_page") throw new Error("no history");
      sync.applyHistory(this.copy, page.body, before);
    }
  }

  private delivered(user: number, message: ServerMessage): void {
    if (user !== this.me || !this.line.live) return;
    this.reply(0, message);
    this.reply(0, { kind: "caught_up", body: { cursor: this.box.head } });
  }

  private reply(request: number, message: ServerMessage): void {
    this.line.down.push({ request, message });
  }

  private take({ request, message }: Received): void {
    switch (message.kind) {
      case "welcome":
        this.welcome(message.body);
        break;
      case "ack":
        this.acked(message.body);
        break;
      case "already_applied":
        outbox.settle(this.box_out, message.body.counter);
        break;
      case "refused":
        outbox.refuse(this.box_out, message.body.counter, message.body.reason);
        break;
      case "error":
        outbox.trouble(this.box_out, request, message.body, this.now);
        break;
      default:
        sync.apply(this.copy, message);
    }
    if (message.kind === "message" && message.body.device === this.device.device) {
      outbox.settle(this.box_out, message.body.counter);
    }
    if (message.kind === "caught_up") outbox.recheck(this.box_out, this.copy);
    // What settles a command is stored with the copy; the rest waits for `saveAll`.
    if (message.kind === "ack" || message.kind === "message") this.saveAll();
    this.pump();
  }

  private welcome(body: Welcome): void {
    const moved = this.copy.epoch !== this.box.epoch;
    if (moved && this.copy.epoch !== null && this.box_out.device === body.device) {
      const lost = [...this.copy.logs.values()]
        .flat()
        .filter((one) => one.device === body.device && one.counter > body.last_counter);
      const targets = new Map(
        [...this.copy.rooms].map(([id, room]) => [id, outbox.targetOf(this.copy, room)] as const),
      );
      outbox.rescue(this.box_out, lost, targets);
    }
    outbox.welcome(this.box_out, body.device, body.last_counter);
    this.copy.device = body.device;
    if (moved || body.sync === "reset") sync.reset(this.copy, this.box.epoch);
    this.saveAll();
  }

  private acked(
    ack: ServerMessage["body"] & {
      counter: number;
      seq: number;
      room: number;
      offset: number;
      time_ms: number;
    },
  ): void {
    const entry = outbox.settle(this.box_out, ack.counter);
    if (entry?.command.kind !== "send") return;
    sync.applyMessage(this.copy, {
      offset: ack.offset,
      room: ack.room,
      seq: ack.seq,
      author: this.me,
      device: this.device.device,
      counter: ack.counter,
      time_ms: ack.time_ms,
      text: entry.command.text,
    });
  }

  private pump(): void {
    if (!this.line.live || this.line.down[0]?.message.kind === "welcome") return;
    const batch = outbox.takeSendable(this.box_out, this.box.epoch, this.me, this.now);
    if (batch.length > 0) this.saveAll();
    for (const entry of batch) {
      this.line.requests += 1;
      entry.request = this.line.requests;
      this.line.up.push({
        request: entry.request,
        message: { ...entry.command, counter: entry.counter },
      });
    }
  }
}
