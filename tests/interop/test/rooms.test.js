import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, event, matrix, needs } from "../lib/suite.js";

/** Three sockets whose "news" are recorded; `got` empties the records once all have seen a marker. */
async function trio(t, kind, path = "/") {
  const sockets = { a: await kind.open(t, path), b: await kind.open(t, path), c: await kind.open(t, path) };
  const news = { a: [], b: [], c: [] };
  for (const [name, socket] of Object.entries(sockets)) socket.on("news", (...args) => news[name].push(...args));
  const got = async () => {
    // Events keep their order, so whoever sees the marker has seen all that was sent before it.
    const seen = Object.values(sockets).filter((socket) => socket.connected).map((socket) => event(socket, "marker"));
    await ask(sockets.a, "emit", {}, "marker", []);
    await Promise.all(seen);
    const result = Object.entries(news).filter(([, list]) => list.length).map(([name, list]) => `${name}:${list.splice(0)}`);
    return result.join(" ");
  };
  const emit = (from, how, ...args) => ask(sockets[from], "emit", how, "news", args);
  return { ...sockets, got, emit };
}

matrix("rooms", {}, (kind) => {
  test("join and leave", async (t) => {
    const socket = await kind.open(t);
    assert.deepEqual(await ask(socket, "rooms"), [socket.id]);
    assert.deepEqual(await ask(socket, "join", ["x", "y", "é 😀"]), ["x", "y", "é 😀"]);
    assert.deepEqual(await ask(socket, "join", ["x"]), ["x", "y", "é 😀"]);
    assert.deepEqual(await ask(socket, "leave", ["x", "never"]), ["y", "é 😀"]);
    assert.deepEqual(await ask(socket, "rooms"), [socket.id, "y", "é 😀"].sort());
  });

  test("to, except, unions, and each receives once", async (t) => {
    const { a, b, c, got, emit } = await trio(t, kind);
    await ask(a, "join", ["r1", "r2"]);
    await ask(b, "join", ["r2", "r3"]);
    await ask(c, "join", ["r3"]);

    await emit("a", { to: ["r1"] }, 1);
    assert.equal(await got(), "a:1");
    await emit("a", { to: ["r2"] }, 2);
    assert.equal(await got(), "a:2 b:2");
    await emit("a", { to: ["r1", "r2", "r3"] }, 3);
    assert.equal(await got(), "a:3 b:3 c:3");
    await emit("a", { to: ["r2", "r3"], except: ["r1"] }, 4);
    assert.equal(await got(), "b:4 c:4");
    await emit("a", { except: ["r3"] }, 5);
    assert.equal(await got(), "a:5");
    await emit("a", { to: ["nowhere"] }, 6);
    assert.equal(await got(), "");
    await emit("a", { to: ["r3"], except: [b.id] }, 7);
    assert.equal(await got(), "c:7");
    await emit("a", { except: ["nowhere"] }, 8);
    assert.equal(await got(), "a:8 b:8 c:8");
    await emit("a", { to: ["nowhere", "r1"], local: true }, 9);
    assert.equal(await got(), "a:9");
  });

  test("from a socket: everyone but itself", async (t) => {
    const { a, b, c, got, emit } = await trio(t, kind);
    await emit("b", { via: "socket" }, 1);
    assert.equal(await got(), "a:1 c:1");
    await Promise.all([a, b, c].map((socket) => ask(socket, "join", ["all"])));
    await emit("b", { via: "socket", to: ["all"] }, 2);
    assert.equal(await got(), "a:2 c:2");
    await emit("b", { via: "socket", to: ["all"], except: [c.id] }, 3);
    assert.equal(await got(), "a:3");
    await emit("a", { via: "socket", to: [a.id] }, 4);
    assert.equal(await got(), "");
    await emit("a", { via: "socket", to: [b.id] }, 5);
    assert.equal(await got(), "b:5");
    await emit("a", { via: "self" }, 6);
    assert.equal(await got(), "a:6");
    await emit("a", { via: "socket", local: true, compress: false }, 7);
    assert.equal(await got(), "b:7 c:7");
  });

  test("rooms are left on disconnect, and were there while disconnecting", async (t) => {
    const { a, b, got, emit } = await trio(t, kind);
    await ask(b, "join", ["den"]);
    const { id } = b;
    b.disconnect();
    const leaving = await kind.fixture.observed({ type: "disconnecting", id });
    assert.deepEqual(leaving.rooms, [id, "den"].sort());
    await kind.fixture.observed({ type: "disconnect", id });
    await emit("a", { to: ["den", id] }, 1);
    assert.equal(await got(), "");
    assert.equal(a.connected, true);
  });

  test("rooms belong to their namespace", async (t) => {
    const { a, b, got } = await trio(t, kind);
    const chat = kind.also(t, b, "/chat");
    await event(chat, "connect");
    await ask(a, "join", ["same"]);
    await ask(chat, "join", ["same"]);
    const received = event(chat, "news");
    await ask(chat, "emit", { to: ["same"] }, "news", ["chat"]);
    assert.deepEqual(await received, ["chat"]);
    assert.equal(await got(), "");
  });

  test("members can be listed, moved and disconnected in bulk", needs("fetchSockets"), async (t) => {
    const { a, b, c, got, emit } = await trio(t, kind, "/chat");
    await ask(a, "set-data", { name: "a" });
    await ask(a, "join", ["r"]);
    await ask(b, "join", ["r"]);
    const found = await ask(c, "sockets", { to: ["r"] });
    assert.deepEqual(found.map(({ id }) => id), [a.id, b.id].sort());
    assert.deepEqual(found.find(({ id }) => id === a.id), {
      id: a.id, rooms: [a.id, "r"].sort(), data: { value: { name: "a" } },
    });
    await ask(c, "sockets-join", { to: ["r"], except: [a.id] }, ["s"]);
    await emit("a", { to: ["s"] }, 1);
    assert.equal(await got(), "b:1");
    await ask(c, "sockets-leave", {}, ["s"]);
    await emit("a", { to: ["s"] }, 2);
    assert.equal(await got(), "");
    const gone = event(b, "disconnect");
    c.emit("kick-all", { to: ["r"], except: [a.id] }, false);
    assert.equal((await gone)[0], "io server disconnect");
    assert.equal(a.connected, true);
  });
});
