// The conversation on screen: its head, its messages, its composer.
import type { VNode } from "preact";
import { go, openDialog } from "../app.ts";
import type { RoomCopy } from "../core/sync.ts";
import { plural, t } from "../i18n/index.ts";
import { state } from "../store.ts";
import { Composer } from "./composer.tsx";
import { Log } from "./log.tsx";
import { Avatar, IconButton } from "./parts.tsx";
import { otherOf, roomName } from "./text.ts";

export function Conversation({ id }: { id: number }): VNode {
  const room = state.copy.rooms.get(id);
  if (!room) return <NoRoom />;
  return (
    <main
      class="conversation"
      onKeyDown={(event) => event.key === "Escape" && go({ view: "home" })}
    >
      <Head room={room} />
      <Log key={`log${id}`} room={room} />
      <Composer key={`compose${id}`} room={id} name={roomName(state.copy, room)} />
    </main>
  );
}

function NoRoom(): VNode {
  const gone = state.session.phase === "live";
  return (
    <main class="conversation nothing">
      <p class="quiet">{gone ? t("room.gone") : null}</p>
      <p>
        <button type="button" class="button" onClick={() => go({ view: "home" })}>
          {t("room.back")}
        </button>
      </p>
    </main>
  );
}

function Head({ room }: { room: RoomCopy }): VNode {
  const group = room.room_kind === "group";
  const name = roomName(state.copy, room);
  return (
    <header class="room-head">
      <IconButton
        icon="back"
        label={t("room.back")}
        class="phone-only"
        onClick={() => go({ view: "home" })}
      />
      <Avatar id={group ? room.room : otherOf(state.copy, room)} name={name} group={group} />
      <div class="room-title">
        <h1>{name}</h1>
        <p class="quiet">
          {group ? plural("room.members", room.members.length) : t("room.direct")}
        </p>
      </div>
      {group && (
        <>
          <IconButton
            icon="people"
            label={t("room.menu.members")}
            onClick={() => openDialog({ kind: "members", room: room.room })}
          />
          <IconButton
            icon="leave"
            label={t("room.menu.leave")}
            onClick={() => openDialog({ kind: "leave", room: room.room })}
          />
        </>
      )}
    </header>
  );
}
