// Starts brokers and nodes, and drives these.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { io } from "socket.io-client";

export const DEADLINE = 60_000;
const ROOT = new URL("../../../", import.meta.url).pathname;
const TARGET = process.env.CARGO_TARGET_DIR ?? `${ROOT}target`;

export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Waits for a condition without a notification. */
export async function until(what, condition) {
  for (const end = Date.now() + DEADLINE; ; await sleep(10)) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what} did not happen within ${DEADLINE} ms`);
  }
}

function program(command, args, env) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  child.output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (child.output += data));
  child.failed = new Promise((_, reject) => child.once("error", reject));
  child.failed.catch(() => {});
  return child;
}

async function kill(child) {
  if (child.exitCode !== null || child.signalCode) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** A Redis server of the test's own. */
export async function redisServer(...options) {
  const [port, folder] = [await freePort(), mkdtempSync(join(tmpdir(), "fanfare-redis-"))];
  const args = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder, ...options];
  const child = program("redis-server", args);
  await Promise.race([child.failed, until("the start of Redis", () => child.output.includes("Ready to accept"))]);
  const stop = async () => {
    await kill(child);
    rmSync(folder, { recursive: true, force: true });
  };
  return { url: `redis://127.0.0.1:${port}`, stop };
}

/** A Redis Cluster of three. */
export async function redisCluster() {
  // The port of the bus between the nodes is 10000 higher unless told otherwise.
  const start = async () => redisServer("--cluster-enabled", "yes", "--cluster-port", await freePort());
  const nodes = [await start(), await start(), await start()];
  const hosts = nodes.map(({ url }) => url.replace("redis://", ""));
  const create = program("redis-cli", ["--cluster", "create", ...hosts, "--cluster-yes"]);
  await once(create, "exit");
  for (const host of hosts) {
    await until("the cluster is up", async () => {
      const info = program("redis-cli", ["-p", host.split(":")[1], "cluster", "info"]);
      await once(info, "exit");
      return info.output.includes("cluster_state:ok");
    });
  }
  const stop = () => Promise.all(nodes.map((node) => node.stop()));
  return { url: nodes.map(({ url }) => url).join(","), stop };
}

/** A PostgreSQL server of the test's own; its programs want to run as an ordinary user. */
export async function postgresServer() {
  const programs = readdirSync("/usr/lib/postgresql").map((version) => `/usr/lib/postgresql/${version}/bin`).at(-1);
  const [port, folder] = [await freePort(), mkdtempSync(join(tmpdir(), "fanfare-postgres-"))];
  const root = process.getuid() === 0;
  if (root) spawnSync("chown", ["postgres", folder]);
  const run = (name, args) => root
    ? ["setpriv", ["--reuid=postgres", "--regid=postgres", "--clear-groups", `${programs}/${name}`, ...args]]
    : [`${programs}/${name}`, args];
  const data = join(folder, "data");
  spawnSync(...run("initdb", ["-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync"]), { cwd: folder });
  const child = program(...run("postgres", ["-D", data, "-h", "127.0.0.1", "-p", port, "-k", "", "-F"]));
  await Promise.race([child.failed, until("the start of PostgreSQL", () => child.output.includes("ready to accept"))]);
  const stop = async () => {
    if (child.exitCode === null) {
      child.kill("SIGQUIT");
      await once(child, "exit");
    }
    rmSync(folder, { recursive: true, force: true });
  };
  return { url: `postgres://postgres@127.0.0.1:${port}/postgres?sslmode=disable`, stop };
}

/** A NATS server of the test's own. */
export async function natsServer() {
  const [port, folder] = [await freePort(), mkdtempSync(join(tmpdir(), "fanfare-nats-"))];
  const child = program("nats-server", ["-a", "127.0.0.1", "-p", port, "-js", "-sd", folder]);
  await Promise.race([child.failed, until("the start of NATS", () => child.output.includes("Server is ready"))]);
  const stop = async () => {
    await kill(child);
    rmSync(folder, { recursive: true, force: true });
  };
  return { url: `nats://127.0.0.1:${port}`, stop };
}

/** A round-robin load balancer in front of these ports. */
export async function nginx(ports, { log } = {}) {
  const [port, folder] = [await freePort(), mkdtempSync(join(tmpdir(), "fanfare-nginx-"))];
  writeFileSync(join(folder, "nginx.conf"), nginxConfig(folder, port, ports, log));
  const child = program("nginx", ["-p", folder, "-c", join(folder, "nginx.conf"), "-g", "daemon off;"]);
  await Promise.race([child.failed, until("the start of nginx", () => fetch(`http://127.0.0.1:${port}/socket.io/?EIO=4&transport=polling`).catch(() => false))]);
  const stop = async () => {
    // A master that is killed leaves its workers, which keep the output of the test open.
    if (child.exitCode === null) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
    rmSync(folder, { recursive: true, force: true });
  };
  return { url: `http://127.0.0.1:${port}`, stop };
}

function nginxConfig(folder, port, ports, log) {
  return `
worker_processes 1;
error_log ${folder}/error.log;
pid ${folder}/nginx.pid;
events { worker_connections 4096; }
http {
  log_format line '$status $request_method $arg_transport $upstream_addr';
  access_log ${log ? `${log} line` : "off"};
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream fanfare {
${ports.map((upstream) => `    server 127.0.0.1:${upstream} max_fails=0;`).join("\n")}
    keepalive 64;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://fanfare;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_read_timeout 120s;
      proxy_next_upstream off;
    }
  }
}
`;
}

const suffixOf = (adapter) => (adapter === "postgres" ? "_postgres" : adapter.startsWith("nats") ? "_nats" : "");

export class Node {
  /** Starts a node: `kind` is `node` or `fanfare`. */
  static async start(kind, name, { adapter, url, prefix, port, recovery }) {
    port ??= await freePort();
    const env = { PORT: `${port}`, ADAPTER: adapter, BROKER_URL: url, PREFIX: prefix, NAME: name, ...(recovery && { RECOVERY: "1" }) };
    const child = kind === "node"
      ? program(process.execPath, [new URL("node.js", import.meta.url).pathname], env)
      : program(`${TARGET}/debug/examples/cluster_node${suffixOf(adapter)}`, [], env);
    const node = Object.assign(new Node(), { kind, name, port, child });
    await Promise.race([child.failed, until(`the start of ${kind}`, () => {
      if (child.exitCode !== null) throw new Error(`${kind} ended: ${child.output}`);
      return child.output.includes("listening");
    })]);
    node.control = node.client({ nsp: "/control" });
    await once(node.control, "connect");
    return node;
  }

  client({ nsp = "/", ...options } = {}) {
    return io(`http://127.0.0.1:${this.port}${nsp}`, { transports: ["websocket"], forceNew: true, ...options });
  }

  /** Runs an operation on the node, and returns its answer. */
  do(operation, how = {}, args = []) {
    return this.control.timeout(DEADLINE).emitWithAck("do", operation, how, args);
  }

  async stop() {
    this.control?.disconnect();
    await kill(this.child);
  }
}

/** A client that records its events. */
export class Client {
  static async join(node, options) {
    const client = Object.assign(new Client(), { node, events: [], socket: node.client(options) });
    client.record();
    await until("the welcome of a client", () => client.events.some(([name]) => name === "welcome"));
    client.events = [];
    return client;
  }

  record() {
    this.socket.onAny((...event) => {
      if (typeof event.at(-1) === "function") this.answer?.(event.pop());
      // With recovery, the position of the event.
      if (this.pid && /^\d+-\d+$/.test(event.at(-1))) event.pop();
      this.events.push(event);
    });
  }

  /** The private id, and the position of the last event, by which a client asks for recovery. */
  get pid() {
    return this.socket._pid;
  }

  get offset() {
    return this.socket._lastOffset;
  }

  /** Connects to another node, as a client does whose load balancer sends it there. */
  move(node, options, { pid, offset }) {
    this.node = node;
    this.socket = Object.assign(node.client(options), { _pid: pid, _lastOffset: offset });
    this.record();
  }

  legs() {
    return this.events.filter(([name]) => name === "leg");
  }

  get id() {
    return this.socket.id;
  }
}

let markers = 0;

/** Returns the events that each client gets by an operation of `source`, which ends with a broadcast to all. */
export async function observed(source, clients, operation) {
  const marker = `marker-${++markers}`;
  const answer = await operation();
  await source.do("emit", {}, [marker]);
  await until(`the end of an operation of ${source.name}`, () =>
    clients.every(({ events, socket }) => socket.disconnected || events.some(([name]) => name === marker)));
  const seen = clients.map(({ events }) => {
    const end = events.findIndex(([name]) => name === marker);
    return events.splice(0, end < 0 ? events.length : end + 1).filter(([name]) => name !== marker);
  });
  return { answer, seen };
}
