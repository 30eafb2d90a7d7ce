// Small parts every screen uses: icons, pictures, buttons, fields, dialogs.
import { Component, type ComponentChildren, type VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { closeDialog } from "../app.ts";
import { t } from "../i18n/index.ts";
import { state } from "../store.ts";
import { initials } from "./text.ts";

const PATHS = {
  back: "M15 5l-7 7 7 7",
  plus: "M12 5v14M5 12h14",
  group:
    "M9.5 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3 20c.3-3.6 2.9-6 6.5-6s6.2 2.4 6.5 6" +
    "M19 6.5v6M16 9.5h6",
  send: "M5 12h13M12 5l7 7-7 7",
  down: "M12 5v14M5 12l7 7 7-7",
  close: "M6 6l12 12M18 6L6 18",
  chats:
    "M4 6.5A2.5 2.5 0 0 1 6.5 4h11A2.5 2.5 0 0 1 20 6.5v7a2.5 2.5 0 0 1-2.5 2.5H11l-5 4v-4.2" +
    "A2.5 2.5 0 0 1 4 13.5z",
  people:
    "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20c.3-3.6 2.9-6 6.5-6s6.2 2.4 6.5 6" +
    "M16 4.6a3.5 3.5 0 0 1 0 6M18 14.5c2 .8 3.3 2.7 3.5 5.5",
  settings:
    "M4 7h9M17 7h3M4 17h3M11 17h9M15 9.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z" +
    "M9 19.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z",
  clock: "M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM12 7.5V12l3 2",
  check: "M5 12.5l4.5 4.5L19 7.5",
  checks: "M2 12.5l4.5 4.5L16 7.5M11.5 16l1 1L22 7.5",
  warn: "M12 4L2.8 19.5h18.4zM12 10v4.5M12 17v.3",
  shield: "M12 3.5l7.5 2.7v5.3c0 4.5-3 7.7-7.5 9.5-4.5-1.8-7.5-5-7.5-9.5V6.2z",
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5L20 20",
  leave: "M10 4H6a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h4M14 8l4 4-4 4M18 12H9",
} as const;
export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }): VNode {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The bird. */
export function Logo({ large = false }: { large?: boolean }): VNode {
  return (
    <svg
      class={large ? "logo large" : "logo"}
      viewBox="0 0 48 48"
      aria-hidden="true"
      focusable="false"
    >
      <path
        class="logo-back"
        d="M6 37c7-1 9-4 11-9 2-7 5-16 15-16 5 0 8 3 8.5 7L46 21l-5.5 3
        C40 33 33 40 24 40c-5 0-8-1-10-3z"
      />
      <path
        class="logo-breast"
        d="M40.5 24C40 33 33 40 24 40c-1.5 0-3-.1-4.2-.3C28 37 33 31 33.5 23.5z"
      />
      <circle class="logo-eye" cx="34.5" cy="18.5" r="1.8" />
    </svg>
  );
}

export function Avatar({ id, name, group }: { id: number; name: string; group: boolean }): VNode {
  return (
    <span class={`avatar tint-${id % 8}${group ? " group" : ""}`} aria-hidden="true">
      {group && !name ? <Icon name="people" /> : initials(name)}
    </span>
  );
}

interface IconButtonProps {
  icon: IconName;
  label: string;
  onClick: () => void;
  class?: string;
}

export function IconButton({ icon, label, onClick, class: extra }: IconButtonProps): VNode {
  return (
    <button
      type="button"
      class={`icon-button ${extra ?? ""}`}
      aria-label={label}
      title={label}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}

interface FieldProps {
  name: string;
  label: string;
  hint?: string;
  type?: "text" | "password";
  value?: string;
  autocomplete?: string;
  autofocus?: boolean;
}

/** An input with its label, hint and, when the form was refused for it, the reason. */
export function Field(props: FieldProps): VNode {
  const { problem } = state;
  const wrong = problem?.field === props.name ? problem : null;
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (wrong || props.autofocus) input.current?.focus();
  }, [wrong]);
  const described = `${props.name}-hint`;
  const attributes = {
    ref: input,
    id: `f-${props.name}`,
    name: props.name,
    defaultValue: props.value ?? "",
    autocomplete: props.autocomplete ?? "off",
    autocapitalize: "none",
    spellcheck: false,
    required: true,
    "aria-invalid": wrong !== null,
    "aria-describedby": described,
  } as const;
  return (
    <div class="field">
      <label for={`f-${props.name}`}>{props.label}</label>
      {props.type === "password" ? (
        <input type="password" {...attributes} />
      ) : (
        <input type="text" {...attributes} />
      )}
      <p id={described} class={wrong ? "field-note wrong" : "field-note"}>
        {wrong ? t(wrong.key, wrong.values) : props.hint}
      </p>
    </div>
  );
}

/** What went wrong with the form as a whole. */
export function FormProblem(): VNode {
  const { problem } = state;
  return (
    <p class="form-problem" role="alert">
      {problem && problem.field === "" ? t(problem.key, problem.values) : null}
    </p>
  );
}

export function SubmitButton({ label }: { label: string }): VNode {
  return (
    <button type="submit" class="button primary" aria-disabled={state.busy}>
      {label}
    </button>
  );
}

interface DialogFrameProps {
  title: string;
  children: ComponentChildren;
}

/** A modal dialog: the browser keeps the focus inside and closes it with Escape. */
export function DialogFrame({ title, children }: DialogFrameProps): VNode {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const opener = document.activeElement as HTMLElement | null;
    dialog.current?.showModal();
    return () => opener?.focus();
  }, []);
  return (
    <dialog
      ref={dialog}
      class="dialog"
      aria-labelledby="dialog-title"
      onClose={closeDialog}
      onClick={(event) => event.target === dialog.current && dialog.current?.close()}
    >
      <div class="dialog-body">
        <header class="dialog-head">
          <h2 id="dialog-title">{title}</h2>
          <IconButton icon="close" label={t("action.close")} onClick={closeDialog} />
        </header>
        {children}
      </div>
    </dialog>
  );
}

/** Draws again only when a property changed. */
export abstract class Still<P extends object> extends Component<P> {
  override shouldComponentUpdate(next: Readonly<P>): boolean {
    const now = this.props as Record<string, unknown>;
    return Object.entries(next).some(([name, value]) => now[name] !== value);
  }
}

/** Texts of a submitted form. */
export function formTexts(event: Event): Record<string, string> {
  event.preventDefault();
  const data = new FormData(event.currentTarget as HTMLFormElement);
  return Object.fromEntries([...data].map(([name, value]) => [name, String(value)]));
}
