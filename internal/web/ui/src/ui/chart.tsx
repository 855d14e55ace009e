import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { count, short } from "../format";
import { navigate } from "../route";
import { Table } from "./table";

export interface Series {
  name: string;
  values: (number | null)[];
  /** Where the number at a place leads to. */
  href?: (i: number) => string;
}

interface ChartProps {
  label: string;
  /** Seconds since 1970, in order. */
  times: number[];
  series: Series[];
  /** How a value is written; counts by default. */
  format?: (v: number) => string;
  /** How a time is written. */
  time?: (seconds: number) => string;
}

const utcDay = (s: number) => new Date(s * 1000).toISOString().slice(0, 10);

const height = 224;

/** Steps of the axis of time: whole days. */
const days = [1, 2, 7, 14, 28, 91].map((n) => n * 86_400);

/** Lines over time, read with the pointer or with the arrow keys. The same numbers stand in a table below, for those who cannot see it or want to copy them. */
export function Chart({ label, times, series, format = count, time = utcDay }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const colours = useColours();
  const [at, setAt] = useState<number | null>(null);
  const shape = series.map((s) => s.name).join("\n") + format.name + (times.length < 2);
  const data = [times, ...series.map((s) => s.values)] as uPlot.AlignedData;
  useEffect(() => {
    const el = box.current!;
    const css = (name: string) => resolve(el, name);
    const axis = { stroke: css("--muted"), grid: { stroke: css("--edge"), width: 1 }, ticks: { show: false }, font: `12px ${getComputedStyle(el).fontFamily}` };
    const made = new uPlot(
      {
        width: el.clientWidth,
        height,
        tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), "Etc/UTC"),
        legend: { show: false },
        cursor: { points: { size: 7 }, drag: { x: false, y: false } },
        scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.08 : 1] } },
        axes: [{ ...axis, size: 28, incrs: days, values: (_, at) => at.map((s) => utcDay(s).slice(5)) }, { ...axis, size: 56, values: (_, vs) => vs.map((v) => (format === count ? (Number.isInteger(v) ? short(v) : "") : format(v))) }],
        series: [
          {},
          ...series.map((s, i) => ({ label: s.name, stroke: css(`--series-${(i % 6) + 1}`), width: 2, dash: i % 2 ? [8, 4] : undefined, points: { show: times.length < 2 } })),
        ],
        hooks: { setCursor: [(u) => setAt(u.cursor.left !== undefined && u.cursor.left >= 0 ? (u.cursor.idx ?? null) : null)] },
      },
      data,
      el,
    );
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: el.clientWidth, height }));
    watch.observe(el);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, colours]);
  const first = useRef(true);
  useEffect(() => {
    if (first.current) first.current = false;
    else plot.current?.setData(data);
  }, [times, series]);
  const go = (i: number) => {
    const u = plot.current;
    if (!u || !times.length) return;
    const place = Math.max(0, Math.min(times.length - 1, i));
    u.setCursor({ left: u.valToPos(times[place]!, "x"), top: height / 2 });
  };
  const keys = (e: KeyboardEvent) => {
    const now = at ?? times.length;
    const step: Record<string, () => void> = {
      ArrowLeft: () => go(now - 1),
      ArrowRight: () => go(at === null ? 0 : now + 1),
      Home: () => go(0),
      End: () => go(times.length - 1),
      Escape: () => plot.current?.setCursor({ left: -10, top: -10 }),
      Enter: () => at !== null && series[0]?.href && navigate(series[0].href(at)),
    };
    const run = step[e.key];
    if (!run || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    e.stopPropagation();
    run();
  };
  const read = at !== null && at < times.length ? at : null;
  return (
    <figure class="stack-tight chart-figure" aria-label={label}>
      <div class="chart-keys">
        {series.map((s, i) => (
          <span key={s.name}>
            <svg class="chart-line" viewBox="0 0 20 4" aria-hidden="true">
              <path d="M0 2h20" stroke={`var(--series-${(i % 6) + 1})`} stroke-width="3" stroke-dasharray={i % 2 ? "6 3" : undefined} />
            </svg>
            {s.name}
            {read !== null && <b class="num">{show(s.values[read], format)}</b>}
          </span>
        ))}
        <span class="quiet num chart-at">{read !== null ? time(times[read]!) : ""}</span>
      </div>
      <div class="chart" ref={box} tabIndex={0} role="img" aria-label={`${label}. The arrow keys read it; the same numbers are in the table below.`} onKeyDown={keys}
        onClick={() => read !== null && series[0]?.href && navigate(series[0].href(read))} />
      <span class="off-screen" aria-live="polite">{read !== null && `${time(times[read]!)}: ${series.map((s) => `${s.name} ${show(s.values[read], format)}`).join(", ")}`}</span>
      <details>
        <summary>As a table</summary>
        <Table label={label} scroll rows={times.map((t, i) => ({ t, i })).reverse()} keyOf={(r) => r.t}
          columns={[{ name: "Time", cell: (r) => time(r.t) }, ...series.map((s) => ({
            name: s.name, end: true, cell: (r: { i: number }) => (s.href && s.values[r.i] ? <a href={s.href(r.i)}>{show(s.values[r.i], format)}</a> : show(s.values[r.i], format)),
          }))]} />
      </details>
    </figure>
  );
}

const show = (v: number | null | undefined, format: (v: number) => string) => (v === null || v === undefined ? "–" : format(v));

/** A canvas does not know custom properties nor light-dark(). */
function resolve(el: Element, name: string) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  el.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

/** Changes when the colours do. */
function useColours() {
  const [n, set] = useState(0);
  useEffect(() => {
    const again = () => set((v) => v + 1);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", again);
    const watch = new MutationObserver(again);
    watch.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      dark.removeEventListener("change", again);
      watch.disconnect();
    };
  }, []);
  return n;
}
