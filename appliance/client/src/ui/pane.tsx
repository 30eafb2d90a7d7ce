// A page beside the room list: a heading, a way back, and content of readable width.
import type { ComponentChildren, VNode } from "preact";
import { go } from "../app.ts";
import { t } from "../i18n/index.ts";
import { IconButton } from "./parts.tsx";

interface PaneProps {
  title: string;
  back?: "home" | "settings";
  children: ComponentChildren;
}

export function Pane({ title, back = "home", children }: PaneProps): VNode {
  return (
    <main class="pane">
      <header class="pane-head">
        <IconButton
          icon="back"
          label={t("action.back")}
          onClick={() => go({ view: back })}
          class={back === "home" ? "phone-only" : ""}
        />
        <h1>{title}</h1>
      </header>
      <div class="pane-body">{children}</div>
    </main>
  );
}
