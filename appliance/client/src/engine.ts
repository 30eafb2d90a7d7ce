// Runs the pure cores against the real world: one database, one socket, one clock.
// Frames are taken strictly one after another; a command is stored before it leaves.
import * as outbox from "./core/outbox.ts";
import { HISTORY_PAGE } from "./core/limits.ts";
import { isUp, newSession, step, type Event, type Stop } from "./core/session.ts";
import * as sync from "./core/sync.ts";
import type { Ack, Command, Message, ServerFrame, Welcome } from "./core/wire.ts";
import { NotWriter, type Account, type Store } from "./shell/db.ts";
import { Socket } from "./shell/socket.ts";
import { changed, notify, state } from "./store.ts";

const TICK_MS = 500;
const WRITE_WITHIN_MS = 250;
const CLIENT = `linnet-web/${__APP_VERSION__}`;

export interface EngineEvents {
  /** The session ended for good. */
  stopped(why: Stop): void;
  /** A command that makes or opens a room was done. */
  roomReady(room: number): void;
}

export class Engine {
  private socket: Socket | null = null;
  private turn: Promise<void> = Promise.resolve();
  private epoch = "";
  private pumping = false;
  private pumpAgain = false;
  private syncing = false;
  private writeTimer = 0;
  private readonly ticker: number;
  private readonly asked = new Map<number, { room: number; before: number }>();
  private readonly writer = crypto.randomUUID();

  constructor(
    private readonly store: Store,
    private readonly account: Account,
    private readonly events: EngineEvents,
  ) {
    this.ticker = window.setInterval(() => this.tick(), TICK_MS);
    addEventListener("online", this.wake);
    document.addEventListener("visibilitychange", this.wake);
    addEventListener("pagehide", this.flushNow);
  }

  async start(): Promise<void> {
    await this.store.becomeWriter(this.writer);
    state.session = newSession(this.store.box);
    this.step({ kind: "start" });
  }

  /** Ends the session and writes what is left. */
  async stop(why: Stop): Promise<void> {
    clearInterval(this.ticker);
    removeEventListener("online", this.wake);
    document.removeEventListener("visibilitychange", this.wake);
    removeEventListener("pagehide", this.flushNow);
    this.step({ kind: "stop", why });
    await this.flush().catch(() => undefined);
  }

  /** Puts a command into the outbox and sends it when the line allows. */
  async command(command: Command): Promise<void> {
    const room = "room" in command ? state.copy.rooms.get(command.room) : undefined;
    outbox.write(state.outbox, {
      command,
      user: this.account.user,
      epoch: state.copy.epoch,
      target: room ? outbox.targetOf(state.copy, room) : null,
      now_ms: Date.now(),
    });
    await this.outboxChanged();
  }

  async retry(id: number): Promise<void> {
    outbox.retry(state.outbox, id, state.copy.epoch);
    await this.outboxChanged();
  }

  async discard(id: number): Promise<void> {
    outbox.remove(state.outbox, id);
    await this.outboxChanged();
  }

  read(room: number, seq: number): void {
    if (!sync.readUpTo(state.copy, room, seq)) return;
    if (isUp(state.session)) this.socket?.send({ kind: "read", room, seq });
    this.later();
  }

  /** Tells the server which room is on screen and brings its stored messages into memory. */
  async show(room: number | null): Promise<void> {
    if (isUp(state.session)) this.socket?.send({ kind: "show", room });
    if (room === null || state.loaded.has(room)) return;
    const messages = await this.store.messages(room);
    sync.applyStored(state.copy, messages);
    state.loaded.add(room);
    changed();
  }

  /** Asks for the page above what is held; nothing when it is held, asked for or out of reach. */
  older(room: number): void {
    const { before } = sync.newestStretch(state.copy, room);
    if (before === null || state.fetching.has(room) || !isUp(state.session) || !this.socket) return;
    state.fetching.add(room);
    const request = this.socket.send({ kind: "read_history", room, before, limit: HISTORY_PAGE });
    this.asked.set(request, { room, before });
    changed();
  }

  hide(room: number): void {
    sync.trim(state.copy, room);
    this.later();
  }

  reconnect = (): void => this.step({ kind: "wake" });

  private wake = (): void => {
    if (document.visibilityState === "hidden") return this.flushNow();
    this.step({ kind: "wake" });
  };

  private flushNow = (): void => void this.flush().catch(() => undefined);

  private tick(): void {
    this.step({ kind: "tick" });
    if (isUp(state.session)) void this.pump();
  }

  private step(event: Event): void {
    const before = state.session.phase;
    for (const action of step(state.session, event, Date.now(), Math.random())) {
      if (action === "connect") this.connect();
      else if (action === "hello") this.hello();
      else if (action === "ping") this.socket?.send({ kind: "ping" });
      else this.disconnect();
    }
    if (state.session.phase !== before) this.phaseChanged();
  }

  private phaseChanged(): void {
    if (state.session.tries > 0) state.lineTrouble = true;
    if (state.session.phase === "live") state.lineTrouble = false;
    changed();
    if (state.session.stop) this.events.stopped(state.session.stop);
  }

  private connect(): void {
    const socket: Socket = new Socket({
      opened: () => this.step({ kind: "opened" }),
      closed: () => this.step({ kind: "closed" }),
      frame: (frame) => {
        this.turn = this.turn
          .then(() => this.take(socket, frame))
          .catch((error) => this.fail(error));
      },
    });
    this.socket = socket;
  }

  private disconnect(): void {
    this.socket?.close();
    this.socket = null;
    this.syncing = false;
    this.asked.clear();
    state.fetching.clear();
    outbox.disconnected(state.outbox);
    changed();
  }

  private hello(): void {
    const { epoch, cursor } = state.copy;
    this.socket?.send({ kind: "hello", token: this.account.token, epoch, cursor, client: CLIENT });
  }

  private fail(error: unknown): void {
    if (error instanceof NotWriter) return this.step({ kind: "stop", why: "elsewhere" });
    console.error(error);
    notify("notice.storage");
  }

  private async take(socket: Socket, frame: ServerFrame): Promise<void> {
    if (socket !== this.socket) return;
    if (frame.kind === "greeting") this.epoch = frame.body.epoch;
    if (frame.kind === "welcome") await this.welcome(frame.body);
    this.step({ kind: "frame", frame });
    if (socket !== this.socket) return;
    if (frame.kind === "welcome") this.resume();
    await this.apply(frame);
    changed();
  }

  private async apply(frame: ServerFrame): Promise<void> {
    switch (frame.kind) {
      case "ack":
        return this.acked(frame.body);
      case "already_applied":
        return this.settled(outbox.settle(state.outbox, frame.body.counter));
      case "refused":
        outbox.refuse(state.outbox, frame.body.counter, frame.body.reason);
        return this.outboxChanged();
      case "error":
        return this.erred(frame);
      case "history_page":
        return this.history(frame);
      case "room_at":
        return this.pull();
      default:
        sync.apply(state.copy, frame);
    }
    if (frame.kind === "message") await this.ownArrived(frame.body);
    if (frame.kind === "caught_up") await this.caughtUp();
    if (frame.kind === "room_gone") this.roomGone(frame.body.room);
    this.later();
  }

  /** Decides what copy and outbox are worth to this incarnation of the box, in one write. */
  private async welcome(body: Welcome): Promise<void> {
    const { copy } = state;
    const moved = copy.epoch !== this.epoch;
    const sameDevice = state.outbox.device === body.device;
    if (moved && copy.epoch !== null && sameDevice) await this.rescue(body);
    outbox.welcome(state.outbox, body.device, body.last_counter);
    copy.me = body.user;
    copy.device = body.device;
    if (moved || body.sync === "reset") {
      sync.reset(copy, this.epoch);
      state.loaded.clear();
    }
    await this.save(true).catch((error) => this.fail(error));
  }

  private async rescue(body: Welcome): Promise<void> {
    await this.flush();
    const { copy } = state;
    const lost = await this.store.ownMessages(body.device, body.last_counter);
    const targets = new Map(
      [...copy.rooms].map(([id, room]) => [id, outbox.targetOf(copy, room)] as const),
    );
    outbox.rescue(state.outbox, lost, targets);
  }

  private resume(): void {
    for (const room of state.copy.rooms.values()) {
      if (room.read_wanted > 0) {
        this.socket?.send({ kind: "read", room: room.room, seq: room.read_wanted });
      }
    }
    if (state.route.view === "room") void this.show(state.route.room);
    void this.pump();
  }

  private async acked(ack: Ack): Promise<void> {
    const entry = outbox.settle(state.outbox, ack.counter);
    if (entry?.command.kind === "send" && ack.seq > 0) {
      sync.applyMessage(state.copy, {
        offset: ack.offset,
        room: ack.room,
        seq: ack.seq,
        author: this.account.user,
        device: this.account.device,
        counter: ack.counter,
        time_ms: ack.time_ms,
        text: entry.command.text,
      });
    }
    await this.settled(entry);
    const kind = entry?.command.kind;
    if (kind === "open_direct" || kind === "create_room") this.events.roomReady(ack.room);
  }

  private async settled(entry: outbox.Entry | null): Promise<void> {
    if (entry) await this.outboxChanged();
  }

  /** The message itself is as good as its acknowledgement. */
  private async ownArrived(message: Message): Promise<void> {
    if (message.device !== this.account.device || message.author !== this.account.user) return;
    await this.settled(outbox.settle(state.outbox, message.counter));
  }

  private async erred(frame: ServerFrame & { kind: "error" }): Promise<void> {
    const asked = this.asked.get(frame.request);
    if (asked) {
      this.asked.delete(frame.request);
      state.fetching.delete(asked.room);
      return;
    }
    if (outbox.trouble(state.outbox, frame.request, frame.body, Date.now())) {
      await this.outboxChanged();
    }
  }

  private history(frame: ServerFrame & { kind: "history_page" }): void {
    const asked = this.asked.get(frame.request);
    if (!asked) return;
    this.asked.delete(frame.request);
    state.fetching.delete(asked.room);
    sync.applyHistory(state.copy, frame.body, asked.before);
    this.later();
  }

  private pull(): void {
    if (this.syncing) return;
    this.syncing = true;
    this.socket?.send({ kind: "sync", cursor: state.copy.cursor });
  }

  private async caughtUp(): Promise<void> {
    this.syncing = false;
    if (!state.outbox.entries.some((entry) => entry.epoch !== state.copy.epoch)) return;
    outbox.recheck(state.outbox, state.copy);
    await this.outboxChanged();
  }

  private roomGone(room: number): void {
    state.loaded.delete(room);
    state.drafts.delete(room);
  }

  private async outboxChanged(): Promise<void> {
    changed();
    await this.save(true).catch((error) => this.fail(error));
    void this.pump();
  }

  /** Sends what may be sent, after it is stored together with its number. */
  private async pump(): Promise<void> {
    if (this.pumping) {
      this.pumpAgain = true;
      return;
    }
    this.pumping = true;
    try {
      do {
        this.pumpAgain = false;
        await this.sendBatch();
      } while (this.pumpAgain);
    } catch (error) {
      this.fail(error);
    } finally {
      this.pumping = false;
    }
    if (outbox.mayRegister(state.outbox)) this.step({ kind: "stop", why: "behind" });
  }

  private async sendBatch(): Promise<void> {
    const { socket } = this;
    if (!socket || !isUp(state.session)) return;
    const batch = outbox.takeSendable(state.outbox, this.epoch, this.account.user, Date.now());
    if (batch.length === 0) return;
    await this.save(true);
    for (const entry of batch) {
      if (socket !== this.socket || entry.counter === 0 || entry.failure) continue;
      entry.request = socket.send({ ...entry.command, counter: entry.counter });
    }
    this.pumpAgain = true;
  }

  private later(): void {
    changed();
    if (this.writeTimer !== 0) return;
    this.writeTimer = window.setTimeout(() => {
      void this.flush().catch((error) => this.fail(error));
    }, WRITE_WITHIN_MS);
  }

  private async flush(): Promise<void> {
    clearTimeout(this.writeTimer);
    this.writeTimer = 0;
    await this.save(false);
  }

  private async save(withOutbox: boolean): Promise<void> {
    const dirty = sync.takeDirty(state.copy);
    try {
      await this.store.save(this.writer, state.copy, dirty, withOutbox ? state.outbox : null);
    } catch (error) {
      sync.putBack(state.copy, dirty);
      throw error;
    }
  }
}
