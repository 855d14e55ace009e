// Calls of the server: the public API with the session's cookie, and /web for the session itself.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { csrf, loadSession, signedOut } from "./session";

/** What the server refuses, in its words. field names the part of the request that is wrong. */
export class Refusal extends Error {
  constructor(readonly status: number, readonly code: string, message: string, readonly field = "", readonly retryAfter = 0, readonly body: Record<string, unknown> = {}) {
    super(message);
  }
}

export type Query = Record<string, string | number | boolean | undefined | null>;

export interface Call {
  query?: Query;
  body?: unknown; // JSON, or a Blob or FormData as it is
  subAccount?: number; // of operations of a sub-account
  signal?: AbortSignal;
}

/** The API's operations: `/account/tpsp` and the like. */
export const API = "/api/v1";

function address(path: string, query?: Query) {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(query ?? {})) if (v !== undefined && v !== null && v !== "") q.set(k, String(v));
  const s = q.toString();
  return s ? path + "?" + s : path;
}

/** Calls the server and gives the answer as it is; a refusal is thrown. */
export async function raw(method: string, path: string, c: Call = {}): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = csrf();
  if (c.subAccount) headers["X-SubAccount-Id"] = String(c.subAccount);
  let body: BodyInit | undefined;
  if (c.body instanceof Blob || c.body instanceof FormData) body = c.body;
  else if (c.body !== undefined) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(c.body);
  }
  let answer: Response;
  try {
    answer = await fetch(address(path, c.query), { method, headers, body, signal: c.signal, credentials: "same-origin" });
  } catch (e) {
    if ((e as Error).name === "AbortError") throw e;
    throw new Refusal(0, "unreachable", "The server cannot be reached. It is tried again when you act.");
  }
  if (answer.ok) return answer;
  const p = (await answer.json().catch(() => ({}))) as { code?: string; message?: string; field?: string };
  if (answer.status === 401 && !path.startsWith("/web/")) signedOut();
  if (answer.status === 403 && p.code === "csrf") void loadSession(); // another tab signed in anew
  throw new Refusal(answer.status, p.code ?? "", p.message ?? `The server answered ${answer.status}.`, p.field ?? "", Number(answer.headers.get("Retry-After") ?? 0), p);
}

/** Calls the server and reads the JSON that it answers with. */
export async function call<T>(method: string, path: string, c: Call = {}): Promise<T> {
  const answer = await raw(method, path, c);
  if (answer.status === 204) return undefined as T;
  return (await answer.json()) as T;
}

export const get = <T>(path: string, query?: Query, c: Call = {}) => call<T>("GET", API + path, { ...c, query });
export const post = <T>(path: string, body?: unknown, c: Call = {}) => call<T>("POST", API + path, { ...c, body });
export const put = <T>(path: string, body?: unknown, c: Call = {}) => call<T>("PUT", API + path, { ...c, body });
export const del = <T>(path: string, c: Call = {}) => call<T>("DELETE", API + path, c);

export interface Answer<T> {
  data?: T;
  error?: Refusal;
  loading: boolean;
  reload: () => void;
}

const known = new Map<string, unknown>();

/** Forgets what was read, as after a change of what many pages show. */
export const forget = () => known.clear();

/**
 * Reads from the API. What was read before is shown until the new answer is there. path null: nothing is read (yet).
 * every: milliseconds after which it is read anew while the page can be seen.
 */
export function useGet<T>(path: string | null, query?: Query, options: { every?: number; subAccount?: number } = {}): Answer<T> {
  const key = path === null ? "" : address(path, query) + "#" + (options.subAccount ?? "");
  const [state, set] = useState<{ key: string; data?: T; error?: Refusal; loading: boolean }>({ key: "", loading: true });
  const [turn, setTurn] = useState(0);
  const reload = useCallback(() => setTurn((n) => n + 1), []);
  const latest = useRef(key);
  latest.current = key;
  useEffect(() => {
    if (path === null) return;
    const stop = new AbortController();
    set((s) => ({ key, data: s.key === key ? s.data : (known.get(key) as T | undefined), error: s.key === key ? s.error : undefined, loading: true }));
    get<T>(path, query, { signal: stop.signal, subAccount: options.subAccount }).then(
      (data) => {
        known.set(key, data);
        if (known.size > 200) known.delete(known.keys().next().value!);
        set({ key, data, loading: false });
      },
      (e) => {
        if ((e as Error).name === "AbortError") return;
        set((s) => ({ key, data: s.data, error: e as Refusal, loading: false }));
      },
    );
    return () => stop.abort();
  }, [key, turn]);
  useEffect(() => {
    if (!options.every || path === null) return;
    const tick = setInterval(() => document.visibilityState === "visible" && reload(), options.every);
    return () => clearInterval(tick);
  }, [key, options.every]);
  const current = state.key === key;
  return { data: current ? state.data : (known.get(key) as T | undefined), error: current ? state.error : undefined, loading: current ? state.loading : path !== null, reload };
}

export interface Action<A extends unknown[]> {
  run: (...args: A) => Promise<boolean>; // whether it succeeded
  busy: boolean;
  error?: Refusal;
  clear: () => void;
}

/** Something that a person does: it runs once at a time, and a refusal is kept to be shown. */
export function useAction<A extends unknown[]>(f: (...args: A) => Promise<unknown>): Action<A> {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Refusal>();
  const running = useRef(false);
  const run = async (...args: A) => {
    if (running.current) return false;
    running.current = true;
    setBusy(true);
    setError(undefined);
    try {
      await f(...args);
      return true;
    } catch (e) {
      setError(e instanceof Refusal ? e : new Refusal(0, "failed", String(e)));
      return false;
    } finally {
      running.current = false;
      setBusy(false);
    }
  };
  return { run, busy, error, clear: () => setError(undefined) };
}
