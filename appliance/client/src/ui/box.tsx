// The box itself, for those who manage it: how it is, clock, network, restart, factory reset.
import type { VNode } from "preact";
import { useEffect } from "preact/hooks";
import { openDialog } from "../app.ts";
import * as box from "../box.ts";
import type { BoxReport } from "../shell/api.ts";
import { t } from "../i18n/index.ts";
import { state } from "../store.ts";
import { Pane } from "./pane.tsx";
import { DialogFrame, Field, FormProblem, formTexts, Icon, SubmitButton } from "./parts.tsx";

export function BoxPage(): VNode {
  useEffect(() => void box.look(), []);
  return (
    <Pane title={t("box.title")} back="settings">
      <Content />
    </Pane>
  );
}

function Content(): VNode {
  if (state.box === "asking") return <p class="quiet">{t("box.asking")}</p>;
  if (state.box === "absent") return <p>{t("box.absent")}</p>;
  const report = state.box;
  return (
    <>
      <FormProblem />
      <Notes report={report} />
      <Facts report={report} />
      <NameForm name={report.host_name} />
      <WifiForm />
      <End />
    </>
  );
}

/** What needs the owner comes first. */
function Notes({ report }: { report: BoxReport }): VNode | null {
  if (report.clock.set && report.notes.length === 0) return null;
  return (
    <section class="stack" aria-label={t("box.notes")}>
      <ul class="plain-list">
        {!report.clock.set && (
          <li>
            <Icon name="warn" />
            <span>
              {t("box.clock.unset")}{" "}
              <button type="button" class="link-button" onClick={() => void box.giveTime()}>
                {t("box.clock.give")}
              </button>
            </span>
          </li>
        )}
        {report.notes.map((note) => (
          <li key={note}>
            <Icon name="warn" />
            {note}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Facts({ report }: { report: BoxReport }): VNode {
  const unknown = t("box.unknown");
  const rows = [
    [t("box.name"), `${report.host_name}.local`],
    [t("box.addresses"), report.addresses.join(", ") || t("box.noaddress")],
    [t("box.board"), report.board || unknown],
    [t("box.release"), report.release || unknown],
    [t("box.clock"), clock(report)],
  ] as const;
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function clock({ clock: { set, time_ms, source } }: BoxReport): string {
  const time = new Date(time_ms).toLocaleString(document.documentElement.lang);
  return set && source ? t("box.clock.from", { time, source }) : time;
}

function NameForm({ name }: { name: string }): VNode {
  const save = (event: Event): void => {
    void box.saveName((formTexts(event)["host_name"] ?? "").trim().toLowerCase());
  };
  return (
    <form onSubmit={save} noValidate>
      <h2>{t("box.name")}</h2>
      <Field name="host_name" label={t("box.name.label")} value={name} hint={t("box.name.hint")} />
      <SubmitButton label={t("box.save")} />
    </form>
  );
}

function WifiForm(): VNode {
  const save = (event: Event): void => {
    const { wifi, passphrase, country } = formTexts(event);
    void box.saveWifi(wifi ?? "", passphrase ?? "", (country ?? "").trim());
  };
  return (
    <form onSubmit={save} noValidate>
      <h2>{t("box.wifi")}</h2>
      <p class="quiet">{t("box.wifi.lead")}</p>
      <Field name="wifi" label={t("box.wifi.ssid")} />
      <Field
        name="passphrase"
        label={t("box.wifi.passphrase")}
        type="password"
        hint={t("box.wifi.open")}
        autocomplete="off"
      />
      <Field name="country" label={t("box.wifi.country")} hint={t("box.wifi.country.hint")} />
      <SubmitButton label={t("box.save")} />
    </form>
  );
}

function End(): VNode {
  const owner = state.copy.users.get(state.copy.me)?.role === "owner";
  const sure =
    (key: "box.end.sure" | "box.poweroff.sure", run: () => Promise<void>) => (): void => {
      if (confirm(t(key))) void run();
    };
  return (
    <section class="stack">
      <h2>{t("box.end")}</h2>
      <p class="button-row">
        <button type="button" class="button" onClick={sure("box.end.sure", box.restart)}>
          {t("box.restart")}
        </button>
        <button type="button" class="button" onClick={sure("box.poweroff.sure", box.powerOff)}>
          {t("box.poweroff")}
        </button>
        {owner && (
          <button
            type="button"
            class="button danger"
            onClick={() => openDialog({ kind: "factory_reset" })}
          >
            {t("box.reset")}
          </button>
        )}
      </p>
    </section>
  );
}

export function FactoryResetDialog(): VNode {
  const submit = (event: Event): void => {
    void box.factoryReset(formTexts(event)["password"] ?? "");
  };
  return (
    <DialogFrame title={t("box.reset")}>
      <p>{t("box.reset.text")}</p>
      <form onSubmit={submit} noValidate>
        <Field
          name="password"
          label={t("field.password")}
          type="password"
          autocomplete="current-password"
          autofocus
        />
        <FormProblem />
        <SubmitButton label={t("box.reset.submit")} />
      </form>
    </DialogFrame>
  );
}
