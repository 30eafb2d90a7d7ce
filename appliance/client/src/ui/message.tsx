// One message, sent or waiting. Text is only ever text; addresses in it become links.
import type { VNode } from "preact";
import { discard, retry } from "../app.ts";
import type { Entry } from "../core/outbox.ts";
import type { Message } from "../core/wire.ts";
import { t } from "../i18n/index.ts";
import { Avatar, Icon, Still } from "./parts.tsx";
import { clock, linkify } from "./text.ts";

function MessageText({ text }: { text: string }): VNode {
  return (
    <p class="message-text" dir="auto">
      {linkify(text).map(({ text: piece, href }) =>
        href === null ? (
          piece
        ) : (
          <a href={href} target="_blank" rel="noopener noreferrer">
            {piece}
          </a>
        ),
      )}
    </p>
  );
}

export interface SentProps {
  message: Message;
  first: boolean;
  last: boolean;
  mine: boolean;
  showAuthor: boolean;
  author: string;
  /** Who has read it, in words; empty when nobody or not shown. */
  read: string;
  /** Changes with the language, so that times are drawn again. */
  tongue: string;
}

export class SentMessage extends Still<SentProps> {
  override render(): VNode {
    const { message, first, last, mine, showAuthor, author, read } = this.props;
    return (
      <li class={look(mine, first, last)} data-seq={message.seq}>
        {showAuthor &&
          !mine &&
          (last ? (
            <Avatar id={message.author} name={author} group={false} />
          ) : (
            <span class="avatar-gap" />
          ))}
        <div class="bubble">
          <span
            class={showAuthor && first && !mine ? `author ink-${message.author % 8}` : "hidden"}
          >
            {mine ? t("message.you") : author}
          </span>
          <MessageText text={message.text} />
          <span class="stamp">
            <time>{clock(message.time_ms)}</time>
            {mine && <State icon={read ? "checks" : "check"} label={read || t("message.sent")} />}
          </span>
        </div>
      </li>
    );
  }
}

function look(mine: boolean, first: boolean, last: boolean): string {
  return ["message", mine ? "mine" : "theirs", first ? "first" : "", last ? "last" : ""].join(" ");
}

function State({ icon, label }: { icon: "check" | "checks" | "clock"; label: string }): VNode {
  return (
    <span class={`state ${icon}`} title={label}>
      <Icon name={icon} />
      <span class="hidden">{label}</span>
    </span>
  );
}

interface WaitingProps {
  entry: Entry;
  text: string;
  first: boolean;
  last: boolean;
}

export function WaitingMessage({ entry, text, first, last }: WaitingProps): VNode {
  const { failure } = entry;
  return (
    <li class={`${look(true, first, last)} ${failure ? "failed" : "pending"}`}>
      <div class="bubble">
        <span class="hidden">{t("message.you")}</span>
        <MessageText text={text} />
        <span class="stamp">
          <time>{clock(entry.written_ms)}</time>
          {!failure && <State icon="clock" label={t("message.pending")} />}
        </span>
      </div>
      {failure && (
        <div class="failure" role="alert">
          <Icon name="warn" />
          <span>{t("message.failed", { reason: t(`reason.${failure}`) })}</span>
          <button type="button" class="link-button" onClick={() => retry(entry.id)}>
            {t("message.retry")}
          </button>
          <button type="button" class="link-button" onClick={() => discard(entry.id)}>
            {t("message.discard")}
          </button>
        </div>
      )}
    </li>
  );
}
