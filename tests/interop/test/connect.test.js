import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, event, fixture, matrix, Kind } from "../lib/suite.js";

matrix("connect", {}, (kind) => {
  test("connects on the transport that was asked for", async (t) => {
    const socket = await kind.open(t, "/", { query: { colour: "blue", "sp ace": "é&=" } });
    assert.match(socket.id, kind.eio === 4 ? /^[\w-]{20}$/ : /^[\w-]{20}$/);
    const seen = await ask(socket, "handshake");
    assert.equal(seen.transport, kind.final);
    assert.equal(seen.protocol, kind.eio);
    assert.deepEqual(seen.query, { colour: "blue", "sp ace": "é&=" });
    assert.equal(seen.url, "/socket.io/");
    assert.match(seen.address, /127\.0\.0\.1$/);
    assert.equal(seen.secure, false);
    assert.equal(seen.time, "string");
    assert.equal(seen.issued, "number");
  });

  test("sends headers of the handshake", async (t) => {
    const socket = await kind.open(t, "/", { extraHeaders: { "X-Custom": "abc, dEf" } });
    assert.equal(await ask(socket, "header", "x-custom"), "abc, dEf");
    assert.equal(await ask(socket, "header", "x-absent"), null);
  });

  test("connects with auth", async (t) => {
    const socket = await kind.open(t, "/auth", kind.auth({ token: "secret" }));
    assert.deepEqual(await ask(socket, "handshake").then((seen) => seen.auth), { token: "secret" });
    assert.equal(await ask(socket, "echo-ack", "in"), "in");
  });

  test("is refused with the reason and data of the middleware, then let in", async (t) => {
    const socket = kind.socket(t, "/auth", kind.auth({ token: "wrong" }));
    const { message, data } = await kind.refused(socket);
    if (kind.client !== "v2") assert.equal(message, "not authorized");
    assert.deepEqual(data, { code: "E_TOKEN", token: "wrong" });
    assert.equal(socket.connected, false);
    if (kind.client === "v2") return;
    socket.auth = { token: "secret" };
    socket.connect();
    await event(socket, "connect");
    assert.equal(await ask(socket, "echo-ack", 1), 1);
  });

  test("is refused without auth", async (t) => {
    const { data } = await kind.refused(kind.socket(t, "/auth"));
    assert.deepEqual(data, { code: "E_TOKEN", token: null });
  });

  test("an unknown namespace is refused and the connection stays", async (t) => {
    const socket = await kind.open(t);
    const other = kind.also(t, socket, "/nowhere");
    const { message } = await kind.refused(other);
    assert.equal(message, "Invalid namespace");
    assert.equal(await ask(socket, "echo-ack", "still here"), "still here");
  });

  test("middlewares run in order, and each may refuse", async (t) => {
    const socket = await kind.open(t, "/mw");
    assert.deepEqual(await ask(socket, "get-data"), { order: ["a", "b"] });
    for (const name of ["a", "b"]) {
      const refused = await kind.refused(kind.socket(t, "/mw", kind.auth({ fail: name })));
      assert.equal(refused.message, `refused by ${name}`);
      if (kind.client !== "v2") assert.equal(refused.data, undefined);
    }
  });

  test("socket ids differ from transport ids and from each other", { skip: kind.client === "v2" && "its ids are made of the transport's, see eio3" }, async (t) => {
    const socket = await kind.open(t);
    const chat = kind.also(t, socket, "/chat");
    await event(chat, "connect");
    assert.notEqual(socket.id, socket.io.engine.id);
    assert.notEqual(chat.id, socket.io.engine.id);
    assert.notEqual(chat.id, socket.id);
  });
});

test("auth may be a function", async (t) => {
  const kind = new Kind("v4", "websocket");
  const socket = kind.socket(t, "/auth", { auth: (cb) => cb({ token: "secret" }) }, await fixture(t, kind));
  await event(socket, "connect");
});

for (const transport of ["polling", "websocket"]) {
  test(`a client that joins nothing is let go after the connect timeout, ${transport}`, async (t) => {
    const kind = new Kind("v4", transport);
    const socket = kind.socket(t, "/stuck", { reconnection: false }, await fixture(t, kind, { connectTimeout: 1000 }));
    const [reason] = await event(socket.io, "close");
    assert.equal(reason, "transport close");
  });
}

test("another path", async (t) => {
  const kind = new Kind("v4", "upgrade");
  const server = await fixture(t, kind, { path: "/other/path" });
  const socket = await kind.open(t, "/", { path: "/other/path/" }, server);
  assert.equal((await ask(socket, "handshake")).url, "/other/path/");
  const wrong = kind.socket(t, "/", { reconnection: false }, server);
  const [error] = await event(wrong, "connect_error");
  assert.equal(error.message, "xhr poll error");
  assert.equal(error.context.status, 404);
});

test("a server without polling refuses it, and serves WebSocket", async (t) => {
  const kind = new Kind("v4", "websocket");
  const server = await fixture(t, kind, { transports: ["websocket"] });
  const socket = kind.socket(t, "/", { transports: ["polling"], reconnection: false }, server);
  const [error] = await event(socket, "connect_error");
  assert.equal(error.context.status, 400);
  await kind.open(t, "/", {}, server);
});
