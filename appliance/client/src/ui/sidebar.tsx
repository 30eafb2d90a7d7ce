// The room list with its filter and the main navigation. Arrow keys walk the rooms.
import type { VNode } from "preact";
import { go, openDialog, setFilter } from "../app.ts";
import type { RoomCopy } from "../core/sync.ts";
import { plural, t } from "../i18n/index.ts";
import { state } from "../store.ts";
import { Avatar, Icon, IconButton, Logo, type IconName } from "./parts.tsx";
import { otherOf, roomName, roomsByActivity, shortTime, userName } from "./text.ts";

export function Sidebar(): VNode {
  const rooms = roomsByActivity(state.copy);
  const wanted = state.filter.trim().toLocaleLowerCase();
  const shown = rooms.filter((room) =>
    roomName(state.copy, room).toLocaleLowerCase().includes(wanted),
  );
  return (
    <section
      class="sidebar"
      aria-label={t("rooms.title")}
      role={state.route.view === "home" ? "main" : undefined}
    >
      <header class="sidebar-head">
        <Logo />
        <h1>{t("rooms.title")}</h1>
        <IconButton
          icon="group"
          label={t("rooms.newgroup")}
          onClick={() => openDialog({ kind: "new_group" })}
        />
        <IconButton
          icon="plus"
          label={t("rooms.new")}
          class="strong"
          onClick={() => openDialog({ kind: "new_chat" })}
        />
      </header>
      {rooms.length > 5 && <Filter />}
      {rooms.length === 0 ? <NoRooms /> : <RoomList rooms={shown} />}
      <Navigation />
    </section>
  );
}

function Filter(): VNode {
  return (
    <div class="filter">
      <Icon name="search" />
      <input
        type="search"
        value={state.filter}
        aria-label={t("rooms.filter")}
        placeholder={t("rooms.filter")}
        onInput={(event) => setFilter(event.currentTarget.value)}
        onKeyDown={(event) => event.key === "Escape" && setFilter("")}
      />
    </div>
  );
}

function NoRooms(): VNode {
  const synced = state.copy.cursor > 0;
  return (
    <div class="empty-list">
      {synced && <p>{t("rooms.none")}</p>}
      {synced && <p class="quiet">{t("rooms.none.hint")}</p>}
    </div>
  );
}

function RoomList({ rooms }: { rooms: RoomCopy[] }): VNode {
  const current = state.route.view === "room" ? state.route.room : 0;
  const first = rooms.some((room) => room.room === current) ? current : rooms[0]?.room;
  return (
    <nav class="room-nav" aria-label={t("nav.chats")}>
      <ul class="rooms" onKeyDown={walk}>
        {rooms.map((room) => (
          <RoomRow
            key={room.room}
            room={room}
            current={room.room === current}
            reachable={room.room === first}
          />
        ))}
      </ul>
      {rooms.length === 0 && <p class="empty-list quiet">{t("rooms.nomatch")}</p>}
    </nav>
  );
}

/** Up, Down, Home and End move the focus from room to room. */
function walk(event: KeyboardEvent): void {
  const list = event.currentTarget as HTMLElement;
  const rows = [...list.querySelectorAll<HTMLElement>("button")];
  const at = rows.indexOf(document.activeElement as HTMLElement);
  const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: rows.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  rows[Math.max(0, Math.min(rows.length - 1, to))]?.focus();
}

function RoomRow(props: { room: RoomCopy; current: boolean; reachable: boolean }): VNode {
  const { room, current, reachable } = props;
  const name = roomName(state.copy, room);
  const group = room.room_kind === "group";
  const unread = current && document.hasFocus() ? 0 : room.unread;
  return (
    <li>
      <button
        type="button"
        class={current ? "room-row current" : "room-row"}
        aria-current={current ? "page" : undefined}
        tabIndex={reachable ? 0 : -1}
        onClick={() => go({ view: "room", room: room.room })}
      >
        <Avatar id={group ? room.room : otherOf(state.copy, room)} name={name} group={group} />
        <span class="room-text">
          <span class="room-line">
            <span class="room-name">{name}</span>
            {room.last && <time class="room-time">{shortTime(room.last.time_ms, Date.now())}</time>}
          </span>
          <span class="room-line">
            <Preview room={room} />
            {unread > 0 && (
              <span class="badge">
                <span aria-hidden="true">{unread > 99 ? "99+" : unread}</span>
                <span class="hidden">{plural("rooms.unread", unread)}</span>
              </span>
            )}
          </span>
        </span>
      </button>
    </li>
  );
}

function Preview({ room }: { room: RoomCopy }): VNode {
  const waiting = state.outbox.entries.findLast(
    (entry) => entry.command.kind === "send" && entry.command.room === room.room,
  );
  if (waiting?.command.kind === "send") {
    return (
      <span class="room-preview">
        <Icon name={waiting.failure ? "warn" : "clock"} />
        <span class="hidden">{t("rooms.pending")} </span>
        {t("rooms.you", { text: waiting.command.text })}
      </span>
    );
  }
  return <span class="room-preview">{lastWords(room)}</span>;
}

function lastWords(room: RoomCopy): string {
  const { last } = room;
  if (!last) return t("rooms.empty");
  if (last.author === state.copy.me) return t("rooms.you", { text: last.text });
  if (room.room_kind === "direct") return last.text;
  return t("rooms.by", { name: userName(state.copy, last.author), text: last.text });
}

function Navigation(): VNode {
  const { view } = state.route;
  const items: {
    to: "home" | "people" | "settings";
    icon: IconName;
    label: string;
    on: boolean;
  }[] = [
    { to: "home", icon: "chats", label: t("nav.chats"), on: view === "home" || view === "room" },
    { to: "people", icon: "people", label: t("nav.people"), on: view === "people" },
    {
      to: "settings",
      icon: "settings",
      label: t("nav.settings"),
      on: view === "settings" || view === "trust",
    },
  ];
  return (
    <nav class="main-nav" aria-label={t("nav.main")}>
      {items.map(({ to, icon, label, on }) => (
        <button
          key={to}
          type="button"
          class={on ? "nav-item current" : "nav-item"}
          aria-current={on ? "true" : undefined}
          onClick={() => go({ view: to })}
        >
          <Icon name={icon} />
          <span>{label}</span>
        </button>
      ))}
    </nav>
  );
}
