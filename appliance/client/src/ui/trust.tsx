// The trust page: what the box's certificate is, what trusting it brings, and how.
import type { VNode } from "preact";
import { t } from "../i18n/index.ts";
import { state } from "../store.ts";
import { Icon } from "./parts.tsx";
import { Pane } from "./pane.tsx";

/** The eight-word fingerprint, numbered so that two people can compare it aloud. */
export function Words({ words }: { words: readonly string[] }): VNode {
  return (
    <ol class="words">
      {words.map((word) => (
        <li key={word}>{word}</li>
      ))}
    </ol>
  );
}

export function TrustPage(): VNode {
  const brings = ["trust.brings.1", "trust.brings.2", "trust.brings.3"] as const;
  const how = ["trust.how.1", "trust.how.2", "trust.how.3"] as const;
  return (
    <Pane title={t("trust.title")} back="settings">
      <p>{t("trust.lead")}</p>
      <h2>{t("trust.brings")}</h2>
      <ul class="plain-list">
        {brings.map((key) => (
          <li key={key}>
            <Icon name="check" />
            {t(key)}
          </li>
        ))}
      </ul>
      <h2>{t("trust.how")}</h2>
      <ol class="steps">
        {how.map((key) => (
          <li key={key}>{t(key)}</li>
        ))}
      </ol>
      <p>
        <a class="button primary" href="/ca.crt" download="linnet-ca.crt">
          {t("trust.download")}
        </a>
      </p>
      <h2>{t("claim.fingerprint")}</h2>
      <Words words={state.facts?.words ?? []} />
      <p class="quiet">{t("trust.limit")}</p>
    </Pane>
  );
}
