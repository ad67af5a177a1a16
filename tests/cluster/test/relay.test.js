// No sticky sessions: official clients behind a round-robin nginx, in front of three servers with a relay.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { freePort, nginx } from "../lib/cluster.js";

const PATIENCE_MS = 60_000;
const SERVERS = 3;
const SESSIONS = { polling: 200, upgrade: 200, websocket: 100 };
const EVENTS = 20;

const folder = mkdtempSync(join(tmpdir(), "fanfare-relay-"));
const log = join(folder, "access.log");
const processes = [];
let balancer, url;

function start(command, args, env = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] });
  processes.push(child);
  return child;
}

before(async () => {
  const addresses = [];
  for (let n = 0; n < SERVERS; n++) {
    addresses.push(`127.0.0.1:${await freePort()}`);
  }
  const target = process.env.CARGO_TARGET_DIR ?? join(import.meta.dirname, "../../../target");
  const server = join(target, "debug/examples/relay");
  for (const address of addresses) {
    const env = { FANFARE_CLUSTER_KEY: "a key that all three have" };
    await once(start(server, [address, ...addresses], env).stdout, "data");
  }
  balancer = await nginx(addresses.map((address) => address.split(":")[1]), { log });
  url = balancer.url;
});

after(async () => {
  const ends = processes.map((child) => (child.exitCode === null ? once(child, "exit") : undefined));
  for (const child of processes) child.kill("SIGTERM");
  await Promise.all(ends);
  await balancer?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs one session, and returns what went wrong. */
async function session(kind) {
  const transports = { polling: ["polling"], upgrade: ["polling", "websocket"], websocket: ["websocket"] }[kind];
  const socket = io(url, { transports, forceNew: true, reconnection: false, timeout: PATIENCE_MS });
  const faults = [];
  socket.on("connect_error", (error) => faults.push(`${kind}: ${error.message} ${error.description ?? ""}`));
  let closing = false;
  socket.on("disconnect", (reason) => closing || faults.push(`${kind}: ${reason}`));
  const failed = new Promise((resolve) => socket.on("connect_error", resolve).on("disconnect", resolve));
  const talk = async () => {
    await new Promise((resolve) => socket.on("server", resolve));
    if (kind === "upgrade" && socket.io.engine.transport.name !== "websocket") {
      await new Promise((resolve) => socket.io.engine.once("upgrade", resolve));
    }
    for (let n = 0; n < EVENTS; n++) {
      const answer = await socket.timeout(PATIENCE_MS).emitWithAck("echo", `${kind} ${n}`);
      assert.equal(answer, `${kind} ${n}`);
    }
  };
  await Promise.race([failed, talk().catch((error) => faults.push(`${kind}: ${error}`))]);
  closing = true;
  socket.disconnect();
  return faults;
}

test("no request of 500 sessions is refused, whichever server gets it", { timeout: 300_000 }, async () => {
  const kinds = Object.entries(SESSIONS).flatMap(([kind, count]) => Array(count).fill(kind));
  const faults = [];
  // Fifty at a time; the kinds are mixed.
  const queue = kinds.map((kind, n) => [n * 7919 % kinds.length, kind]).sort((a, b) => a[0] - b[0]);
  const worker = async () => {
    for (let next = queue.pop(); next; next = queue.pop()) faults.push(...(await session(next[1])));
  };
  await Promise.all(Array.from({ length: 50 }, worker));
  assert.deepEqual(faults, []);

  const lines = readFileSync(log, "utf8").trim().split("\n").map((line) => line.split(" "));
  const statuses = lines.map(([status]) => status);
  assert.deepEqual(statuses.filter((status) => !["200", "101"].includes(status)), []);
  assert.ok(lines.length >= 10_000, `${lines.length} requests`);
  const perServer = groupBy(lines, (line) => line[3]);
  assert.equal(perServer.size, SERVERS);
  console.log(`${lines.length} requests, ${[...perServer.values()].map((list) => list.length).join(" + ")}`);
});

function groupBy(list, key) {
  const groups = new Map();
  for (const item of list) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}
