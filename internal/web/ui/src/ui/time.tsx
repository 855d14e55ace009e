import { useEffect, useState } from "preact/hooks";
import { ago, date, duration, instant } from "../format";

/** The time now, anew every so many milliseconds. */
export function useNow(every = 1000) {
  const [now, set] = useState(Date.now());
  useEffect(() => {
    const tick = setInterval(() => set(Date.now()), every);
    return () => clearInterval(tick);
  }, [every]);
  return now;
}

/** A time of the API (nanoseconds; 0: none), as how long ago; the exact one is a title. */
export function When({ at, exact }: { at: number; exact?: boolean }) {
  const now = useNow(15_000);
  if (!at) return <span class="quiet">–</span>;
  return (
    <time class="num" dateTime={date(at).toISOString()} title={instant(at)}>
      {exact ? instant(at) : ago(at, now)}
    </time>
  );
}

/** How long it is until then, second by second. */
export function Until({ at }: { at: number }) {
  const left = at / 1e6 - useNow();
  return (
    <time class="num" dateTime={date(at).toISOString()} title={instant(at)}>
      {left > 0 ? `in ${duration(Math.ceil(left / 1000) * 1000)}` : "now"}
    </time>
  );
}
