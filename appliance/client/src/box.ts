// What an owner does with the box itself: look, clock, network, restart, factory reset.
import { closeDialog, submit } from "./app.ts";
import { boxOrder, boxReport } from "./shell/api.ts";
import { changed, notify, state } from "./store.ts";

/** Asks the box how it is; on a server without a card's system there is nothing to show. */
export async function look(): Promise<void> {
  // What is on screen stays there, half-typed forms with it.
  if (typeof state.box !== "object") state.box = "asking";
  changed();
  const token = state.account?.token ?? "";
  state.box = await boxReport(token).catch(() => "absent" as const);
  changed();
}

export function giveTime(): Promise<boolean> {
  return order("box_time", "time", { time_ms: Date.now() });
}

export async function saveName(host_name: string): Promise<void> {
  if (await order("box_name", "settings", { host_name })) notify("box.saved");
}

export async function saveWifi(ssid: string, passphrase: string, country: string): Promise<void> {
  const wifi = {
    ssid,
    passphrase: passphrase === "" ? null : passphrase,
    country: country === "" ? null : country.toUpperCase(),
  };
  if (await order("box_wifi", "settings", { wifi })) notify("box.saved");
}

export async function restart(): Promise<void> {
  if (await order("box_end", "restart", {})) notify("box.restarting");
}

export async function powerOff(): Promise<void> {
  if (await order("box_end", "power-off", {})) notify("box.off");
}

/** The password is asked anew: a page that was left open is not enough. */
export async function factoryReset(password: string): Promise<void> {
  if (!(await order("box_reset", "factory-reset", { password }))) return;
  closeDialog();
  notify("box.erasing");
}

async function order(form: string, what: string, body: object): Promise<boolean> {
  let done = false;
  await submit(form, async () => {
    await boxOrder(state.account?.token ?? "", what, body);
    done = true;
  });
  if (done && (what === "time" || what === "settings")) void look();
  return done;
}
