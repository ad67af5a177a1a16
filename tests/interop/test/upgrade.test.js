import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, collect, event, fixture, Kind, upgraded } from "../lib/suite.js";

test("allowUpgrades: false keeps polling", async (t) => {
  const kind = new Kind("v4", "upgrade");
  const socket = kind.socket(t, "/", {}, await fixture(t, kind, { allowUpgrades: false }));
  await event(socket, "connect");
  assert.equal(await ask(socket, "echo-ack", 1), 1);
  assert.equal(socket.io.engine.transport.name, "polling");
});

test("the client may refuse to upgrade", async (t) => {
  const kind = new Kind("v4", "upgrade");
  const socket = kind.socket(t, "/", { upgrade: false }, await fixture(t, kind));
  await event(socket, "connect");
  assert.equal(await ask(socket, "echo-ack", 1), 1);
  assert.equal(socket.io.engine.transport.name, "polling");
});

test("WebSocket first, polling as the way out", async (t) => {
  const kind = new Kind("v4", "websocket");
  const server = await fixture(t, kind, { transports: ["polling"] });
  const socket = kind.socket(t, "/", { transports: ["websocket", "polling"], tryAllTransports: true, reconnection: false }, server);
  await event(socket, "connect");
  assert.equal(socket.io.engine.transport.name, "polling");
});

for (const round of [1, 2, 3]) {
  test(`events of both sides cross the upgrade without loss or reordering, round ${round}`, async (t) => {
    const kind = new Kind("v4", "upgrade");
    const server = await fixture(t, kind);
    const sockets = Array.from({ length: 5 }, () => kind.socket(t, "/", {}, server));
    await Promise.all(sockets.map(async (socket, index) => {
      const echoes = collect(socket, "echo");
      let sent = 0;
      let open = true;
      await event(socket, "connect");
      const crossed = upgraded(socket).then(() => (open = false));
      // One after the other, so that there is always something in flight while the transport changes.
      while (open) {
        socket.emit("echo", sent, Buffer.from([sent % 256]));
        sent += 1;
        await ask(socket, "echo-ack", sent);
      }
      await crossed;
      for (let i = 0; i < 20 + index; i += 1) socket.emit("echo", sent++, Buffer.from([0]));
      await ask(socket, "echo-ack", "end");
      assert.deepEqual(echoes.map(([n]) => n), Array.from({ length: sent }, (_, i) => i));
    }));
  });
}

for (const [count, size, way] of [[200, 10_000, "upgrade"], [5000, 10, "upgrade"], [5000, 10, "polling"]]) {
  test(`${way}: ${count} events of ${size} letters, sent as a client connects, arrive under the usual limits`, async (t) => {
    const kind = new Kind("v4", way);
    const server = await fixture(t, kind, { usualLimits: true });
    const socket = kind.socket(t, "/burst", { auth: { burst: [count, size] } }, server);
    const reasons = collect(socket, "disconnect");
    const burst = collect(socket, "burst");
    await burst.until(count);
    assert.deepEqual(reasons.map(([reason]) => reason), []);
    assert.equal(await ask(socket, "echo-ack", "still here"), "still here");
    assert.deepEqual(burst.map(([n, text]) => [n, text.length]), Array.from({ length: count }, (_, n) => [n, size]));
    assert.deepEqual(reasons.map(([reason]) => reason), []);
  });
}
