// V1-V6, S3: clients of Socket.IO v2 beside newer ones.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, call, collect, event, fixture, Kind, matrix, needs } from "../lib/suite.js";

const old = needs("eio3");
const bytes = (...list) => Buffer.from(list);

matrix("eio3", { clients: ["v2"] }, (kind) => {
  test("ids are made of the id of the transport", async (t) => {
    const root = await kind.open(t);
    const chat = kind.also(t, root, "/chat");
    const [{ id }] = await event(chat, "welcome");
    assert.equal(id, chat.id);
    assert.equal(id, `/chat#${root.id}`);
    assert.equal(root.id, root.io.engine.id);
    assert.deepEqual(await ask(root, "rooms"), [root.id]);
    assert.deepEqual(await ask(chat, "rooms"), [chat.id]);
    // They are addresses like any other.
    const other = await kind.open(t);
    const secret = event(root, "secret");
    await ask(other, "emit", { to: [root.id] }, "secret", ["psst"]);
    assert.deepEqual(await secret, ["psst"]);
  });

  test("the query of the connection is no auth, that of a namespace is", async (t) => {
    const root = await kind.open(t, "/", { query: { a: "1" } });
    let seen = await ask(root, "handshake");
    assert.deepEqual([seen.query, seen.auth], [{ a: "1" }, {}]);
    const chat = kind.also(t, root, "/chat", { query: { token: "é &=,?#", empty: "", n: 1 } });
    await event(chat, "connect");
    seen = await ask(chat, "handshake");
    assert.deepEqual([seen.query, seen.auth], [{ a: "1" }, { token: "é &=,?#", empty: "", n: "1" }]);
  });

  test("a long query of a namespace", async (t) => {
    const root = await kind.open(t);
    const chat = kind.also(t, root, "/chat", { query: { token: "x".repeat(20_000) } });
    await event(chat, "connect");
    assert.equal((await ask(chat, "handshake")).auth.token.length, 20_000);
  });

  test("a refusal is the error's data, or its text", async (t) => {
    const root = await kind.open(t);
    const text = kind.also(t, root, "/mw", { query: { fail: "b" } });
    assert.deepEqual(await event(text, "error"), ["refused by b"]);
    const data = kind.also(t, root, "/auth", { query: { token: "wrong" } });
    assert.deepEqual(await event(data, "error"), [{ code: "E_TOKEN", token: "wrong" }]);
    const nowhere = kind.also(t, root, "/nowhere", { query: { q: "1" } });
    assert.deepEqual(await event(nowhere, "error"), [{ message: "Invalid namespace" }]);
    assert.equal(await ask(root, "echo-ack", "alive"), "alive");
  });

  test("binary as base64, for those who ask for it", async (t) => {
    const socket = await kind.open(t, "/", { forceBase64: true });
    assert.deepEqual(await call(socket, "echo-ack", { deep: bytes(0, 1, 254, 255) }, bytes()), [{ deep: bytes(0, 1, 254, 255) }, bytes()]);
    const blob = event(socket, "blob");
    socket.emit("blob", 3000);
    assert.equal((await blob)[0].length, 3000);
    const [picture, sent] = [event(socket, "picture"), ask(socket, "emit", {}, "picture", [bytes(9, 8)])];
    assert.deepEqual(await picture, [bytes(9, 8)]);
    await sent;
  });

  test("a member of a mixed audience", async (t) => {
    const here = { v2: await kind.open(t, "/chat"), b64: await kind.open(t, "/chat", { forceBase64: true }) };
    for (const client of ["v3", "v4"]) {
      const newer = new Kind(client, kind.transport);
      here[client] = await newer.open(t, "/chat", {}, kind.fixture);
    }
    const sockets = Object.values(here);
    await Promise.all(sockets.map((socket) => ask(socket, "join", ["mixed"])));
    const news = sockets.map((socket) => collect(socket, "news"));
    const sent = [["text", "é€😀"], ["binary", { a: [bytes(1, 2, 3)] }, bytes()], ["text again", null]];
    for (const args of sent) {
      for (const socket of sockets) await ask(socket, "emit", { to: ["mixed"] }, "news", args);
    }
    for (const list of news) {
      await list.until(sent.length * sockets.length);
      assert.deepEqual([...list], sent.flatMap((args) => sockets.map(() => args)));
    }
    await ask(here.v2, "emit", { to: ["mixed"], except: [here.v4.id, here.b64.id] }, "news", ["some"]);
    await Promise.all([1, 2].map((i) => news[i === 1 ? 0 : 2].until(sent.length * sockets.length + 1)));

    sockets.forEach((socket, i) => socket.on("vote?", (topic, reply) => reply([i, topic])));
    for (const asking of [here.v2, here.v4]) {
      const { error, responses } = await ask(asking, "ask", { to: ["mixed"], timeout: 5000 }, "vote?", [bytes(7)]);
      assert.equal(error, null);
      assert.deepEqual(responses.sort(([a], [b]) => a - b), sockets.map((_, i) => [i, bytes(7)]));
    }
  });

  test("goes on after the connection was lost", async (t) => {
    const socket = await kind.open(t);
    const first = socket.id;
    const gone = event(socket, "disconnect");
    const back = event(socket, "reconnect");
    socket.io.engine.close();
    await gone;
    await back;
    assert.notEqual(socket.id, first);
    assert.equal(socket.id, socket.io.engine.id);
    assert.equal(await ask(socket, "echo-ack", "back"), "back");
  });
});

for (const transport of ["polling", "websocket", "upgrade"]) {
  const kind = new Kind("v2", transport);
  test(`${kind.name}: public ids that are not the session's`, needs("eio3", "randomIds"), async (t) => {
    const server = await fixture(t, kind, { randomIds: true });
    const socket = kind.socket(t, "/", {}, server);
    await event(socket, "connect");
    const [id] = await ask(socket, "rooms");
    await kind.opened(socket);
    assert.deepEqual(await ask(socket, "rooms"), [id], "the upgrade changes nothing");
    // What the client calls its id is the session's, which is known to nobody else.
    assert.equal(socket.id, socket.io.engine.id);
    assert.notEqual(id, socket.id);
    const chat = kind.also(t, socket, "/chat");
    const [welcome] = await event(chat, "welcome");
    assert.deepEqual(await ask(chat, "rooms"), [welcome.id]);
    assert.equal(chat.id, `/chat#${socket.id}`);
    assert.ok(![id, chat.id, socket.id].includes(welcome.id));

    // The server's id is an address, the client's is not.
    const other = await kind.open(t, "/", {}, server);
    const secrets = collect(socket, "secret");
    const tell = (to, text) => ask(other, "emit", { to: [to] }, "secret", [text]);
    await tell(socket.id, "to nobody");
    await tell(id, "psst");
    assert.deepEqual(await ask(socket, "join", ["room"]), ["room"]);
    await tell("room", "everyone");
    await secrets.until(2);
    assert.deepEqual([...secrets], [["psst"], ["everyone"]]);
    assert.equal(await ask(chat, "echo-ack", "chat"), "chat");

    const [gone, back] = [event(socket, "disconnect"), event(socket, "reconnect")];
    socket.io.engine.close();
    await gone;
    await back;
    const [next] = await ask(socket, "rooms");
    assert.equal(socket.id, socket.io.engine.id);
    assert.ok(![id, socket.id].includes(next));
    await tell(id, "to nobody");
    await tell(next, "again");
    await secrets.until(3);
    assert.deepEqual(secrets[2], ["again"]);
  });

  test(`${kind.name}: a server with connection state recovery`, old, async (t) => {
    const server = await fixture(t, kind, { connectionStateRecovery: {} });
    const [a, b] = [await kind.open(t, "/", {}, server), await kind.open(t, "/", {}, server)];
    const news = event(b, "news");
    await ask(a, "emit", {}, "news", ["everyone"]);
    assert.equal((await news)[0], "everyone");
    const echo = event(a, "echo");
    a.emit("echo", bytes(1));
    assert.deepEqual((await echo)[0], bytes(1));
    assert.equal((await ask(a, "handshake")).recovered, false);
  });

  test(`${kind.name}: is refused by a server that does not let it in`, old, async (t) => {
    const server = await fixture(t, undefined);
    const socket = kind.socket(t, "/", { reconnection: false }, server);
    const [error] = await event(socket, "connect_error");
    assert.equal(error.message, transport === "websocket" ? "websocket error" : "xhr poll error");
    const { status, body } = await fetch(`${server.url}/socket.io/?EIO=3&transport=polling`)
      .then(async (response) => ({ status: response.status, body: await response.json() }));
    assert.deepEqual([status, body], [400, { code: 5, message: "Unsupported protocol version" }]);
  });
}
