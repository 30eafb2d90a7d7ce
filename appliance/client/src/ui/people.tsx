// Everybody on the box; owner and admins add people here.
import type { VNode } from "preact";
import { openDialog, openDirect } from "../app.ts";
import type { User } from "../core/wire.ts";
import { t } from "../i18n/index.ts";
import { state } from "../store.ts";
import { Pane } from "./pane.tsx";
import { Avatar, Icon } from "./parts.tsx";

export function mayManage(): boolean {
  const role = state.copy.users.get(state.copy.me)?.role;
  return role === "owner" || role === "admin";
}

export function usersByName(): User[] {
  return [...state.copy.users.values()].sort((a, b) => a.name.localeCompare(b.name));
}

export function PeoplePage(): VNode {
  return (
    <Pane title={t("people.title")}>
      <p>{t("people.lead")}</p>
      {mayManage() && (
        <p>
          <button
            type="button"
            class="button primary"
            onClick={() => openDialog({ kind: "add_user" })}
          >
            <Icon name="plus" />
            {t("people.add")}
          </button>
        </p>
      )}
      <ul class="people">
        {usersByName().map((user) => (
          <Person key={user.user} user={user} />
        ))}
      </ul>
    </Pane>
  );
}

function Person({ user }: { user: User }): VNode {
  const me = user.user === state.copy.me;
  const body = (
    <>
      <Avatar id={user.user} name={user.name} group={false} />
      <span class="person-name">
        {user.name}
        {me && <em class="quiet">{t("members.you")}</em>}
      </span>
      <span class="quiet">{t(`role.${user.role}`)}</span>
    </>
  );
  if (me)
    return (
      <li>
        <div class="person">{body}</div>
      </li>
    );
  return (
    <li>
      <button type="button" class="person" onClick={() => openDirect(user.user)}>
        {body}
      </button>
    </li>
  );
}
