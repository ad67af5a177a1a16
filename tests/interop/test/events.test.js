import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, call, collect, event, matrix } from "../lib/suite.js";

const VALUES = [
  null, true, false, 0, -1, 1.5, 1e21, 1e-7, -0.000001, 2 ** 53, 123456789012345, "", "text", [], {}, [[[]]],
  { a: { b: [1, { c: null }] } }, [1, "two", null, { three: 3 }],
  { __proto__: { x: 1 }, constructor: 1, "key with \"quotes\"": "\\ \n \r \t \b \f / \u0000 \u007f" },
];
// One, two, three and four bytes of UTF-8, the borders between them, combining and right-to-left text, controls.
const TEXTS = [
  "aé€😀", "\u0001\u007f\u0080\u07ff\u0800\uffff", "\ud7ff\ue000\ufffd\ufffe", "\u{10000}\u{10ffff}", "e\u0301 \u0915\u094d\u0937",
  "\u202eשלום مرحبا", "👩‍👩‍👧‍👦🏳️‍🌈", "\u2028\u2029\ufeff", "漢字かな交じり文 한국어", "\x1e\x1f b4AAEC",
  "𝒳".repeat(5000), "ﬃ".repeat(5000),
];

matrix("events", {}, (kind) => {
  test("every JSON value comes back as it went", async (t) => {
    const socket = await kind.open(t);
    for (const value of VALUES) {
      // The npm msgpack encoder wraps integers beyond 64 bits.
      if (kind.client === "msgpack" && value === 1e21) continue;
      const answer = event(socket, "echo");
      socket.emit("echo", value);
      assert.deepEqual(await answer, [JSON.parse(JSON.stringify(value))]);
    }
  });

  test("several arguments and none", async (t) => {
    const socket = await kind.open(t);
    const echoes = collect(socket, "echo");
    socket.emit("echo");
    socket.emit("echo", 1, "two", [3], { four: 4 }, null);
    socket.emit("echo", [[1, 2], [3]]);
    socket.emit("echo", ...Array.from({ length: 40 }, (_, i) => i));
    await echoes.until(4);
    assert.deepEqual([...echoes], [
      [], [1, "two", [3], { four: 4 }, null], [[[1, 2], [3]]], Array.from({ length: 40 }, (_, i) => i),
    ]);
  });

  test("UTF-8 of every width, in values, keys and event names", async (t) => {
    const socket = await kind.open(t);
    for (const text of TEXTS) {
      const answer = event(socket, "echo");
      socket.emit("echo", text, { [text.slice(0, 40)]: [text] });
      assert.deepEqual(await answer, [text, { [text.slice(0, 40)]: [text] }]);
    }
    for (const name of ["é€😀", "with \"quotes\" and \\", "a,b[c", " ", "12", "__proto__x"]) {
      const answer = event(socket, name);
      socket.emit("emit", { via: "self" }, name, [name]);
      assert.deepEqual(await answer, [name]);
    }
  });

  test("send and message", async (t) => {
    const socket = await kind.open(t);
    const answer = event(socket, "message");
    socket.send("hello", { n: 1 });
    assert.deepEqual(await answer, ["hello", { n: 1 }]);
  });

  test("an event nobody handles does no harm", async (t) => {
    const socket = await kind.open(t);
    socket.emit("nobody-handles-this", 1, 2, 3);
    assert.equal(await ask(socket, "echo-ack", "fine"), "fine");
  });

  test("a thousand events keep their order both ways", async (t) => {
    const socket = kind.socket(t);
    const echoes = collect(socket, "echo");
    for (let i = 0; i < 500; i += 1) socket.emit("echo", i, "x".repeat(i % 50));
    await event(socket, "connect");
    for (let i = 500; i < 1000; i += 1) socket.emit("echo", i, "x".repeat(i % 50));
    await echoes.until(1000);
    assert.deepEqual(echoes.map(([i]) => i), Array.from({ length: 1000 }, (_, i) => i));
    await kind.opened(socket);
  });

  test("a burst from the server arrives whole, in order, before the acknowledgement", async (t) => {
    const socket = await kind.open(t);
    const counts = collect(socket, "count");
    assert.deepEqual(await call(socket, "count", 2000), [2000]);
    assert.deepEqual(counts.map(([i]) => i), Array.from({ length: 2000 }, (_, i) => i));
  });

  test("volatile events reach a client that is ready", async (t) => {
    const socket = await kind.open(t);
    let arrived = event(socket, "tick", 300).catch(() => null);
    // Over polling a volatile packet is dropped unless a request is waiting: ask until one was.
    for (;;) {
      socket.emit("emit", { via: "self", volatile: true }, "tick", [1]);
      const args = await arrived;
      if (args) {
        assert.deepEqual(args, [1]);
        break;
      }
      arrived = event(socket, "tick", 300).catch(() => null);
    }
  });
});
