// The dialogs: new chat, new group, members, leave, add a person.
import type { VNode } from "preact";
import { addUser, closeDialog, command, go, openDirect } from "../app.ts";
import type { RoomCopy } from "../core/sync.ts";
import type { History, User } from "../core/wire.ts";
import { t } from "../i18n/index.ts";
import { state } from "../store.ts";
import { FactoryResetDialog } from "./box.tsx";
import {
  Avatar,
  DialogFrame,
  Field,
  formTexts,
  FormProblem,
  Icon,
  SubmitButton,
} from "./parts.tsx";
import { usersByName } from "./people.tsx";
import { roomName, userName } from "./text.ts";

export function Dialogs(): VNode | null {
  const { dialog } = state;
  if (!dialog) return null;
  switch (dialog.kind) {
    case "new_chat":
      return <NewChat />;
    case "new_group":
      return <NewGroup />;
    case "add_user":
      return <AddUser />;
    case "factory_reset":
      return <FactoryResetDialog />;
    case "members":
      return withRoom(dialog.room, (room) => <Members room={room} />);
    case "leave":
      return withRoom(dialog.room, (room) => <Leave room={room} />);
  }
}

function withRoom(id: number, draw: (room: RoomCopy) => VNode): VNode | null {
  const room = state.copy.rooms.get(id);
  return room ? draw(room) : null;
}

function others(): User[] {
  return usersByName().filter((user) => user.user !== state.copy.me);
}

function NewChat(): VNode {
  const people = others();
  return (
    <DialogFrame title={t("newchat.title")}>
      <p class="quiet">{t(people.length > 0 ? "newchat.hint" : "newchat.nobody")}</p>
      <ul class="people">
        {people.map((user) => (
          <li key={user.user}>
            <button type="button" class="person" onClick={() => openDirect(user.user)}>
              <Avatar id={user.user} name={user.name} group={false} />
              <span class="person-name">{user.name}</span>
            </button>
          </li>
        ))}
      </ul>
    </DialogFrame>
  );
}

function NewGroup(): VNode {
  const submit = (event: Event): void => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const name = String(data.get("group") ?? "").trim();
    if (name === "") return;
    const members = data.getAll("member").map(Number);
    command({ kind: "create_room", name, members, history: data.get("history") as History });
    closeDialog();
  };
  return (
    <DialogFrame title={t("newgroup.title")}>
      <form onSubmit={submit}>
        <Field name="group" label={t("newgroup.name")} autofocus />
        <fieldset class="people-choice">
          <legend>{t("newgroup.people")}</legend>
          {others().map((user) => (
            <label key={user.user} class="person">
              <Avatar id={user.user} name={user.name} group={false} />
              <span class="person-name">{user.name}</span>
              <input type="checkbox" name="member" value={user.user} />
            </label>
          ))}
        </fieldset>
        <HistoryChoice />
        <SubmitButton label={t("newgroup.submit")} />
      </form>
    </DialogFrame>
  );
}

function HistoryChoice(): VNode {
  return (
    <fieldset class="choice">
      <legend>{t("newgroup.history")}</legend>
      {(["all", "since_join"] as const).map((history) => (
        <label key={history}>
          <input type="radio" name="history" value={history} defaultChecked={history === "all"} />
          <span>{t(`newgroup.history.${history}`)}</span>
        </label>
      ))}
    </fieldset>
  );
}

function Members({ room }: { room: RoomCopy }): VNode {
  const inside = new Set(room.members.map((member) => member.user));
  const outside = others().filter((user) => !inside.has(user.user));
  const add = (user: number): void => command({ kind: "add_member", room: room.room, user });
  return (
    <DialogFrame title={t("members.title", { name: roomName(state.copy, room) })}>
      <ul class="people">
        {[...inside].map((user) => (
          <MemberRow key={user} room={room} user={user} />
        ))}
      </ul>
      <h3>{t("members.add")}</h3>
      {outside.length === 0 && <p class="quiet">{t("members.all")}</p>}
      <ul class="people">
        {outside.map((user) => (
          <li key={user.user}>
            <button type="button" class="person" onClick={() => add(user.user)}>
              <Avatar id={user.user} name={user.name} group={false} />
              <span class="person-name">{user.name}</span>
              <Icon name="plus" />
            </button>
          </li>
        ))}
      </ul>
    </DialogFrame>
  );
}

function MemberRow({ room, user }: { room: RoomCopy; user: number }): VNode {
  const name = userName(state.copy, user);
  const me = user === state.copy.me;
  return (
    <li class="person">
      <Avatar id={user} name={name} group={false} />
      <span class="person-name">
        {name}
        {me && <em class="quiet">{t("members.you")}</em>}
      </span>
      {!me && (
        <button
          type="button"
          class="icon-button"
          aria-label={t("members.remove", { name })}
          title={t("members.remove", { name })}
          onClick={() => command({ kind: "remove_member", room: room.room, user })}
        >
          <Icon name="close" />
        </button>
      )}
    </li>
  );
}

function Leave({ room }: { room: RoomCopy }): VNode {
  const leave = (): void => {
    command({ kind: "remove_member", room: room.room, user: state.copy.me });
    closeDialog();
    go({ view: "home" });
  };
  return (
    <DialogFrame title={t("leave.title", { name: roomName(state.copy, room) })}>
      <p>{t("leave.text")}</p>
      <div class="dialog-actions">
        <button type="button" class="button" onClick={closeDialog}>
          {t("action.cancel")}
        </button>
        <button type="button" class="button danger" onClick={leave}>
          {t("leave.submit")}
        </button>
      </div>
    </DialogFrame>
  );
}

function AddUser(): VNode {
  const submit = async (event: Event): Promise<void> => {
    const { name, password, role } = formTexts(event);
    if (await addUser((name ?? "").trim(), password ?? "", role ?? "member")) closeDialog();
  };
  return (
    <DialogFrame title={t("adduser.title")}>
      <form onSubmit={(event) => void submit(event)} noValidate>
        <Field name="name" label={t("field.name")} autofocus />
        <Field
          name="password"
          label={t("field.password")}
          hint={t("field.password.hint")}
          autocomplete="new-password"
        />
        <fieldset class="choice">
          <legend>{t("field.role")}</legend>
          {(["member", "admin"] as const).map((role) => (
            <label key={role}>
              <input type="radio" name="role" value={role} defaultChecked={role === "member"} />
              <span>{t(`role.${role}`)}</span>
            </label>
          ))}
        </fieldset>
        <FormProblem />
        <SubmitButton label={t("adduser.submit")} />
      </form>
    </DialogFrame>
  );
}
