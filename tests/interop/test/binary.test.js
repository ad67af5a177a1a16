import assert from "node:assert/strict";
import { test } from "node:test";
import { call, event, fixture, Kind, matrix } from "../lib/suite.js";

const bytes = (n) => Buffer.from(Array.from({ length: n }, (_, i) => (i * 7) % 256));

matrix("binary", {}, (kind) => {
  const echo = async (socket, ...args) => {
    const answer = event(socket, "echo");
    socket.emit("echo", ...args);
    return answer;
  };

  test("buffers of many sizes", async (t) => {
    const socket = await kind.open(t);
    for (const n of [1, 2, 3, 125, 126, 127, 65535, 65536, 300000]) {
      const [back] = await echo(socket, bytes(n));
      assert.ok(Buffer.isBuffer(back));
      assert.ok(back.equals(bytes(n)), `${n} bytes`);
    }
  });

  test("an empty buffer", async (t) => {
    const socket = await kind.open(t);
    const [back, after] = await echo(socket, Buffer.alloc(0), "after");
    assert.equal(back.length, 0);
    assert.equal(after, "after");
  });

  test("nested in objects and arrays, both ways", async (t) => {
    const socket = await kind.open(t);
    const value = { a: [bytes(3), { b: { c: bytes(200) } }], text: "é😀", none: null };
    assert.deepEqual(await echo(socket, value, bytes(1), "end"), [value, bytes(1), "end"]);
  });

  test("typed arrays and array buffers arrive as buffers", async (t) => {
    const socket = await kind.open(t);
    const array = Uint8Array.from([1, 2, 3]);
    const [a, b] = await echo(socket, array, array.buffer);
    assert.deepEqual([...new Uint8Array(a)], [1, 2, 3]);
    assert.deepEqual([...new Uint8Array(b)], [1, 2, 3]);
  });

  test("ten attachments, and text between binary events keeps its place", async (t) => {
    const socket = await kind.open(t);
    const many = Array.from({ length: 10 }, (_, i) => bytes(i + 1));
    const order = [];
    socket.on("echo", (...args) => order.push(args));
    socket.emit("echo", "before");
    socket.emit("echo", ...many);
    socket.emit("echo", "between");
    socket.emit("echo", { last: many });
    await call(socket, "echo-ack", "done");
    assert.deepEqual(order, [["before"], many, ["between"], [{ last: many }]]);
  });

  test("a blob made by the server", async (t) => {
    const socket = await kind.open(t);
    const answer = event(socket, "blob");
    socket.emit("blob", 100000);
    const [blob] = await answer;
    assert.equal(blob.length, 100000);
    assert.ok(blob.every((byte, i) => byte === i % 256));
  });

  test("binary to a room", async (t) => {
    const [a, b] = [await kind.open(t), await kind.open(t)];
    await call(b, "join", ["pictures"]);
    const answer = event(b, "picture");
    a.emit("emit", { to: ["pictures"] }, "picture", [{ name: "p.png", data: bytes(5000) }]);
    assert.deepEqual(await answer, [{ name: "p.png", data: bytes(5000) }]);
  });

  test("something that looks like a placeholder is only data", async (t) => {
    const socket = await kind.open(t);
    assert.deepEqual(await echo(socket, { _placeholder: false, num: 0 }), [{ _placeholder: false, num: 0 }]);
    assert.deepEqual(await echo(socket, { num: 3 }), [{ num: 3 }]);
  });
});

for (const transport of ["polling", "websocket"]) {
  test(`more attachments than the limit end the connection, ${transport}`, async (t) => {
    const kind = new Kind("v4", transport);
    const server = await fixture(t, kind);
    const socket = await kind.open(t, "/", { reconnection: false }, server);
    const { id } = socket;
    const gone = event(socket, "disconnect");
    socket.emit("echo", ...Array.from({ length: 11 }, () => bytes(1)));
    await gone;
    const { reason } = await server.observed({ type: "disconnect", id });
    assert.equal(reason, "forced close");
  });
}
