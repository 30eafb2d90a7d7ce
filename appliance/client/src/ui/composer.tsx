// Where a message is written. Enter sends, except while an input method is composing a character.
import type { VNode } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { sendDraft, setDraft } from "../app.ts";
import { TEXT_BYTES_MAX } from "../core/limits.ts";
import { t } from "../i18n/index.ts";
import { state } from "../store.ts";
import { IconButton } from "./parts.tsx";
import { bytesOf } from "./text.ts";

/** Safari reports the Enter that ends a composition as a key with this code and not composing. */
const COMPOSING_KEY_CODE = 229;

export function Composer({ room, name }: { room: number; name: string }): VNode {
  const area = useRef<HTMLTextAreaElement>(null);
  const draft = state.drafts.get(room) ?? "";
  const over = bytesOf(draft.trim()) - TEXT_BYTES_MAX;
  useEffect(() => {
    // On a phone the keyboard would cover the messages that were just opened.
    if (matchMedia("(pointer: fine)").matches) area.current?.focus();
  }, []);
  useLayoutEffect(() => {
    if (area.current) fit(area.current);
  }, [draft]);
  const send = (): void => {
    if (over > 0 || !area.current) return;
    sendDraft(room);
    // At once, not with the next frame: a fast key must not find the old text.
    area.current.value = "";
    area.current.focus();
  };
  const key = (event: KeyboardEvent): void => {
    const composing = event.isComposing || event.keyCode === COMPOSING_KEY_CODE;
    if (event.key !== "Enter" || event.shiftKey || composing) return;
    event.preventDefault();
    send();
  };
  return (
    <form class="composer" onSubmit={(event) => (event.preventDefault(), send())}>
      <textarea
        ref={area}
        rows={1}
        value={draft}
        dir="auto"
        enterkeyhint="send"
        aria-label={t("room.compose", { name })}
        placeholder={t("room.compose", { name })}
        aria-describedby="composer-hint"
        aria-invalid={over > 0}
        onKeyDown={key}
        onInput={(event) => setDraft(room, event.currentTarget.value)}
      />
      <IconButton
        icon="send"
        label={t("room.send")}
        onClick={send}
        class={draft.trim() === "" ? "send" : "send ready"}
      />
      <p
        id="composer-hint"
        class={over > 0 ? "composer-note wrong" : "composer-note"}
        role="status"
      >
        {over > 0 ? t("room.toolong", { count: over }) : t("room.hint")}
      </p>
    </form>
  );
}

/** As high as its text, up to the limit that the style sets. */
function fit(area: HTMLTextAreaElement): void {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}
