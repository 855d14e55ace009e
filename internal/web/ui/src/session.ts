// Who is signed in. The cookie is the server's and cannot be read here; what is kept is what the server says of it.
import { useSyncExternalStore } from "preact/compat";
import { forget, call, Refusal } from "./api";

export type Role = "owner" | "admin" | "viewer";

export interface Session {
  member: { id: number; email: string; name: string; role: Role };
  account: { id: number; name: string };
  csrf: string;
  publicUrl: string;
}

/** undefined: not known yet; null: nobody is signed in. */
let session: Session | null | undefined;
let setup = false;
let trouble: Refusal | undefined;
const listeners = new Set<() => void>();

function put(s: Session | null | undefined) {
  if (s?.member.id !== session?.member.id) forget();
  session = s;
  listeners.forEach((f) => f());
}

export const csrf = () => session?.csrf ?? "";
export const signedOut = () => session && put(null);

/** Whether the installation has no member yet. */
export const needsSetup = () => setup;

/** Why the session could not be asked for, while it is not known. */
export const sessionTrouble = () => trouble;

export async function loadSession() {
  trouble = undefined;
  try {
    put(await call<Session>("GET", "/web/session"));
  } catch (e) {
    const refusal = e as Refusal;
    if (refusal.status !== 401) {
      trouble = refusal;
      return put(undefined);
    }
    setup = refusal.body.setup === true;
    put(null);
  }
}

export const signIn = async (email: string, password: string) => put(await call<Session>("POST", "/web/session", { body: { email, password } }));

export const setUp = async (body: { accountKey: string; name: string; email: string; password: string }) => {
  put(await call<Session>("POST", "/web/setup", { body }));
  setup = false;
};

export const join = async (token: string, password: string) => put(await call<Session>("POST", "/web/invitation", { body: { token, password } }));

export async function signOut() {
  await call("DELETE", "/web/session");
  put(null);
}

export const useSession = () =>
  useSyncExternalStore(
    (f: () => void) => {
      listeners.add(f);
      return () => listeners.delete(f);
    },
    () => session,
  );

/** Whether the member may change things; pages show viewers no buttons that do. */
export const useMayChange = () => {
  const s = useSession();
  return !!s && s.member.role !== "viewer";
};

export const useIsOwner = () => useSession()?.member.role === "owner";
