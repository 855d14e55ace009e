// The address bar is the state of the dashboard: which page, which filters. Whoever gets a link sees the same.
import { useSyncExternalStore } from "preact/compat";
import { useCallback, useMemo } from "preact/hooks";

const listeners = new Set<() => void>();
const changed = () => listeners.forEach((f) => f());
addEventListener("popstate", changed);

const subscribe = (f: () => void) => {
  listeners.add(f);
  return () => listeners.delete(f);
};

/** Goes to a page of the dashboard: "/events?type=9". */
export function navigate(to: string, replace = false) {
  const before = location.pathname;
  history[replace ? "replaceState" : "pushState"](null, "", to);
  if (location.pathname !== before) scrollTo(0, 0);
  changed();
}

/** Links of our own pages are followed without a new document. */
export function followLinks(e: MouseEvent) {
  if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
  const a = (e.target as Element).closest?.("a");
  if (!a || a.target || a.hasAttribute("download") || a.origin !== location.origin || a.hasAttribute("data-document")) return;
  const href = a.getAttribute("href") ?? "";
  if (href.startsWith("#")) return;
  e.preventDefault();
  navigate(a.pathname + a.search + a.hash);
}

/** The path of the page. */
export const usePath = () => useSyncExternalStore(subscribe, () => location.pathname);

const useSearch = () => useSyncExternalStore(subscribe, () => location.search);

export type Filters = Record<string, string>;

/** The query of the page's address, and how it is changed: values that are "" leave it. A change by typing replaces the entry of the history. */
export function useFilters(): [Filters, (change: Filters, replace?: boolean) => void] {
  const search = useSearch();
  const filters = useMemo(() => Object.fromEntries(new URLSearchParams(search)), [search]);
  const set = useCallback((change: Filters, replace = false) => {
    const q = new URLSearchParams(location.search);
    for (const [k, v] of Object.entries(change)) v === "" ? q.delete(k) : q.set(k, v);
    const s = q.toString();
    navigate(location.pathname + (s ? "?" + s : ""), replace);
  }, []);
  return [filters, set];
}

/** An address with a query; what is "", undefined or null is left out. */
export function to(path: string, query: Record<string, string | number | boolean | undefined | null> = {}) {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(query)) if (v !== "" && v !== undefined && v !== null) q.set(k, String(v));
  const s = q.toString();
  return path + (s ? "?" + s : "");
}
