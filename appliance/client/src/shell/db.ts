// The client's IndexedDB: one database per box, so that another box never sees this one's copy.
// Every write is one transaction that first checks that this tab is still the one writer, and
// commands are on the disk before they leave ("strict" durability).
import { deleteDB, openDB, type DBSchema, type IDBPDatabase, type IDBPTransaction } from "idb";
import type { Entry, Outbox } from "../core/outbox.ts";
import type { Copy, Dirty, RoomCopy } from "../core/sync.ts";
import type { Message, User } from "../core/wire.ts";

export interface Account {
  user: number;
  device: number;
  token: string;
  name: string;
}
interface SyncMark {
  epoch: string | null;
  cursor: number;
  me: number;
  device: number;
}
interface OutboxMark {
  device: number;
  assigned: number;
  next_id: number;
}

interface Schema extends DBSchema {
  account: { key: string; value: Account };
  marks: { key: string; value: SyncMark | OutboxMark | string };
  users: { key: number; value: User };
  rooms: { key: number; value: RoomCopy };
  messages: { key: [number, number]; value: Message };
  outbox: { key: number; value: Entry };
}
const WRITTEN = ["marks", "users", "rooms", "messages", "outbox"] as const;
type WriteTx = IDBPTransaction<Schema, (typeof WRITTEN)[number][], "readwrite">;

/** Another tab has become the writer. */
export class NotWriter extends Error {}

export class Store {
  private constructor(
    private readonly db: IDBPDatabase<Schema>,
    readonly box: string,
  ) {}

  static async open(box: string): Promise<Store> {
    const db = await openDB<Schema>(`linnet-${box}`, 1, {
      // Another tab signs out: it must not wait for this one.
      blocking: (_current, _blocked, event) => (event.target as IDBDatabase).close(),
      upgrade(fresh) {
        fresh.createObjectStore("account");
        fresh.createObjectStore("marks");
        fresh.createObjectStore("users", { keyPath: "user" });
        fresh.createObjectStore("rooms", { keyPath: "room" });
        fresh.createObjectStore("messages", { keyPath: ["room", "seq"] });
        fresh.createObjectStore("outbox", { keyPath: "id" });
      },
    });
    return new Store(db, box);
  }

  async account(): Promise<Account | null> {
    return (await this.db.get("account", "account")) ?? null;
  }

  async setAccount(account: Account | null): Promise<void> {
    if (account) await this.db.put("account", account, "account");
    else await this.db.delete("account", "account");
  }

  /** From now on only `writer` may write; a tab that lost its turn gets `NotWriter`. */
  async becomeWriter(writer: string): Promise<void> {
    await this.db.put("marks", writer, "writer");
  }

  async load(copy: Copy, outbox: Outbox): Promise<void> {
    const tx = this.db.transaction(WRITTEN, "readonly");
    const mark = (await tx.objectStore("marks").get("sync")) as SyncMark | undefined;
    if (mark) Object.assign(copy, mark);
    for (const user of await tx.objectStore("users").getAll()) copy.users.set(user.user, user);
    for (const room of await tx.objectStore("rooms").getAll()) copy.rooms.set(room.room, room);
    const sent = (await tx.objectStore("marks").get("outbox")) as OutboxMark | undefined;
    if (sent) Object.assign(outbox, sent);
    const entries = await tx.objectStore("outbox").getAll();
    outbox.entries = entries.map((entry) => ({ ...entry, request: 0 }));
    await tx.done;
  }

  async messages(room: number): Promise<Message[]> {
    return this.db.getAll("messages", roomRange(room));
  }

  /** This device's own messages with a command number above `counter`. */
  async ownMessages(device: number, counter: number): Promise<Message[]> {
    const all = await this.db.getAll("messages");
    return all.filter((message) => message.device === device && message.counter > counter);
  }

  /** Writes changes of the copy, and of the outbox when given, in one transaction. */
  async save(writer: string, copy: Copy, dirty: Dirty, outbox: Outbox | null): Promise<void> {
    // Copied before anything is awaited: cursor, rooms and messages of one moment.
    const plan = planWrite(copy, dirty, outbox);
    const durability = outbox ? "strict" : "relaxed";
    const tx = this.db.transaction(WRITTEN, "readwrite", { durability }) as WriteTx;
    if ((await tx.objectStore("marks").get("writer")) !== writer) {
      tx.abort();
      await tx.done.catch(() => undefined);
      throw new NotWriter("another tab writes now");
    }
    writeCopy(tx, plan);
    if (plan.entries && plan.sent) writeOutbox(tx, plan.entries, plan.sent);
    await tx.done;
  }

  /** Everything but the outbox, for signing out. */
  async destroy(): Promise<void> {
    this.db.close();
    await deleteDB(`linnet-${this.box}`);
  }

  close(): void {
    this.db.close();
  }
}

function roomRange(room: number, below = Infinity): IDBKeyRange {
  return IDBKeyRange.bound([room, 0], [room, below], false, true);
}

interface Plan {
  dirty: Dirty;
  users: User[];
  rooms: RoomCopy[];
  sync: SyncMark;
  entries: Entry[] | null;
  sent: OutboxMark | null;
}

function planWrite(copy: Copy, dirty: Dirty, outbox: Outbox | null): Plan {
  const { epoch, cursor, me, device } = copy;
  const sent = outbox && {
    device: outbox.device,
    assigned: outbox.assigned,
    next_id: outbox.next_id,
  };
  return {
    dirty,
    users: [...dirty.users].flatMap((id) => copy.users.get(id) ?? []),
    rooms: [...dirty.rooms].flatMap((id) => copy.rooms.get(id) ?? []).map((room) => ({ ...room })),
    sync: { epoch, cursor, me, device },
    entries: outbox && outbox.entries.map((entry) => ({ ...entry, request: 0 })),
    sent,
  };
}

/** Requests are not awaited one by one: the transaction's end reports all of them. */
function writeCopy(tx: WriteTx, { dirty, users, rooms, sync }: Plan): void {
  const userStore = tx.objectStore("users");
  const roomStore = tx.objectStore("rooms");
  const messages = tx.objectStore("messages");
  if (dirty.everything) for (const store of [userStore, roomStore, messages]) void store.clear();
  for (const room of dirty.gone) {
    void roomStore.delete(room);
    void messages.delete(roomRange(room));
  }
  for (const message of dirty.messages) void messages.put(message);
  for (const [room, lowest] of dirty.trimmed) void messages.delete(roomRange(room, lowest));
  for (const user of users) void userStore.put(user);
  for (const room of rooms) void roomStore.put(room);
  void tx.objectStore("marks").put(sync, "sync");
}

function writeOutbox(tx: WriteTx, entries: Entry[], mark: OutboxMark): void {
  const store = tx.objectStore("outbox");
  void store.clear();
  for (const entry of entries) void store.put(entry);
  void tx.objectStore("marks").put(mark, "outbox");
}
