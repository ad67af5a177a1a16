// Captures what Node's adapters and emitters put on the wire, as the golden files of `fanfare-cluster`:
//
//     npm ci && node capture.js        (REDIS_URL, DATABASE_URL)
//
// Two servers with a client each drive every operation once. Redis is read with MONITOR, PostgreSQL with LISTEN. Each
// line of a file is one message: the operation that caused it, where it went, and its bytes.

import { createHash, randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import net from "node:net";
import { setTimeout as delay } from "node:timers/promises";

import { createAdapter as createClassic, createShardedAdapter } from "@socket.io/redis-adapter";
import { Emitter as RedisEmitter } from "@socket.io/redis-emitter";
import { createAdapter as createStreams } from "@socket.io/redis-streams-adapter";
import { createAdapter as createPostgres } from "@socket.io/postgres-adapter";
import { Emitter as PostgresEmitter } from "@socket.io/postgres-emitter";
import pg from "pg";
import { createClient } from "redis";
import { Server } from "socket.io";
import { io as connect } from "socket.io-client";

const REDIS = process.env.REDIS_URL ?? "redis://127.0.0.1:6379";
const DATABASE = process.env.DATABASE_URL ?? "postgres://postgres:postgres@127.0.0.1:5432/postgres";
const GOLDEN = new URL("../../crates/fanfare-cluster/tests/golden/", import.meta.url);
const PREFIX = `golden-${randomBytes(4).toString("hex")}`;
const QUIET_MS = 120;

/** Messages captured so far, and the operation that runs. */
const capture = { operation: "start", messages: [], last: Date.now() };

function captured(to, bytes) {
  capture.last = Date.now();
  const text = bytes.toString("utf8");
  const plain = Buffer.from(text, "utf8").equals(bytes);
  const payload = plain ? { text } : { base64: bytes.toString("base64") };
  const line = { operation: capture.operation, to: to.replaceAll(PREFIX, "PREFIX"), ...payload };
  capture.messages.push(line);
}

async function quiet() {
  do await delay(QUIET_MS);
  while (Date.now() - capture.last < QUIET_MS);
}

async function operation(name, run) {
  capture.operation = name;
  capture.last = Date.now();
  await run();
  await quiet();
}

/** Splits a line of MONITOR into the arguments of the command. */
function commandOf(line) {
  const args = [];
  for (const [quoted] of line.slice(line.indexOf("]")).matchAll(/"(?:[^"\\]|\\.)*"/g)) {
    const bytes = [];
    for (let at = 1; at < quoted.length - 1; at++) {
      if (quoted[at] !== "\\") {
        bytes.push(quoted.charCodeAt(at));
        continue;
      }
      at++;
      const simple = { n: 10, r: 13, t: 9, a: 7, b: 8 }[quoted[at]];
      if (quoted[at] === "x") {
        bytes.push(parseInt(quoted.slice(at + 1, at + 3), 16));
        at += 2;
      } else bytes.push(simple ?? quoted.charCodeAt(at));
    }
    args.push(Buffer.from(bytes));
  }
  return args;
}

function monitor() {
  const url = new URL(REDIS);
  const socket = net.connect(Number(url.port || 6379), url.hostname);
  let rest = "";
  socket.setEncoding("latin1");
  socket.on("data", (chunk) => {
    const lines = (rest + chunk).split("\r\n");
    rest = lines.pop();
    for (const line of lines) {
      const [name, ...args] = commandOf(line);
      if (!args[0]?.toString().startsWith(PREFIX)) continue;
      const command = name.toString().toUpperCase();
      if (command === "PUBLISH" || command === "SPUBLISH") captured(`${command} ${args[0]}`, args[1]);
      if (command === "XADD") {
        const fields = args.slice(args.findIndex((arg) => arg.toString() === "*") + 1).map(String);
        captured(`XADD ${args[0]}`, Buffer.from(JSON.stringify(fields)));
      }
    }
  });
  socket.write("MONITOR\r\n");
  return socket;
}

const TEXT = "h\u00e9llo \u65e5\u672c \ud83d\ude00 \u2028 \"quoted\" \\ \u0000\u0007\n";
const NUMBERS = [0, 1, 127, 128, 255, 256, 65535, 65536, -1, -32, -33, -128, -129, -32769, 2 ** 31, -(2 ** 31) - 1, 2 ** 53 - 1, 1.5, -0.25, 1e21];
const BINARY = Buffer.from([0, 1, 0xc4, 0xff, 0x7b]);

async function server(makeAdapter) {
  const http = createServer();
  const io = new Server(http, { serveClient: false, adapter: makeAdapter });
  io.on("connection", (socket) => {
    socket.join(["r1", "r2"]);
    socket.data = { name: "B\u00e9a", level: 3, nothing: null };
  });
  io.on("question", (...args) => args.at(-1)?.({ answer: 42 }));
  io.on("question binary", (...args) => args.at(-1)?.(BINARY));
  await new Promise((done) => http.listen(0, "127.0.0.1", done));
  const client = connect(`http://127.0.0.1:${http.address().port}`, { transports: ["websocket"], auth: { token: "t" } });
  client.on("ask", (answer) => answer({ yes: true, text: TEXT }));
  client.on("ask binary", (answer) => answer(BINARY));
  client.on("ask nothing", (answer) => answer());
  await new Promise((done) => client.on("connect", done));
  return { io, client };
}

async function drive(one, two) {
  const io = one.io;
  await operation("broadcast text", () => io.emit("text", TEXT));
  await operation("broadcast numbers", () => io.emit("numbers", ...NUMBERS));
  await operation("broadcast null", () => io.emit("null", null, { a: null, list: [null, true, false, ""] }));
  await operation("broadcast absent", () => io.emit("absent", { left: undefined, out: 1 }));
  await operation("broadcast no arguments", () => io.emit("nothing"));
  await operation("broadcast binary", () => io.emit("binary", BINARY, { nested: [Buffer.alloc(0), Buffer.alloc(300, 7)] }));
  await operation("broadcast long", () => io.emit("long", "x".repeat(9000), Array.from({ length: 20 }, (_, i) => i)));
  await operation("broadcast room", () => io.to("r1").emit("room", 1));
  await operation("broadcast number room", () => io.to(7).to("r1").emit("room", 1));
  await operation("broadcast rooms", () => io.to(["r1", "r2", "no-one"]).except("r3").emit("rooms", 1));
  await operation("broadcast socket", () => io.to(two.client.id).emit("socket", 1));
  await operation("broadcast volatile", () => io.volatile.emit("volatile", 1));
  await operation("broadcast compress", () => io.compress(false).emit("compress", 1));
  await operation("broadcast acknowledged", () => io.timeout(2000).emitWithAck("ask"));
  await operation("broadcast acknowledged binary", () => io.to("r1").timeout(2000).emitWithAck("ask binary"));
  await operation("broadcast acknowledged nothing", () => io.timeout(2000).emitWithAck("ask nothing"));
  await operation("join", () => io.in("r1").socketsJoin(["r4", TEXT]));
  await operation("leave", () => io.except("r9").socketsLeave("r4"));
  await operation("fetch", () => io.fetchSockets());
  await operation("fetch binary", async () => {
    for (const socket of two.io.sockets.sockets.values()) socket.data.picture = BINARY;
    await io.in("r1").fetchSockets();
  });
  await operation("server event", () => io.serverSideEmit("hello", 1, TEXT, null));
  await operation("server event binary", () => io.serverSideEmit("hello", BINARY));
  await operation("server event acknowledged", () => io.serverSideEmitWithAck("question", 1));
  await operation("server event acknowledged binary", () => io.serverSideEmitWithAck("question binary"));
  await operation("disconnect", () => io.in("r1").disconnectSockets(false));
  await operation("close", async () => {
    for (const { client, io } of [two, one]) {
      client.close();
      await io.close();
    }
  });
}

async function emit(emitter) {
  await operation("emitter broadcast", () => emitter.to("r1").except("r2").volatile.emit("text", TEXT, 1));
  await operation("emitter broadcast binary", () => emitter.emit("binary", BINARY));
  await operation("emitter join", () => emitter.in("r1").socketsJoin("r2"));
  await operation("emitter leave", () => emitter.socketsLeave(["r1", "r2"]));
  await operation("emitter disconnect", () => emitter.disconnectSockets(true));
  await operation("emitter server event", () => emitter.serverSideEmit("hello", 1));
}

async function save(engine) {
  capture.operation = "start";
  const lines = capture.messages.splice(0).map((line) => JSON.stringify(line));
  await writeFile(new URL(`${engine}.jsonl`, GOLDEN), lines.join("\n") + "\n");
  console.log(`${engine}: ${lines.length} messages, ${createHash("sha1").update(lines.join()).digest("hex").slice(0, 8)}`);
}

async function redis(engine, makeAdapter) {
  const watching = monitor();
  const clients = [];
  const client = async () => {
    const made = await createClient({ url: REDIS }).connect();
    clients.push(made);
    return made;
  };
  await quiet();
  const one = await server(await makeAdapter(client));
  const two = await server(await makeAdapter(client));
  await quiet();
  await drive(one, two);
  if (engine === "classic") await emit(new RedisEmitter(await client(), { key: PREFIX }));
  const [first] = clients;
  if (engine === "streams") await first.del(PREFIX);
  watching.destroy();
  await save(engine);
  for (const client of clients) client.destroy();
}

async function postgres() {
  const table = PREFIX.replaceAll("-", "_");
  const pool = new pg.Pool({ connectionString: DATABASE });
  await pool.query(`CREATE TABLE ${table} (id bigserial UNIQUE, created_at timestamptz DEFAULT now(), payload bytea)`);
  const listener = new pg.Client({ connectionString: DATABASE });
  await listener.connect();
  listener.on("notification", async ({ channel, payload }) => {
    const operation = capture.operation;
    captured(`NOTIFY ${channel}`, Buffer.from(payload));
    const { attachmentId } = JSON.parse(payload);
    if (attachmentId) {
      const { rows } = await pool.query(`SELECT payload FROM ${table} WHERE id = $1`, [attachmentId]);
      capture.operation = operation;
      captured("attachment", rows[0].payload);
    }
  });
  await listener.query(`LISTEN "${PREFIX}#/"`);
  const options = { channelPrefix: PREFIX, tableName: table };
  const one = await server(createPostgres(pool, options));
  const two = await server(createPostgres(pool, options));
  await quiet();
  await drive(one, two);
  await emit(new PostgresEmitter(pool, "/", options));
  await save("postgres");
  await listener.end();
  await pool.query(`DROP TABLE ${table}`);
  await pool.end();
}

await mkdir(GOLDEN, { recursive: true });
await redis("classic", async (client) => createClassic(await client(), await client(), { key: PREFIX }));
await redis("sharded", async (client) => createShardedAdapter(await client(), await client(), { channelPrefix: PREFIX }));
await redis("streams", async (client) => createStreams(await client(), { streamName: PREFIX, channelPrefix: PREFIX }));
await postgres();
process.exit(0);
