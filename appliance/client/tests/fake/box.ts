// A small box for tests: the sync contract over plain objects, without sockets or disk.
// It is a second reading of the wire document, so that the client is not tested against itself.
import type {
  ClientMessage,
  Command,
  Member,
  Message,
  Room,
  ServerMessage,
  User,
} from "../../src/core/wire.ts";

export interface FakeRoom {
  room: number;
  kind: "direct" | "group";
  name: string;
  history: "all" | "since_join";
  since: Map<number, number>;
  reads: Map<number, number>;
  messages: Message[];
  offset: number;
}
export interface FakeDevice {
  device: number;
  user: number;
  token: string;
  last: number;
  results: Map<number, { content: string; reply: ServerMessage }>;
}
export interface FakeUser extends User {
  password: string;
}
/** A record of the log: who may see it decides at delivery. */
type Change = { offset: number; to: number[] | null; message: ServerMessage };
export type Deliver = (user: number, message: ServerMessage) => void;

const WINDOW = 64;

export class FakeBox {
  box_id = "b0".repeat(16);
  epoch = "e0".repeat(16);
  head = 0;
  claimed = false;
  users: FakeUser[] = [];
  devices: FakeDevice[] = [];
  rooms: FakeRoom[] = [];
  changes: Change[] = [];
  deliver: Deliver = () => undefined;
  /** When set, commands meet this passing trouble. */
  trouble: "busy" | "card_full" | null = null;

  addUser(name: string, password: string, role: User["role"]): FakeUser {
    const user = { offset: this.next(), user: this.users.length + 1, name, role, password };
    this.users.push(user);
    this.emit(null, { kind: "user", body: pub(user) });
    return user;
  }

  addDevice(user: number): FakeDevice {
    const number = this.devices.length + 1;
    const token = number.toString(16).padStart(64, "0");
    const device = { device: number, user, token, last: 0, results: new Map() };
    this.devices.push(device);
    return device;
  }

  /** Everything a session gets between welcome and caught_up. */
  snapshot(user: number): ServerMessage[] {
    const users = this.users.map((one) => ({ kind: "user", body: pub(one) }) as const);
    const rooms = this.rooms
      .filter((room) => room.since.has(user))
      .map((room) => ({ kind: "room", body: this.view(room, user) }) as const);
    return [...users, ...rooms];
  }

  since(user: number, cursor: number): ServerMessage[] {
    return this.changes
      .filter((change) => change.offset > cursor && (!change.to || change.to.includes(user)))
      .map((change) => change.message)
      .map((message) => {
        const room = message.kind === "room" ? this.room(message.body.room) : undefined;
        return room?.since.has(user) ? { kind: "room", body: this.view(room, user) } : message;
      });
  }

  /** A command: the rules of the sync contract, section 5.2. */
  command(device: FakeDevice, command: Command & { counter: number }): ServerMessage {
    const { counter } = command;
    const content = JSON.stringify(command);
    if (counter <= device.last) return this.stored(device, counter, content);
    if (counter > device.last + 1) return error("gap", { expected: device.last + 1 });
    if (this.trouble) return error(this.trouble, { retry_after_ms: 300 });
    device.last = counter;
    const reply = this.run(device, command);
    device.results.set(counter, { content, reply });
    device.results.delete(counter - WINDOW);
    return reply;
  }

  private stored(device: FakeDevice, counter: number, content: string): ServerMessage {
    const known = device.results.get(counter);
    if (!known) return { kind: "already_applied", body: { counter } };
    return known.content === content ? known.reply : error("conflict", {});
  }

  private run(device: FakeDevice, command: Command & { counter: number }): ServerMessage {
    const { counter } = command;
    const refuse = (reason: "no_such_room" | "not_allowed"): ServerMessage => ({
      kind: "refused",
      body: { counter, reason, field: "room", text: reason },
    });
    switch (command.kind) {
      case "send": {
        const room = this.room(command.room);
        if (!room?.since.has(device.user)) return refuse("no_such_room");
        const message = this.post(room, device, counter, command.text);
        return ack(counter, message.offset, room.room, message.seq);
      }
      case "open_direct": {
        const pair = [device.user, command.user].sort().join();
        const known = this.rooms.find(
          (room) => room.kind === "direct" && [...room.since.keys()].sort().join() === pair,
        );
        const room = known ?? this.addRoom("direct", "", "all", [device.user, command.user]);
        return ack(counter, room.offset, room.room, 0);
      }
      case "create_room": {
        const members = [device.user, ...command.members];
        const room = this.addRoom("group", command.name, command.history, members);
        return ack(counter, room.offset, room.room, 0);
      }
      case "add_member":
      case "remove_member": {
        const room = this.room(command.room);
        if (!room?.since.has(device.user) || room.kind !== "group") return refuse("not_allowed");
        if (command.kind === "add_member") this.join(room, command.user);
        else this.leave(room, command.user);
        return ack(counter, room.offset, room.room, 0);
      }
    }
  }

  addRoom(
    kind: "direct" | "group",
    name: string,
    history: FakeRoom["history"],
    members: number[],
  ): FakeRoom {
    const room: FakeRoom = {
      room: this.rooms.length + 1,
      kind,
      name,
      history,
      offset: this.next(),
      messages: [],
      since: new Map(members.map((user) => [user, 1])),
      reads: new Map(),
    };
    this.rooms.push(room);
    this.emitRoom(room, [...room.since.keys()]);
    return room;
  }

  private join(room: FakeRoom, user: number): void {
    if (room.since.has(user)) return;
    const before = [...room.since.keys()];
    room.offset = this.next();
    room.since.set(user, room.history === "all" ? 1 : room.messages.length + 1);
    this.emit(before, {
      kind: "member_change",
      body: { offset: room.offset, room: room.room, user, joined: true },
    });
    this.emitRoom(room, [user]);
  }

  private leave(room: FakeRoom, user: number): void {
    room.since.delete(user);
    room.offset = this.next();
    const body = { offset: room.offset, room: room.room };
    this.emit([user], { kind: "room_gone", body });
    this.emit([...room.since.keys()], {
      kind: "member_change",
      body: { ...body, user, joined: false },
    });
  }

  post(room: FakeRoom, device: FakeDevice, counter: number, text: string): Message {
    const message = {
      offset: this.next(),
      room: room.room,
      seq: room.messages.length + 1,
      author: device.user,
      device: device.device,
      counter,
      time_ms: Date.now(),
      text,
    };
    room.messages.push(message);
    this.emit([...room.since.keys()], { kind: "message", body: message });
    return message;
  }

  read(user: number, roomId: number, seq: number): void {
    const room = this.room(roomId);
    if (!room?.since.has(user) || seq <= (room.reads.get(user) ?? 0)) return;
    room.reads.set(user, seq);
    const body = { offset: this.next(), room: roomId, user, seq };
    this.emit([...room.since.keys()], { kind: "read_mark", body });
  }

  history(user: number, ask: ClientMessage & { kind: "read_history" }): ServerMessage {
    const room = this.room(ask.room);
    const first = room?.since.get(user);
    if (!room || !first) return error("no_such_room", {});
    const below = room.messages.filter(
      (message) => message.seq >= first && message.seq < (ask.before ?? Infinity),
    );
    const messages = below.slice(-ask.limit);
    const lowest = messages[0]?.seq ?? first;
    const before = lowest > first ? lowest : null;
    return { kind: "history_page", body: { room: room.room, messages, damaged: 0, before } };
  }

  private view(room: FakeRoom, user: number): Room {
    const first = room.since.get(user) ?? 1;
    const read = room.reads.get(user) ?? 0;
    const visible = room.messages.filter((message) => message.seq >= first);
    const members: Member[] = [...room.since.keys()].map((one) => ({
      user: one,
      read: room.reads.get(one) ?? 0,
    }));
    const unread = visible.filter((one) => one.seq > read && one.author !== user).length;
    return {
      offset: this.head,
      room: room.room,
      room_kind: room.kind,
      name: room.name,
      history: room.history,
      members,
      first,
      head: room.messages.length,
      read,
      unread,
      last: visible.at(-1) ?? null,
    };
  }

  private room(id: number): FakeRoom | undefined {
    return this.rooms.find((room) => room.room === id);
  }

  private next(): number {
    this.head += 1;
    return this.head;
  }

  private emitRoom(room: FakeRoom, to: number[]): void {
    for (const user of to) this.emit([user], { kind: "room", body: this.view(room, user) });
  }

  private emit(to: number[] | null, message: ServerMessage): void {
    this.changes.push({ offset: this.head, to, message });
    for (const user of to ?? this.users.map((one) => one.user)) this.deliver(user, message);
  }
}

function pub({ offset, user, name, role }: FakeUser): User {
  return { offset, user, name, role };
}

function ack(counter: number, offset: number, room: number, seq: number): ServerMessage {
  return { kind: "ack", body: { counter, offset, room, seq, time_ms: Date.now() } };
}

export function error(
  reason: "gap" | "conflict" | "busy" | "card_full" | "no_such_room" | "bad_token" | "hello_first",
  more: { expected?: number; retry_after_ms?: number },
): ServerMessage {
  const { expected = null, retry_after_ms = null } = more;
  return { kind: "error", body: { reason, field: "", text: reason, expected, retry_after_ms } };
}
