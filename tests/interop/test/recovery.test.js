// Connection state recovery, with connections that are cut without a word.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, collect, event, fixture, Kind, needs } from "../lib/suite.js";

const CSR = { connectionStateRecovery: { maxDisconnectionDuration: 60000, skipMiddlewares: true } };

/** Ends the transport under the client, as a network does. */
function cut(socket) {
  const { transport } = socket.io.engine;
  if (transport.name === "websocket") transport.ws.terminate();
  else socket.io.engine.close();
}

for (const transport of ["websocket", "upgrade"]) {
  const kind = new Kind("v4", transport);

  test(`${kind.name}: a cut client is recovered with rooms, data and missed events`, needs("recovery"), async (t) => {
    const server = await fixture(t, kind, CSR);
    const socket = await kind.open(t, "/", {}, server);
    const other = await kind.open(t, "/", {}, server);
    assert.equal(socket.recovered, false);
    await ask(socket, "join", ["room"]);
    await ask(socket, "set-data", "kept");
    const { id } = socket;
    const news = collect(socket, "news");
    await ask(other, "emit", { to: ["room"] }, "news", [0]); // Node needs one event for an offset
    await news.until(1);
    const gone = event(socket, "disconnect");
    socket.io.reconnection(false); // not before it has missed something
    cut(socket);
    await gone;
    await server.observed({ type: "disconnect", id });
    await ask(other, "emit", { to: ["room"] }, "news", [1]);
    await ask(other, "emit", { to: ["elsewhere"] }, "news", ["not for it"]);
    await ask(other, "emit", { via: "socket" }, "news", [2]);
    socket.connect();
    await event(socket, "connect");
    assert.equal(socket.recovered, true);
    assert.equal(socket.id, id);
    await news.until(3);
    assert.deepEqual(news.map(([n]) => n), [0, 1, 2]);
    assert.deepEqual(await ask(socket, "rooms"), [id, "room"].sort());
    assert.equal((await ask(socket, "get-data")).value, "kept");
  });
}

test("cut at random, 50 times: no event is lost, doubled or out of order", needs("recovery"), async (t) => {
  const kind = new Kind("v4", "websocket");
  const server = await fixture(t, kind, CSR);
  const socket = await kind.open(t, "/", {}, server);
  const other = await kind.open(t, "/", {}, server);
  socket.io.reconnectionDelay(1);
  socket.io.reconnectionDelayMax(20);
  await ask(socket, "join", ["room"]);
  const news = collect(socket, "news");
  let sent = 0;
  const send = () => ask(other, "emit", { to: ["room"] }, "news", [sent++]);
  await send();
  await news.until(1);
  let unrecovered = 0;
  socket.on("connect", () => { if (!socket.recovered) unrecovered++; });
  for (let i = 0; i < 50; i++) {
    const back = event(socket, "connect");
    const burst = Array.from({ length: 1 + Math.floor(Math.random() * 20) }, send);
    if (i % 2) await burst[Math.floor(burst.length / 2)];
    cut(socket);
    await Promise.all([...burst, back]);
  }
  await send();
  await news.until(sent);
  assert.deepEqual(news.map(([n]) => n), Array.from({ length: sent }, (_, i) => i));
  assert.equal(unrecovered, 0);
});
