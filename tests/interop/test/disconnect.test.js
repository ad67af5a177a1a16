import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ask, event, fixture, Kind, matrix, needs } from "../lib/suite.js";

matrix("disconnect", {}, (kind) => {
  const cases = [
    ["the client leaves", (socket) => socket.disconnect(), "io client disconnect", "client namespace disconnect"],
    ["the server kicks it from the namespace", (socket) => socket.emit("kick", false), "io server disconnect", "server namespace disconnect"],
    ["the server closes its connection", (socket) => socket.emit("kick", true), "io server disconnect", "server namespace disconnect"],
    ["the client closes its transport", (socket) => socket.io.engine.close(), "forced close", "transport close"],
  ];
  for (const [title, act, client, server] of cases) {
    test(title, async (t) => {
      const socket = await kind.open(t, "/", { reconnection: false });
      const { id } = socket;
      const gone = event(socket, "disconnect");
      act(socket);
      assert.equal((await gone)[0], client);
      assert.equal((await kind.fixture.observed({ type: "disconnecting", id })).reason, server);
      assert.equal((await kind.fixture.observed({ type: "disconnect", id })).reason, server);
      assert.equal(kind.fixture.matching({ type: "disconnect", id }).length, 1);
    });
  }

  test("closing the connection disconnects all its namespaces", async (t) => {
    const root = await kind.open(t, "/", { reconnection: false });
    const chat = kind.also(t, root, "/chat");
    await event(chat, "connect");
    const [rootId, chatId] = [root.id, chat.id];
    const gone = Promise.all([event(root, "disconnect"), event(chat, "disconnect")]);
    chat.emit("kick", true);
    assert.deepEqual((await gone).map(([reason]) => reason), ["io server disconnect", "io server disconnect"]);
    for (const id of [rootId, chatId]) {
      assert.equal((await kind.fixture.observed({ type: "disconnect", id })).reason, "server namespace disconnect");
    }
  });

  test("a kicked client may come back", async (t) => {
    const socket = await kind.open(t);
    const gone = event(socket, "disconnect");
    socket.emit("kick", true);
    await gone;
    const back = event(socket, "connect");
    socket.connect();
    await back;
    assert.equal(await ask(socket, "echo-ack", "hello again"), "hello again");
  });

  test("a farewell emitted just before the kick arrives", async (t) => {
    const socket = await kind.open(t, "/", { reconnection: false });
    const [bye, gone] = [event(socket, "bye"), event(socket, "disconnect")];
    socket.emit("emit", { via: "self" }, "bye", ["see you"]);
    socket.emit("kick", true);
    assert.deepEqual(await bye, ["see you"]);
    await gone;
  });
});

const CASES = [
  ["v4", "polling"], ["v4", "websocket"], ["v4", "upgrade"], ["v2", "polling"], ["v2", "websocket"], ["v2", "upgrade"],
];

for (const [client, transport] of CASES) {
  const kind = new Kind(client, transport);

  test(`${kind.name}: heartbeats keep an idle connection`, needs(...kind.needs), async (t) => {
    const server = await fixture(t, kind, { pingInterval: 50, pingTimeout: 10_000 });
    const socket = await kind.open(t, "/", { reconnection: false }, server);
    for (let i = 0; i < 5; i += 1) await event(socket.io, client === "v2" ? "pong" : "ping");
    assert.equal(socket.connected, true);
    assert.equal(await ask(socket, "echo-ack", 1), 1);
  });

}

// At the same time, since each waits for as long as a busy machine may pause while nothing is wrong.
describe("the client notices a server that stopped answering", { concurrency: true }, () => {
  for (const [client, transport] of CASES) {
    const kind = new Kind(client, transport);

    test(kind.name, needs(...kind.needs), async (t) => {
      const server = await fixture(t, kind, { pingInterval: 100, pingTimeout: 2000 });
      const socket = await kind.open(t, "/", { reconnection: false }, server);
      const gone = event(socket, "disconnect");
      server.signal("SIGSTOP");
      t.after(() => server.signal("SIGCONT"));
      assert.equal((await gone)[0], "ping timeout");
    });
  }
});
