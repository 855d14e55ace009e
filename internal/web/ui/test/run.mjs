// Runs the browser tests (all, or the files that are named) against a demo of its own.
// POSTYARD is the program to run (bin/postyard of the repository), SHOTS where pictures of pages go (shots/).
// With POSTYARD_SCENE, the JSON that `postyard demo --json` prints in a file, a demo that runs already is used.
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));
const program = resolve(process.env.POSTYARD ?? join(here, "../../../../bin/postyard"));

/** Starts a demo and waits for what it prints. */
async function demo(dir) {
  const child = spawn(program, ["demo", "--json", "--data", join(dir, "data"), "--listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  child.stderr.on("data", (b) => (log = (log + b).slice(-20_000)));
  const line = await new Promise((done, failed) => {
    let out = "";
    child.stdout.on("data", (b) => {
      out += b;
      const end = out.indexOf("\n");
      if (end >= 0) done(out.slice(0, end));
    });
    child.once("error", failed);
    child.once("exit", (code) => failed(new Error(`the demo ended with ${code}:\n${log}`)));
  });
  const scene = join(dir, "scene.json");
  await writeFile(scene, line);
  return { scene, stop: () => new Promise((done) => (child.exitCode === null ? (child.once("exit", done), child.kill("SIGTERM")) : done())) };
}

const all = (await readdir(here)).filter((f) => f.endsWith(".test.mjs")).sort().map((f) => join(here, f));
const files = process.argv.slice(2).length ? process.argv.slice(2) : all;
const dir = await mkdtemp(join(tmpdir(), "postyard-dashboard-"));
const running = process.env.POSTYARD_SCENE ? { scene: process.env.POSTYARD_SCENE, stop: async () => {} } : await demo(dir);
const browser = await chromium.launchServer({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=srgb"] });
let code = 1;
try {
  JSON.parse(await readFile(running.scene, "utf8"));
  const run = (some) => some.length === 0 ? 0 : new Promise((done) =>
    spawn(process.execPath, ["--test", "--test-concurrency=2", "--test-timeout=600000", ...some], { stdio: "inherit", env: { ...process.env, POSTYARD_SCENE: running.scene, POSTYARD_BROWSER: browser.wsEndpoint() } }).once("exit", (c) => done(c ?? 1)),
  );
  const alone = (f) => f.endsWith("speed.test.mjs"); // what measures time is not run beside others
  code = Math.max(await run(files.filter(alone)), await run(files.filter((f) => !alone(f))));
} finally {
  await browser.close();
  await running.stop();
  await rm(dir, { recursive: true, force: true });
}
process.exit(code);
