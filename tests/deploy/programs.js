// Programs that the tests start: servers, and proxies in front of them.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const root = join(import.meta.dirname, "../..");
const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
export const fanfare = join(target, "debug/fanfare");
/** Time for a program to start, in milliseconds. */
const START = 20_000;

/** Returns whether a program is installed. */
export function installed(name, ...args) {
  return spawnSync(name, args).error === undefined;
}

/** Reserves a port for a program that cannot choose one itself. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Folder for the files of a test, with a certificate for localhost. */
export function workspace(context) {
  const folder = mkdtempSync(join(tmpdir(), "fanfare-deploy-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const [key, certificate] = ["key.pem", "certificate.pem"].map((name) => join(folder, name));
  const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90"];
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const made = spawnSync("openssl", [...args, "-keyout", key, "-out", certificate, ...names], { encoding: "utf8" });
  assert.equal(made.status, 0, made.stderr);
  const both = join(folder, "both.pem");
  writeFileSync(both, readFileSync(certificate, "utf8") + readFileSync(key, "utf8"));
  return { folder, key, certificate, both };
}

/** Reads a file of deploy/ and replaces each value, which must be in it. */
export function configured(name, values) {
  let text = readFileSync(join(root, "deploy", name), "utf8");
  for (const [from, to] of values) {
    assert.ok(text.includes(from), `deploy/${name} has no ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

/** Starts a program that ends with the test. */
export function start(context, program, args, options = {}) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  let output = "";
  child.stdout.on("data", (data) => { output += data; });
  child.stderr.on("data", (data) => { output += data; });
  const ended = new Promise((resolve) => { child.once("close", resolve); });
  context.after(async () => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
    await ended;
    clearTimeout(timer);
  });
  return { child, ended, output: () => output };
}

/** Waits until something accepts connections on a port. */
export async function listening(port, program) {
  const deadline = Date.now() + START;
  let ended = false;
  program.ended.then(() => { ended = true; });
  for (;;) {
    const open = await new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => { socket.destroy(); resolve(true); });
      socket.once("error", () => resolve(false));
    });
    if (open) return;
    assert.ok(!ended, `it ended: ${program.output()}`);
    assert.ok(Date.now() < deadline, `nothing listens on ${port}: ${program.output()}`);
    // The next attempt; there is no event to wait for.
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

/** Starts a server of the demo; returns its port. */
export async function demo(context) {
  const port = await freePort();
  const server = start(context, fanfare, ["demo", "--port", String(port)]);
  await listening(port, server);
  return port;
}

/** Runs a program to its end without blocking this process. */
export async function run(program, args) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (data) => { output += data; });
  child.stderr.on("data", (data) => { output += data; });
  const [status] = await once(child, "close");
  return { status, output };
}
