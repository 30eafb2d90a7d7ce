// What a person can do, and how the page comes up: each verb changes the store or calls the engine.
import { NAME_BYTES_MAX, OUTBOX_MAX } from "./core/limits.ts";
import { newOutbox } from "./core/outbox.ts";
import { isUp, newSession, type Stop } from "./core/session.ts";
import { newCopy } from "./core/sync.ts";
import type { Command } from "./core/wire.ts";
import { Engine } from "./engine.ts";
import { preferred, setTongue, type Key } from "./i18n/index.ts";
import * as api from "./shell/api.ts";
import { Store, type Account } from "./shell/db.ts";
import { Turn } from "./shell/tabs.ts";
import {
  changed,
  notify,
  state,
  type Dialog,
  type Language,
  type Route,
  type Theme,
} from "./store.ts";

const BOX_KEY = "linnet.box";
const LANGUAGE_KEY = "linnet.language";
const THEME_KEY = "linnet.theme";
const FACTS_AGAIN_MS = 2_000;
const PASSWORD_LENGTH_MIN = 8;
/** A free turn comes at once; after this time another tab has it. */
const TURN_WITHIN_MS = 400;

let store: Store | null = null;
let engine: Engine | null = null;
let turn: Turn | null = null;

/** Brings the page up: the stored copy at once when there is one, else the box's facts. */
export async function start(): Promise<void> {
  takeClaimToken();
  loadSettings();
  addEventListener("hashchange", followAddress);
  const box = localStorage.getItem(BOX_KEY);
  if (box && !state.claimToken) {
    await openBox(box);
    if (state.account) return enter();
  }
  await learnFacts();
}

/** For browsers that let nothing be stored. */
export function unsupported(error: unknown): void {
  console.error(error);
  state.page = "unsupported";
  changed();
}

/** The secret leaves the address bar, and with it the history, before anything else happens. */
function takeClaimToken(): void {
  const match = /^#claim=(.*)$/.exec(location.hash);
  if (!match) return;
  state.claimToken = match[1] ?? "";
  history.replaceState(null, "", location.pathname);
}

async function learnFacts(): Promise<void> {
  state.facts = null;
  while (!state.facts) {
    state.facts = await api.facts().catch(() => null);
    if (state.facts) break;
    state.page = "unreachable";
    changed();
    await new Promise((resolve) => setTimeout(resolve, FACTS_AGAIN_MS));
  }
  await openBox(state.facts.box_id);
  if (state.account && state.facts.claimed) return enter();
  if (state.claimToken && state.facts.claimed) state.loginNote = "claim.already";
  state.page = state.facts.claimed ? "login" : "claim";
  changed();
}

async function openBox(box: string): Promise<void> {
  if (store?.box === box) return;
  store?.close();
  store = await Store.open(box);
  localStorage.setItem(BOX_KEY, box);
  Object.assign(state, { copy: newCopy(), outbox: newOutbox(), session: newSession(box) });
  state.loaded.clear();
  await store.load(state.copy, state.outbox);
  state.account = await store.account();
}

/** Shows the chats and waits for this tab's turn to write. */
function enter(): void {
  state.page = "main";
  state.loginNote = null;
  followAddress();
  changed();
  if (!store) return;
  turn ??= new Turn(store.box, { gained: () => void resume(), lost: () => lostTurn() });
  turn.wait();
  setTimeout(() => {
    if (!turn?.held && state.page === "main") elsewhere();
  }, TURN_WITHIN_MS);
}

/** The database is gone when another tab signed out meanwhile: begin from the start. */
async function resume(): Promise<void> {
  await gained().catch(() => location.reload());
}

async function gained(): Promise<void> {
  if (!store) return;
  const [copy, outbox] = [newCopy(), newOutbox()];
  await store.load(copy, outbox);
  Object.assign(state, { copy, outbox, page: "main" });
  state.loaded.clear();
  state.account = await store.account();
  if (!state.account) return location.reload();
  await startEngine(store, state.account);
}

async function startEngine(open: Store, account: Account): Promise<void> {
  engine = new Engine(open, account, { stopped, roomReady: (room) => go({ view: "room", room }) });
  await engine.start();
  if (state.route.view === "room") await engine.show(state.route.room);
  changed();
}

async function lostTurn(): Promise<void> {
  const ended = engine;
  engine = null;
  await ended?.stop("elsewhere");
  elsewhere();
}

function elsewhere(): void {
  state.page = "elsewhere";
  changed();
}

/** A person wants to use this tab: the other one hands over. */
export function takeTurn(): void {
  turn?.ask();
}

function stopped(why: Stop): void {
  if (why === "bad_token") void signedOutBy("login.note.revoked");
  if (why === "behind") void signedOutBy("login.note.behind");
  if (why === "other_box") void changeBox();
  if (why === "elsewhere" && state.page === "main") elsewhere();
}

/** Back to the login page; copy and outbox stay, and go to the same person only. */
async function signedOutBy(note: Key): Promise<void> {
  const ended = engine;
  engine = null;
  await ended?.stop("signed_out");
  await store?.setAccount(null);
  Object.assign(state, { account: null, page: "login", loginNote: note, problem: null });
  changed();
}

/** This address answers as another box now: its database is another one, too. */
async function changeBox(): Promise<void> {
  const ended = engine;
  engine = null;
  await ended?.stop("other_box");
  localStorage.removeItem(BOX_KEY);
  location.reload();
}

export function claimBox(token: string, name: string, password: string): Promise<void> {
  return signIn("claim", name, password, () => api.claim(token.trim(), name, password));
}

export function logIn(name: string, password: string): Promise<void> {
  return signIn("login", name, password, () => api.login(name, password));
}

async function signIn(
  form: "claim" | "login",
  name: string,
  password: string,
  call: () => Promise<api.SignedIn>,
): Promise<void> {
  await submit(form, async () => {
    if (!checkAccount(name, form === "claim" ? password : null)) return;
    const answer = await call();
    const account = { ...answer, name };
    const stranger = state.copy.me !== 0 && state.copy.me !== account.user;
    if (stranger && store) await forget(store);
    await store?.setAccount(account);
    state.account = account;
    state.claimToken = "";
    if (turn?.held) await gained();
    else enter();
  });
}

/** Another person signs in on this browser: nothing of the former one stays. */
async function forget(open: Store): Promise<void> {
  await open.destroy();
  store = null;
  await openBox(open.box);
}

export async function addUser(name: string, password: string, role: string): Promise<boolean> {
  let done = false;
  await submit("add_user", async () => {
    if (!state.account || !checkAccount(name, password)) return;
    await api.addUser(state.account.token, name, password, role);
    notify("people.added", { name });
    done = true;
  });
  return done;
}

/** Runs a form's request; its refusal ends up beside the right field. */
export async function submit(form: string, run: () => Promise<void>): Promise<void> {
  if (state.busy) return;
  Object.assign(state, { busy: true, problem: null });
  changed();
  try {
    await run();
  } catch (error) {
    complain(form, error);
  } finally {
    state.busy = false;
    changed();
  }
}

function checkAccount(name: string, newPassword: string | null): boolean {
  const bytes = new TextEncoder().encode(name).length;
  if (bytes === 0) return problem("error.empty", "name");
  if (bytes > NAME_BYTES_MAX) return problem("error.name.long", "name");
  if (newPassword === null || newPassword.length >= PASSWORD_LENGTH_MIN) return true;
  return problem("error.password.short", "password");
}

function problem(key: Key, field: string, values = {}): false {
  state.problem = { key, field, values };
  changed();
  return false;
}

const BY_REASON: Record<string, Key> = {
  network: "error.network",
  wrong_token: "error.claim",
  used_token: "error.claim",
  name_taken: "error.name.taken",
  empty: "error.empty",
  over_limit: "error.over_limit",
  not_allowed: "error.forbidden",
  wrong_password: "error.wrong",
  wrong_login: "error.wrong",
};

function complain(form: string, error: unknown): void {
  if (!(error instanceof api.ApiError)) {
    console.error(error);
    problem("error.other", "", { text: String(error) });
    return;
  }
  const wait = error.retryAfterSeconds;
  if (wait > 0) return void problem("error.busy", "", { seconds: wait });
  if (form === "login" && error.status === 401) return void problem("error.wrong", "password");
  const key = BY_REASON[error.reason];
  if (key) return void problem(key, error.field || (key === "error.claim" ? "token" : ""));
  problem("error.other", error.field, { text: error.message });
}

export async function signOut(): Promise<void> {
  const [ended, account, open] = [engine, state.account, store];
  engine = null;
  await ended?.stop("signed_out");
  if (account) await api.logout(account.token).catch(() => undefined);
  await open?.destroy();
  location.hash = "";
  location.reload();
}

export function command(what: Command): void {
  if (state.outbox.entries.length >= OUTBOX_MAX) {
    return notify("notice.outboxfull");
  }
  const makesRoom = what.kind === "create_room" || what.kind === "open_direct";
  if (makesRoom && !isUp(state.session)) notify("newgroup.queued");
  void engine?.command(what);
}

export function sendDraft(room: number): void {
  const text = (state.drafts.get(room) ?? "").trim();
  if (text === "") return;
  state.drafts.delete(room);
  command({ kind: "send", room, text });
}

export function setDraft(room: number, text: string): void {
  state.drafts.set(room, text);
  changed();
}

/** Goes to the direct room with a user, making it when there is none. */
export function openDirect(user: number): void {
  closeDialog();
  const known = [...state.copy.rooms.values()].find(
    (room) => room.room_kind === "direct" && room.members.some((member) => member.user === user),
  );
  if (known) go({ view: "room", room: known.room });
  else command({ kind: "open_direct", user });
}

export const retry = (id: number): void => void engine?.retry(id);
export const discard = (id: number): void => void engine?.discard(id);
export const reconnect = (): void => engine?.reconnect();
export const older = (room: number): void => engine?.older(room);

/** The newest message of the room on screen was seen. */
export function seen(room: number): void {
  const head = state.copy.rooms.get(room)?.head ?? 0;
  if (document.visibilityState === "visible" && document.hasFocus()) engine?.read(room, head);
}

export function go(route: Route): void {
  const hash =
    route.view === "home" ? "" : route.view === "room" ? `#/room/${route.room}` : `#/${route.view}`;
  if (location.hash !== hash) history.pushState(null, "", hash || location.pathname);
  show(route);
}

function followAddress(): void {
  if (location.hash.startsWith("#claim=")) return claimLinkOpened();
  const room = /^#\/room\/(\d{1,10})$/.exec(location.hash);
  const view = /^#\/(people|settings|trust|box)$/.exec(location.hash)?.[1];
  if (room) show({ view: "room", room: Number(room[1]) });
  else show({ view: (view as "people" | "settings" | "trust" | "box" | undefined) ?? "home" });
}
addEventListener("popstate", followAddress);

/** A claim link was opened in a tab that shows Linnet already. */
function claimLinkOpened(): void {
  takeClaimToken();
  if (state.page === "login" || state.page === "claim") void learnFacts();
}

function show(route: Route): void {
  const before = state.route;
  if (before.view === "room") engine?.hide(before.room);
  Object.assign(state, { route, problem: null, notice: null });
  if (route.view === "room") {
    state.newFrom = state.copy.rooms.get(route.room)?.read ?? 0;
    void engine?.show(route.room);
  } else if (before.view === "room") void engine?.show(null);
  if (route.view === "trust" && !state.facts) void refreshFacts();
  changed();
}

async function refreshFacts(): Promise<void> {
  state.facts = await api.facts().catch(() => null);
  changed();
}

export function openDialog(dialog: Dialog): void {
  Object.assign(state, { dialog, problem: null });
  changed();
}

export function closeDialog(): void {
  Object.assign(state, { dialog: null, problem: null });
  changed();
}

export function setFilter(text: string): void {
  state.filter = text;
  changed();
}

export function dismissNotice(): void {
  state.notice = null;
  changed();
}

export function setLanguage(language: Language): void {
  localStorage.setItem(LANGUAGE_KEY, language);
  loadSettings();
}

export function setTheme(theme: Theme): void {
  localStorage.setItem(THEME_KEY, theme);
  loadSettings();
}

function loadSettings(): void {
  const language = localStorage.getItem(LANGUAGE_KEY);
  const theme = localStorage.getItem(THEME_KEY);
  state.language = language === "en" || language === "zh" ? language : "auto";
  state.theme = theme === "light" || theme === "dark" ? theme : "auto";
  const tongue = state.language === "auto" ? preferred(navigator.languages) : state.language;
  setTongue(tongue);
  document.documentElement.lang = tongue === "zh" ? "zh-Hans" : "en";
  document.documentElement.dataset["theme"] = state.theme;
  changed();
}
