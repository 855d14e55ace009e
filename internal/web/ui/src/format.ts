// Numbers, times and sizes as people read them. The API's times are nanoseconds since 1970.

const number = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (n: number) => number.format(n);
export const short = (n: number) => (Math.abs(n) < 10_000 ? number.format(n) : compact.format(n));

/** A share as a percentage: 0.9931 is "99.3 %"; small ones keep two digits. */
export function percent(share: number | null | undefined) {
  if (share === null || share === undefined || !isFinite(share)) return "–";
  const p = share * 100;
  return (p === 0 || p === 100 ? p.toFixed(0) : p < 1 || p > 99 ? p.toFixed(2) : p.toFixed(1)) + " %";
}

export const date = (nanos: number) => new Date(nanos / 1e6);

const pad = (n: number) => String(n).padStart(2, "0");

/** "2026-11-26 14:03:07" in the reader's time zone. */
export function instant(nanos: number) {
  const d = date(nanos);
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
}

/** A length of time in its two largest units: 93_000 ms is "1 min 33 s". */
export function duration(ms: number) {
  if (ms < 0) return "0 s";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 10) return `${s.toFixed(1).replace(/\.0$/, "")} s`;
  if (s < 60) return `${Math.round(s)} s`;
  const units: [number, string][] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  let rest = Math.round(s);
  const parts: string[] = [];
  for (const [size, name] of units) {
    const n = Math.floor(rest / size);
    rest -= n * size;
    if (n > 0) parts.push(`${n} ${name}`);
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

/** How long ago, or how long until. */
export function ago(nanos: number, now = Date.now()) {
  const ms = now - nanos / 1e6;
  if (Math.abs(ms) < 5000) return "now";
  return ms > 0 ? `${duration(ms).split(" ").slice(0, 2).join(" ")} ago` : `in ${duration(-ms)}`;
}

export function bytes(n: number) {
  if (n < 1024) return `${n} B`;
  if (n < 1024 * 1024) return `${(n / 1024).toFixed(1)} KB`;
  return `${(n / 1024 / 1024).toFixed(1)} MB`;
}

/** YYYY-MM-DD in UTC, days before today: what the API takes as a date. */
export const day = (daysAgo = 0) => new Date(Date.now() - daysAgo * 86_400_000).toISOString().slice(0, 10);

/** "1 message", "2 messages". */
export const plural = (n: number, one: string, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;
