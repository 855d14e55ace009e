import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { count, short } from "../format";
import { Table } from "./table";

export interface Series {
  name: string;
  values: (number | null)[];
}

interface ChartProps {
  label: string;
  /** Seconds since 1970, in order. */
  times: number[];
  series: Series[];
  /** How a value is written; counts by default. */
  format?: (v: number) => string;
  /** How a time is written in the table. */
  time?: (seconds: number) => string;
}

const utcDay = (s: number) => new Date(s * 1000).toISOString().slice(0, 10);

/** Lines over time. The same numbers stand in a table below, for those who cannot see it or want to copy them. */
export function Chart({ label, times, series, format = count, time = utcDay }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const theme = useTheme();
  const shape = series.map((s) => s.name).join("\n");
  useEffect(() => {
    const el = box.current!;
    const css = (name: string) => resolve(el, name);
    const axis = { stroke: css("--muted"), grid: { stroke: css("--edge"), width: 1 }, ticks: { show: false }, font: `12px ${getComputedStyle(el).fontFamily}` };
    const plot = new uPlot(
      {
        width: el.clientWidth,
        height: 224,
        tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), "Etc/UTC"),
        legend: { show: false },
        cursor: { points: { size: 7 }, drag: { x: false, y: false } },
        scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.08 : 1] } },
        axes: [axis, { ...axis, size: 56, values: (_, vs) => vs.map((v) => (format === count ? short(v) : format(v))) }],
        series: [
          {},
          ...series.map((s, i) => ({ label: s.name, stroke: css(`--series-${(i % 6) + 1}`), width: 2, dash: i % 2 ? [8, 4] : undefined, points: { show: times.length < 2 } })),
        ],
      },
      [times, ...series.map((s) => s.values)] as uPlot.AlignedData,
      el,
    );
    const watch = new ResizeObserver(() => plot.setSize({ width: el.clientWidth, height: 224 }));
    watch.observe(el);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [shape, times, series, theme]);
  return (
    <figure class="stack-tight" aria-label={label}>
      <div class="chart-keys" aria-hidden="true">
        {series.map((s, i) => (
          <span key={s.name}>
            <i style={{ color: `var(--series-${(i % 6) + 1})` }} />
            {s.name}
          </span>
        ))}
      </div>
      <div class="chart" ref={box} aria-hidden="true" />
      <details>
        <summary>As a table</summary>
        <Table label={label} scroll rows={times.map((t, i) => ({ t, i })).reverse()} keyOf={(r) => r.t}
          columns={[{ name: "Time", cell: (r) => time(r.t) }, ...series.map((s) => ({ name: s.name, end: true, cell: (r: { i: number }) => show(s.values[r.i], format) }))]} />
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
function useTheme() {
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
