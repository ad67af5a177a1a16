import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, collect, event, fixture, matrix, needs } from "../lib/suite.js";

matrix("namespaces", {}, (kind) => {
  test("several over one connection", async (t) => {
    // A server of its own: connections of other tests may still be closing, and are counted until then.
    const root = await kind.open(t, "/", {}, await fixture(t, kind));
    const chat = kind.also(t, root, "/chat");
    const welcome = event(chat, "welcome");
    await event(chat, "connect");
    assert.deepEqual(await welcome, [{ nsp: "/chat", id: chat.id }]);
    const auth = kind.also(t, root, "/auth", kind.auth({ token: "secret" }));
    await event(auth, "connect");

    const echoes = [root, chat, auth].map((socket) => collect(socket, "echo"));
    root.emit("echo", "root");
    chat.emit("echo", "chat", Buffer.from([1]));
    auth.emit("echo", "auth");
    await Promise.all([root, chat, auth].map((socket) => ask(socket, "echo-ack", 1)));
    assert.deepEqual(echoes.map((list) => [...list]), [[["root"]], [["chat", Buffer.from([1])]], [["auth"]]]);
    for (const socket of [root, chat, auth]) assert.equal(await ask(socket, "clients"), 1);
  });

  test("leaving one keeps the others, and it can be joined again", async (t) => {
    const root = await kind.open(t);
    const chat = kind.also(t, root, "/chat");
    await event(chat, "connect");
    const first = chat.id;
    chat.disconnect();
    await kind.fixture.observed({ type: "disconnect", nsp: "/chat", id: first, reason: "client namespace disconnect" });
    assert.equal(await ask(root, "echo-ack", "here"), "here");
    chat.connect();
    await event(chat, "connect");
    if (kind.client !== "v2") assert.notEqual(chat.id, first);
    assert.equal(await ask(chat, "echo-ack", "back"), "back");
  });

  test("being kicked from one keeps the others", async (t) => {
    const root = await kind.open(t);
    const chat = kind.also(t, root, "/chat");
    await event(chat, "connect");
    const gone = event(chat, "disconnect");
    chat.emit("kick", false);
    assert.equal((await gone)[0], "io server disconnect");
    assert.equal(await ask(root, "echo-ack", "here"), "here");
  });

  test("dynamic namespaces", needs("dynamic"), async (t) => {
    const one = await kind.open(t, "/dynamic-1");
    const two = await kind.open(t, "/dynamic-22");
    assert.equal(await ask(one, "echo-ack", "one"), "one");
    const news = collect(two, "news");
    await ask(one, "emit", {}, "news", ["only in 1"]);
    await ask(two, "echo-ack", 1);
    assert.deepEqual([...news], []);
    const { message } = await kind.refused(kind.socket(t, "/dynamic-x"));
    assert.equal(message, "Invalid namespace");
  });

  test("a per-packet middleware refuses an event and lets others through", needs("packetMiddleware"), async (t) => {
    const socket = await kind.open(t, "/packet");
    socket.on("forbidden", () => assert.fail("handled"));
    socket.emit("forbidden", 1);
    assert.equal(await ask(socket, "echo-ack", "ok"), "ok");
  });
});
