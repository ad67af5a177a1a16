import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DEADLINE } from "../lib/fixture.js";
import { ask, call, event, fixture, Kind, matrix, needs } from "../lib/suite.js";

matrix("acks", {}, (kind) => {
  const modern = kind.client === "v4" || kind.client === "msgpack";

  test("the server acknowledges with any arguments", async (t) => {
    const socket = await kind.open(t);
    assert.deepEqual(await call(socket, "echo-ack"), []);
    assert.deepEqual(await call(socket, "echo-ack", 1, "two", null, [{ a: 1 }]), [1, "two", null, [{ a: 1 }]]);
    const bytes = Buffer.from([0, 1, 254, 255]);
    assert.deepEqual(await call(socket, "echo-ack", { deep: [bytes] }, bytes), [{ deep: [bytes] }, bytes]);
  });

  test("many acknowledgements in flight find their callers", async (t) => {
    const socket = await kind.open(t);
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => ask(socket, "echo-ack", i)));
    assert.deepEqual(answers, Array.from({ length: 200 }, (_, i) => i));
  });

  test("the client gives up waiting", { skip: !modern && "the client has no timeout()" }, async (t) => {
    const socket = await kind.open(t);
    await assert.rejects(socket.timeout(50).emitWithAck("silent", 1), { message: "operation has timed out" });
    assert.equal(await socket.timeout(5000).emitWithAck("echo-ack", "first", "second"), "first");
  });

  test("the client acknowledges", async (t) => {
    const socket = await kind.open(t);
    socket.on("question", (...args) => args.at(-1)({ got: args.slice(0, -1) }));
    assert.deepEqual(await ask(socket, "call-me", 5000, "question", [1, { two: 2 }]), {
      error: null, response: { got: [1, { two: 2 }] },
    });
    socket.on("empty", (reply) => reply());
    assert.deepEqual(await ask(socket, "call-me", 5000, "empty", []), { error: null, response: null });
  });

  test("the client acknowledges with binary", async (t) => {
    const socket = await kind.open(t);
    socket.on("question", (bytes, reply) => reply({ deep: [Buffer.concat([bytes, bytes])] }));
    const { error, response } = await ask(socket, "call-me", 5000, "question", [Buffer.from([1, 2])]);
    assert.equal(error, null);
    assert.deepEqual(response, { deep: [Buffer.from([1, 2, 1, 2])] });
  });

  test("the server gives up waiting, and a late answer does no harm", async (t) => {
    const socket = await kind.open(t);
    const asked = new Promise((resolve) => socket.on("question", resolve));
    assert.deepEqual(await ask(socket, "call-me", 100, "question", []), {
      error: "operation has timed out", response: null,
    });
    const reply = await asked;
    reply("too late");
    assert.equal(await ask(socket, "echo-ack", "fine"), "fine");
  });

  test("an acknowledgement is answered once", async (t) => {
    const socket = await kind.open(t);
    socket.on("question", (reply) => {
      reply("first");
      reply("second");
    });
    assert.equal((await ask(socket, "call-me", 5000, "question", [])).response, "first");
    assert.equal(await ask(socket, "echo-ack", "fine"), "fine");
  });

  test("the server's acknowledgement fails when the client leaves", async (t) => {
    const socket = await kind.open(t);
    const { id } = socket;
    const asked = event(socket, "question");
    socket.emit("call-later", 500, "question", []);
    await asked;
    socket.disconnect();
    const { error } = await kind.fixture.observed({ type: "ack", id });
    assert.ok(["operation has timed out", "socket has been disconnected"].includes(error), error);
  });

  test("the client's acknowledgements fail when the server kicks it", { skip: !modern && "the client has no emitWithAck()" }, async (t) => {
    const socket = await kind.open(t);
    const pending = socket.timeout(5000).emitWithAck("silent");
    socket.emit("kick", true);
    await assert.rejects(pending, { message: "socket has been disconnected" });
  });
});

for (const transport of ["polling", "websocket", "upgrade"]) {
  const kind = new Kind("v4", transport);
  test(`${kind.name}: retries go one after the other until they are acknowledged`, async (t) => {
    const socket = await kind.open(t, "/", { retries: 2, ackTimeout: DEADLINE }, await fixture(t, kind));
    const sent = [];
    socket.onAnyOutgoing((name, value) => sent.push(`${name} ${value}`));
    const answers = ["echo-ack", "silent", "echo-ack"].map((name, i) => new Promise((resolve) => {
      // Only for the answer that never comes, or one that is slow would be asked for twice.
      const asking = name === "silent" ? socket.timeout(100) : socket;
      asking.emit(name, i, (error, answer) => resolve(error ? error.message : answer));
    }));
    assert.deepEqual(await Promise.all(answers), [0, "operation has timed out", 2]);
    assert.deepEqual(sent, ["echo-ack 0", "silent 1", "silent 1", "silent 1", "echo-ack 2"]);
  });
}

matrix("broadcast acks", { clients: ["v4", "v2"] }, (kind) => {
  test("collects one answer per client", async (t) => {
    const sockets = [await kind.open(t, "/chat"), await kind.open(t, "/chat"), await kind.open(t, "/chat")];
    sockets.forEach((socket, i) => socket.on("vote?", (topic, reply) => reply({ topic, i })));
    const { error, responses } = await ask(sockets[0], "ask", { timeout: 5000 }, "vote?", ["tea"]);
    assert.equal(error, null);
    assert.deepEqual(responses.sort((a, b) => a.i - b.i), [0, 1, 2].map((i) => ({ topic: "tea", i })));
    const others = await ask(sockets[0], "ask", { via: "socket", timeout: 5000 }, "vote?", ["coffee"]);
    assert.deepEqual(others.responses.map(({ i }) => i).sort(), [1, 2]);
  });

  test("an audience of nobody answers at once", async (t) => {
    const socket = await kind.open(t, "/chat");
    assert.deepEqual(await ask(socket, "ask", { to: ["nobody"], timeout: 60000 }, "vote?", []), {
      error: null, responses: [],
    });
  });

  test("answers may be binary", async (t) => {
    const socket = await kind.open(t, "/chat");
    socket.on("vote?", (bytes, reply) => reply(bytes));
    const bytes = Buffer.from([9, 8, 7]);
    const { responses } = await ask(socket, "ask", { timeout: 5000 }, "vote?", [bytes]);
    assert.deepEqual(responses, [bytes]);
  });
});

// At the same time, since each waits for as long as the answer that does come may take on a busy machine.
describe("a broadcast reports who did not answer as a time-out with the other answers", { concurrency: true }, () => {
  for (const client of ["v4", "v2"]) {
    for (const transport of ["polling", "websocket", "upgrade"]) {
      const kind = new Kind(client, transport);

      test(kind.name, needs(...kind.needs), async (t) => {
        const server = await fixture(t, kind);
        const [a, b] = [await kind.open(t, "/chat", {}, server), await kind.open(t, "/chat", {}, server)];
        a.on("vote?", (reply) => reply("a"));
        b.on("vote?", () => {});
        const { error, responses } = await ask(a, "ask", { timeout: 2000 }, "vote?", []);
        assert.equal(error, "operation has timed out");
        assert.deepEqual(responses, ["a"]);
      });
    }
  }
});
