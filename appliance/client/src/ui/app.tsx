// The screen: which page is shown, the line's state on top, dialogs above everything.
import type { VNode } from "preact";
import { discard, dismissNotice, reconnect, retry } from "../app.ts";
import { t } from "../i18n/index.ts";
import { state, useStore } from "../store.ts";
import { BoxPage } from "./box.tsx";
import { Conversation } from "./conversation.tsx";
import { Dialogs } from "./dialogs.tsx";
import { ClaimPage, ElsewherePage, LoginPage, StartingPage } from "./gate.tsx";
import { UnreachablePage, UnsupportedPage } from "./gate.tsx";
import { Icon, IconButton, Logo } from "./parts.tsx";
import { PeoplePage } from "./people.tsx";
import { SettingsPage } from "./settings.tsx";
import { Sidebar } from "./sidebar.tsx";
import { TrustPage } from "./trust.tsx";

export function App(): VNode {
  const { page } = useStore();
  switch (page) {
    case "starting":
      return <StartingPage />;
    case "unsupported":
      return <UnsupportedPage />;
    case "unreachable":
      return <UnreachablePage />;
    case "elsewhere":
      return <ElsewherePage />;
    case "claim":
      return <ClaimPage />;
    case "login":
      return <LoginPage />;
    case "main":
      return <Main />;
  }
}

function Main(): VNode {
  const { view } = state.route;
  const unread = [...state.copy.rooms.values()].reduce((sum, room) => sum + room.unread, 0);
  document.title = unread > 0 ? `(${unread}) ${t("app.name")}` : t("app.name");
  return (
    <>
      <Line />
      <div class={view === "home" ? "columns at-home" : "columns"}>
        <Sidebar />
        <Detail />
      </div>
      <Dialogs />
    </>
  );
}

function Detail(): VNode {
  const { route } = state;
  switch (route.view) {
    case "room":
      return <Conversation id={route.room} />;
    case "people":
      return <PeoplePage />;
    case "settings":
      return <SettingsPage />;
    case "trust":
      return <TrustPage />;
    case "box":
      return <BoxPage />;
    case "home":
      return (
        <aside class="conversation nothing" aria-label={t("room.pick")}>
          <Logo large />
          <p class="quiet">{t("room.pick")}</p>
        </aside>
      );
  }
}

/** How the connection stands; silent while all is well. */
function Line(): VNode {
  const { phase } = state.session;
  const { trouble } = state.outbox;
  const waiting = state.lineTrouble && phase !== "live" && phase !== "catching_up";
  return (
    <div class="line" role="status">
      {waiting && (
        <p class="line-note">
          <Icon name="warn" />
          <span>{t("line.waiting")}</span>
          <button type="button" class="link-button" onClick={reconnect}>
            {t("line.retry")}
          </button>
        </p>
      )}
      {!waiting && trouble && (
        <p class="line-note">
          <Icon name="warn" />
          {t("line.trouble", { reason: t(`reason.${trouble}`) })}
        </p>
      )}
      <Failed />
      {state.notice && (
        <p class="line-note">
          <span>{t(state.notice.key, state.notice.values)}</span>
          <IconButton icon="close" label={t("action.close")} onClick={dismissNotice} />
        </p>
      )}
    </div>
  );
}

/** A refused command that no conversation shows. */
function Failed(): VNode | null {
  const entry = state.outbox.entries.find(
    ({ failure, command }) =>
      failure && (command.kind !== "send" || !state.copy.rooms.has(command.room)),
  );
  if (!entry?.failure) return null;
  return (
    <p class="line-note">
      <Icon name="warn" />
      <span>{t("line.failed", { reason: t(`reason.${entry.failure}`) })}</span>
      <button type="button" class="link-button" onClick={() => retry(entry.id)}>
        {t("message.retry")}
      </button>
      <button type="button" class="link-button" onClick={() => discard(entry.id)}>
        {t("message.discard")}
      </button>
    </p>
  );
}
