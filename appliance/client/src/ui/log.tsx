// The messages of one room. It stays at the newest message unless a person scrolled away, keeps
// its place when older messages arrive above, and asks for them near the top.
import { Component, createRef, type VNode } from "preact";
import { older, seen } from "../app.ts";
import { newestStretch, type RoomCopy } from "../core/sync.ts";
import { locale, plural, t } from "../i18n/index.ts";
import { state } from "../store.ts";
import { SentMessage, WaitingMessage } from "./message.tsx";
import { IconButton } from "./parts.tsx";
import { dayName, roomName, userName } from "./text.ts";
import { timeline, type Item } from "./timeline.ts";

/** Closer than this to an end counts as being there, in CSS pixels. */
const NEAR_BOTTOM_PX = 48;
const NEAR_TOP_PX = 600;

interface Before {
  atBottom: boolean;
  height: number;
  top: number;
  first: number;
}

export class Log extends Component<{ room: RoomCopy }> {
  private readonly box = createRef<HTMLDivElement>();
  private readonly bottom = createRef<HTMLDivElement>();
  private first = 0;
  private mine = 0;

  override componentDidMount(): void {
    this.mine = this.written();
    this.first = newestStretch(state.copy, this.props.room.room).messages[0]?.seq ?? 0;
    this.toBottom();
    this.look();
    addEventListener("focus", this.look);
    addEventListener("resize", this.resized);
  }

  override componentWillUnmount(): void {
    removeEventListener("focus", this.look);
    removeEventListener("resize", this.resized);
  }

  override getSnapshotBeforeUpdate(): Before {
    const box = this.box.current;
    if (!box) return { atBottom: true, height: 0, top: 0, first: 0 };
    return {
      atBottom: this.atBottom(),
      height: box.scrollHeight,
      top: box.scrollTop,
      first: this.first,
    };
  }

  override componentDidUpdate(_props: unknown, _state: unknown, before: Before): void {
    const box = this.box.current;
    if (!box) return;
    const { messages } = newestStretch(state.copy, this.props.room.room);
    const first = messages[0]?.seq ?? 0;
    const wrote = this.written();
    if (before.atBottom || wrote > this.mine) this.toBottom();
    else if (first < this.first) box.scrollTop = before.top + box.scrollHeight - before.height;
    this.first = first;
    this.mine = wrote;
    this.look();
  }

  /** Grows when this person writes something, so that their own words are in sight. */
  private written(): number {
    return state.outbox.entries.at(-1)?.id ?? this.mine;
  }

  private atBottom(): boolean {
    const box = this.box.current;
    return !box || box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_BOTTOM_PX;
  }

  private toBottom = (): void => {
    const box = this.box.current;
    if (box) box.scrollTop = box.scrollHeight;
  };

  private resized = (): void => {
    if (this.atBottom()) this.toBottom();
  };

  /** What follows from where the page stands: read marks, the way down, the next older page. */
  private look = (): void => {
    const box = this.box.current;
    if (!box) return;
    const atBottom = this.atBottom();
    this.bottom.current?.classList.toggle("away", !atBottom);
    if (atBottom) seen(this.props.room.room);
    if (box.scrollTop < NEAR_TOP_PX) older(this.props.room.room);
  };

  override render({ room }: { room: RoomCopy }): VNode {
    const { messages, before } = newestStretch(state.copy, room.room);
    const entries = state.outbox.entries.filter((entry) => entry.user === state.copy.me);
    const items = timeline(room, messages, entries, state.newFrom, state.copy.me);
    return (
      <div class="log-frame">
        <div
          class="log"
          ref={this.box}
          onScroll={this.look}
          tabIndex={0}
          role="log"
          aria-label={t("room.log", { name: roomName(state.copy, room) })}
        >
          <div class="log-top quiet">
            {before !== null && state.fetching.has(room.room) ? t("room.loading") : null}
            {before === null ? t(items.length === 0 ? "room.first" : "room.beginning") : null}
          </div>
          <ol class="messages">{items.map((item) => this.item(room, item))}</ol>
        </div>
        <div class="to-bottom" ref={this.bottom}>
          <IconButton icon="down" label={t("room.tobottom")} onClick={this.toBottom} />
        </div>
      </div>
    );
  }

  private item(room: RoomCopy, item: Item): VNode {
    switch (item.kind) {
      case "day":
        return (
          <li key={item.key} class="mark">
            <span>{dayName(item.time_ms, Date.now())}</span>
          </li>
        );
      case "new":
        return (
          <li key={item.key} class="mark new">
            <span>{t("room.new")}</span>
          </li>
        );
      case "damaged":
        return (
          <li key={item.key} class="mark">
            <span>{plural("room.damaged", item.count)}</span>
          </li>
        );
      case "pending":
        return <WaitingMessage {...item} />;
      case "message": {
        const { message, first, last } = item;
        return (
          <SentMessage
            key={item.key}
            message={message}
            first={first}
            last={last}
            mine={message.author === state.copy.me}
            showAuthor={room.room_kind === "group"}
            author={userName(state.copy, message.author)}
            read={readBy(room, message.seq)}
            tongue={locale()}
          />
        );
      }
    }
  }
}

function readBy(room: RoomCopy, seq: number): string {
  const readers = room.members.filter(
    (member) => member.user !== state.copy.me && member.read >= seq,
  );
  if (readers.length === 0) return "";
  if (room.room_kind === "direct") return t("message.read");
  return t("message.readby", { count: readers.length });
}
