// Language, appearance, account, trust.
import type { VNode } from "preact";
import { go, setLanguage, setTheme, signOut } from "../app.ts";
import { t } from "../i18n/index.ts";
import { state, type Language, type Theme } from "../store.ts";
import { Pane } from "./pane.tsx";
import { Icon } from "./parts.tsx";
import { mayManage } from "./people.tsx";

interface Option<T> {
  value: T;
  label: string;
  lang?: string;
}
interface ChoiceProps<T extends string> {
  name: string;
  legend: string;
  value: T;
  options: Option<T>[];
  onPick: (value: T) => void;
}

export function Choice<T extends string>(props: ChoiceProps<T>): VNode {
  return (
    <fieldset class="choice">
      <legend>{props.legend}</legend>
      {props.options.map(({ value, label, lang }) => (
        <label key={value} lang={lang}>
          <input
            type="radio"
            name={props.name}
            value={value}
            checked={props.value === value}
            onChange={() => props.onPick(value)}
          />
          <span>{label}</span>
        </label>
      ))}
    </fieldset>
  );
}

export function SettingsPage(): VNode {
  const languages: Option<Language>[] = [
    { value: "auto", label: t("settings.language.auto") },
    { value: "en", label: "English", lang: "en" },
    { value: "zh", label: "中文", lang: "zh-Hans" },
  ];
  const themes: Theme[] = ["auto", "light", "dark"];
  return (
    <Pane title={t("settings.title")}>
      <Choice
        name="language"
        legend={t("settings.language")}
        value={state.language}
        options={languages}
        onPick={setLanguage}
      />
      <Choice
        name="theme"
        legend={t("settings.theme")}
        value={state.theme}
        onPick={setTheme}
        options={themes.map((value) => ({ value, label: t(`settings.theme.${value}`) }))}
      />
      <Account />
      {mayManage() && (
        <>
          <h2>{t("box.title")}</h2>
          <p>
            <button type="button" class="button" onClick={() => go({ view: "box" })}>
              <Icon name="settings" />
              {t("box.open")}
            </button>
          </p>
        </>
      )}
      <h2>{t("settings.trust")}</h2>
      <p>
        <button type="button" class="button" onClick={() => go({ view: "trust" })}>
          <Icon name="shield" />
          {t("trust.brings")}
        </button>
      </p>
      <p class="quiet">{t("settings.version", { version: __APP_VERSION__ })}</p>
    </Pane>
  );
}

function Account(): VNode {
  const me = state.copy.users.get(state.copy.me);
  const leave = (): void => {
    const waiting = state.outbox.entries.length > 0;
    if (!waiting || confirm(t("settings.signout.pending"))) void signOut();
  };
  return (
    <section class="stack">
      <h2>{t("settings.account")}</h2>
      {me && <p>{t("settings.signedin", { name: me.name, role: t(`role.${me.role}`) })}</p>}
      <p>
        <button type="button" class="button" onClick={leave}>
          <Icon name="leave" />
          {t("settings.signout")}
        </button>
      </p>
    </section>
  );
}
