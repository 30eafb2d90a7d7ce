// The pages before the chats: opening, unreachable, open elsewhere, claim, login.
import type { ComponentChildren, VNode } from "preact";
import { claimBox, logIn, setLanguage, takeTurn } from "../app.ts";
import { locale, t } from "../i18n/index.ts";
import { state } from "../store.ts";
import { Field, formTexts, FormProblem, Logo, SubmitButton } from "./parts.tsx";
import { Words } from "./trust.tsx";

function Gate({ title, children }: { title: string; children?: ComponentChildren }): VNode {
  return (
    <main class="gate">
      <div class="gate-card">
        <Logo large />
        <h1>{title}</h1>
        {children}
      </div>
      <LanguageSwitch />
    </main>
  );
}

/** The other language by its own name, for people who can't read this one. */
function LanguageSwitch(): VNode {
  const other =
    locale() === "en"
      ? ({ tongue: "zh", name: "中文" } as const)
      : ({ tongue: "en", name: "English" } as const);
  return (
    <button
      type="button"
      class="link-button"
      lang={other.tongue}
      onClick={() => setLanguage(other.tongue)}
    >
      {other.name}
    </button>
  );
}

export function StartingPage(): VNode {
  return (
    <main class="gate">
      <p class="quiet" role="status">
        {t("app.starting")}
      </p>
    </main>
  );
}

export function UnsupportedPage(): VNode {
  return (
    <Gate title={t("app.unsupported")}>
      <p>{t("app.unsupported.hint")}</p>
    </Gate>
  );
}

export function UnreachablePage(): VNode {
  return (
    <Gate title={t("app.unreachable")}>
      <p role="status">{t("app.unreachable.hint")}</p>
    </Gate>
  );
}

export function ElsewherePage(): VNode {
  return (
    <Gate title={t("app.elsewhere")}>
      <p>{t("app.elsewhere.hint")}</p>
      <button type="button" class="button primary" onClick={takeTurn}>
        {t("app.elsewhere.take")}
      </button>
    </Gate>
  );
}

export function ClaimPage(): VNode {
  const submit = (event: Event): void => {
    const { token, name, password } = formTexts(event);
    void claimBox(state.claimToken || (token ?? ""), (name ?? "").trim(), password ?? "");
  };
  const askToken = !state.claimToken || state.problem?.field === "token";
  return (
    <Gate title={t("claim.title")}>
      <p>{t("claim.lead")}</p>
      <form onSubmit={submit} noValidate>
        {askToken && <Field name="token" label={t("claim.token")} hint={t("claim.token.hint")} />}
        <Field name="name" label={t("field.name")} autocomplete="username" autofocus />
        <Field
          name="password"
          label={t("field.password")}
          type="password"
          autocomplete="new-password"
          hint={t("field.password.hint")}
        />
        <FormProblem />
        <SubmitButton label={t("claim.submit")} />
      </form>
      <section class="gate-aside" aria-labelledby="fingerprint-title">
        <h2 id="fingerprint-title">{t("claim.fingerprint")}</h2>
        <Words words={state.facts?.words ?? []} />
        <p class="quiet">{t("claim.fingerprint.hint")}</p>
      </section>
    </Gate>
  );
}

export function LoginPage(): VNode {
  const submit = (event: Event): void => {
    const { name, password } = formTexts(event);
    void logIn((name ?? "").trim(), password ?? "");
  };
  return (
    <Gate title={t("login.title")}>
      <p role="status">{state.loginNote ? t(state.loginNote) : t("login.lead")}</p>
      <form onSubmit={submit} noValidate>
        <Field name="name" label={t("field.name")} autocomplete="username" autofocus />
        <Field
          name="password"
          label={t("field.password")}
          type="password"
          autocomplete="current-password"
        />
        <FormProblem />
        <SubmitButton label={t("login.submit")} />
      </form>
      <p class="quiet">{t("login.help")}</p>
    </Gate>
  );
}
