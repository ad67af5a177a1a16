import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, call, event, fixture, Kind, matrix, upgraded } from "../lib/suite.js";

matrix("size", {}, (kind) => {
  test("a text of nearly 1 MB from the client", async (t) => {
    const socket = await kind.open(t);
    // With msgpack all is binary, and in polling bodies binary is base64, a third longer.
    const n = kind.client === "msgpack" && kind.transport === "polling" ? 740_000 : 999_900;
    assert.equal(await ask(socket, "length", "y".repeat(n)), n);
    assert.equal(await ask(socket, "length", "😀".repeat(Math.floor(n / 4))), Math.floor(n / 4) * 2);
  });

  test("texts of 1 MB and more from the server", async (t) => {
    const socket = await kind.open(t);
    for (const n of [1_000_000, 5_000_000]) {
      const answer = event(socket, "size");
      socket.emit("size", n);
      assert.equal((await answer)[0].length, n);
    }
  });

  test("binary of nearly 1 MB both ways", async (t) => {
    const socket = await kind.open(t);
    // Base64 again.
    const n = kind.transport === "polling" ? 740_000 : 999_900;
    const data = Buffer.alloc(n, 0x5a);
    const [back] = await call(socket, "echo-ack", data);
    assert.ok(back.equals(data));
  });
});

matrix("small limit", { clients: ["v4", "v2"], options: { maxHttpBufferSize: 1000 } }, (kind) => {
  test("a message at the limit passes, one above it ends the connection", async (t) => {
    const socket = await kind.open(t, "/", { reconnection: false });
    assert.equal(await ask(socket, "length", "z".repeat(900)), 900);
    const { id } = socket;
    const gone = event(socket, "disconnect");
    socket.emit("length", "z".repeat(1100));
    const [reason] = await gone;
    // Over WebSocket the server closes with 1009; a POST that is too long is answered by 413.
    const expected = kind.final === "websocket" ? "transport close" : "transport error";
    assert.equal(reason, expected);
    const seen = await kind.fixture.observed({ type: "disconnect", id });
    assert.equal(seen.reason, kind.final === "websocket" ? "transport error" : "transport close");
  });

  test("binary above the limit ends the connection", async (t) => {
    const socket = await kind.open(t, "/", { reconnection: false });
    const gone = event(socket, "disconnect");
    socket.emit("length", Buffer.alloc(1500));
    const [reason] = await gone;
    assert.equal(reason, kind.final === "websocket" ? "transport close" : "transport error");
  });
});

test("the client splits its polling bodies at maxPayload", async (t) => {
  const kind = new Kind("v4", "polling");
  const socket = await kind.open(t, "/", { reconnection: false }, await fixture(t, kind, { maxHttpBufferSize: 1000 }));
  const answers = Array.from({ length: 20 }, (_, i) => ask(socket, "length", "w".repeat(400 + i)));
  assert.deepEqual(await Promise.all(answers), Array.from({ length: 20 }, (_, i) => 400 + i));
});

test("a backlog of megabytes survives the upgrade in order", async (t) => {
  const kind = new Kind("v4", "upgrade");
  const server = await fixture(t, kind);
  const socket = kind.socket(t, "/", {}, server);
  const sizes = [];
  socket.on("size", (text) => sizes.push(text.length));
  for (let i = 0; i < 40; i += 1) socket.emit("size", 100_000 + i);
  await event(socket, "connect");
  await upgraded(socket);
  for (let i = 40; i < 60; i += 1) socket.emit("size", 100_000 + i);
  await call(socket, "echo-ack", "done");
  assert.deepEqual(sizes, Array.from({ length: 60 }, (_, i) => 100_000 + i));
});
