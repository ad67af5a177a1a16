import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, collect, event, fixture, Kind, needs } from "../lib/suite.js";

const CASES = [
  ...["polling", "websocket", "upgrade"].map((transport) => ["v4", transport]),
  ["v3", "upgrade"], ["v2", "upgrade"], ["msgpack", "upgrade"],
];

// A polling client that has no request waiting at that moment only finds the server gone.
const parting = (kind) => (kind.final === "polling" ? ["transport close", "transport error"] : ["transport close"]);

for (const [client, transport] of CASES) {
  const kind = new Kind(client, transport);

  test(`${kind.name}: reconnects after the server is killed and started again`, needs(...kind.needs), async (t) => {
    const first = await fixture(t, kind);
    const socket = await kind.open(t, "/", {}, first);
    const chat = kind.also(t, socket, "/chat");
    await event(chat, "connect");
    const { id } = socket;
    const gone = event(socket, "disconnect");
    await first.stop("SIGKILL");
    const [reason] = await gone;
    assert.ok(["transport close", "transport error"].includes(reason), reason);
    socket.emit("echo", "buffered while away");
    const echoes = collect(socket, "echo");
    const back = Promise.all([event(socket, "connect"), event(chat, "connect")]);
    await fixture(t, kind, {}, first.port);
    await back;
    await echoes.until(1);
    assert.deepEqual([...echoes], [["buffered while away"]]);
    assert.notEqual(socket.id, id);
    assert.equal(await ask(chat, "echo-ack", "here again"), "here again");
  });

  test(`${kind.name}: SIGTERM closes as io.close() does, exits 0, and clients go to the next server`, needs(...kind.needs), async (t) => {
    const first = await fixture(t, kind);
    const socket = await kind.open(t, "/", {}, first);
    const { id } = socket;
    const gone = event(socket, "disconnect");
    assert.deepEqual(await first.stop("SIGTERM"), { code: 0, signal: null });
    assert.ok(parting(kind).includes((await gone)[0]));
    assert.equal((await first.observed({ type: "disconnect", id })).reason, "server shutting down");
    const back = event(socket, "connect");
    await fixture(t, kind, {}, first.port);
    await back;
    assert.equal(await ask(socket, "echo-ack", "next"), "next");
  });
}

test("many clients are all told at SIGTERM and all come back", async (t) => {
  const kind = new Kind("v4", "upgrade");
  const first = await fixture(t, kind);
  const kinds = ["polling", "websocket", "upgrade"].map((transport) => new Kind("v4", transport));
  const sockets = await Promise.all(Array.from({ length: 30 }, (_, i) => kinds[i % 3].open(t, "/", {}, first)));
  const gone = Promise.all(sockets.map((socket) => event(socket, "disconnect")));
  assert.equal((await first.stop("SIGTERM")).code, 0);
  (await gone).forEach(([reason], i) => assert.ok(parting(kinds[i % 3]).includes(reason), reason));
  const back = Promise.all(sockets.map((socket) => event(socket, "connect")));
  const second = await fixture(t, kind, {}, first.port);
  await back;
  await Promise.all(sockets.map(({ id }) => second.observed({ type: "connection", nsp: "/", id })));
});

test("a server with nobody connected stops at once", async (t) => {
  const server = await fixture(t);
  assert.deepEqual(await server.stop("SIGTERM"), { code: 0, signal: null });
});
