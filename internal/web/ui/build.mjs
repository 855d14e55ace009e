// Builds the dashboard into the folder of the first argument (default: ../dist, which the Go program embeds).
// The same sources give the same bytes: a test builds again and compares.
import { mkdir, copyFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? join(here, "../dist"));

await mkdir(out, { recursive: true });
const program = {
  absWorkingDir: here,
  outdir: out,
  bundle: true,
  minify: true,
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  charset: "utf8",
  logLevel: "warning",
};
await build({ ...program, entryPoints: { app: "src/main.tsx" }, format: "esm" });
await build({ ...program, entryPoints: { begin: "src/begin.ts" }, format: "iife" });
await copyFile(join(here, "src/index.html"), join(out, "index.html"));
