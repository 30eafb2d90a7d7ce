// The REST calls: facts, claim, login, logout, users, the box. Secrets travel in bodies and
// headers only.
/** A lost answer must not hold the page: facts are asked again. */
const FACTS_WITHIN_MS = 5_000;
/** The box hashes passwords one after another; its queue lasts some seconds. */
const ANSWER_WITHIN_MS = 30_000;

export interface Facts {
  box_id: string;
  claimed: boolean;
  version: string;
  words: string[];
}
export interface SignedIn {
  user: number;
  device: number;
  token: string;
}

/** A refusal as the server states it, or `network` when no answer came. */
export class ApiError extends Error {
  constructor(
    readonly reason: string,
    readonly field: string,
    text: string,
    readonly status: number,
    readonly retryAfterSeconds: number,
  ) {
    super(text);
  }
}

export async function facts(): Promise<Facts> {
  const body = await call("GET", "/api/facts", null, null);
  const words = body["fingerprint_words"];
  return {
    box_id: String(body["box_id"] ?? ""),
    claimed: body["claimed"] === true,
    version: String(body["version"] ?? ""),
    words: Array.isArray(words) ? words.map(String) : String(words ?? "").split(/[\s-]+/),
  };
}

export function claim(token: string, name: string, password: string): Promise<SignedIn> {
  return signIn("/api/claim", { token, name, password, device: deviceLabel() });
}

export function login(name: string, password: string): Promise<SignedIn> {
  return signIn("/api/login", { name, password, device: deviceLabel() });
}

export async function logout(token: string): Promise<void> {
  await call("POST", "/api/logout", token, {});
}

export async function addUser(
  token: string,
  name: string,
  password: string,
  role: string,
): Promise<void> {
  await call("POST", "/api/users", token, { name, password, role });
}

/** How board and system below the server are. */
export interface BoxReport {
  host_name: string;
  addresses: string[];
  board: string;
  release: string;
  clock: { set: boolean; time_ms: number; source: string | null };
  notes: string[];
}

export async function boxReport(token: string): Promise<BoxReport> {
  const body = await call("GET", "/api/box", token, null);
  const clock = (body["clock"] ?? {}) as Record<string, unknown>;
  return {
    host_name: String(body["host_name"] ?? ""),
    addresses: texts(body["addresses"]),
    board: String(body["board"] ?? ""),
    release: String(body["release"] ?? ""),
    clock: {
      set: clock["set"] === true,
      time_ms: Number(clock["time_ms"] ?? 0),
      source: typeof clock["source"] === "string" ? clock["source"] : null,
    },
    notes: texts(body["notes"]),
  };
}

export async function boxOrder(token: string, what: string, body: object): Promise<void> {
  await call("POST", `/api/box/${what}`, token, body);
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

async function signIn(path: string, body: Record<string, string>): Promise<SignedIn> {
  const answer = await call("POST", path, null, body);
  const [user, device, token] = [answer["user"], answer["device"], answer["token"]];
  if (typeof user !== "number" || typeof device !== "number" || typeof token !== "string") {
    throw new ApiError("internal", "", "the answer is incomplete", 200, 0);
  }
  return { user, device, token };
}

async function call(
  method: string,
  path: string,
  token: string | null,
  body: unknown,
): Promise<Record<string, unknown>> {
  const headers: Record<string, string> = {};
  if (body !== null) headers["Content-Type"] = "application/json";
  if (token !== null) headers["Authorization"] = `Bearer ${token}`;
  const within = path === "/api/facts" ? FACTS_WITHIN_MS : ANSWER_WITHIN_MS;
  const signal = AbortSignal.timeout(within);
  const init: RequestInit = { method, headers, cache: "no-store", signal };
  if (body !== null) init.body = JSON.stringify(body);
  const response = await fetch(path, init).catch(() => {
    throw new ApiError("network", "", "no answer", 0, 0);
  });
  const answer = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  if (!response.ok) throw refusal(response, answer);
  return answer;
}

function refusal(response: Response, answer: Record<string, unknown>): ApiError {
  const seconds = Number(response.headers.get("Retry-After") ?? 0);
  return new ApiError(
    String(answer["reason"] ?? "internal"),
    String(answer["field"] ?? ""),
    String(answer["text"] ?? ""),
    response.status,
    Number.isFinite(seconds) ? seconds : 0,
  );
}

/** What the owner sees in a list of devices. */
function deviceLabel(): string {
  const agent = navigator.userAgent;
  const browser = ["Firefox", "Edg", "Chrome", "Safari"].find((name) => agent.includes(name));
  const system = ["Android", "iPhone", "iPad", "Windows", "Mac", "Linux"].find((name) =>
    agent.includes(name),
  );
  return [browser ?? "Browser", system].filter(Boolean).join(", ");
}
