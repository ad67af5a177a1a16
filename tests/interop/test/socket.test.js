// Servers that listen on a Unix socket.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Fixture } from "../lib/fixture.js";
import { ask, Kind, needs } from "../lib/suite.js";

for (const transport of ["polling", "websocket", "upgrade"]) {
  const kind = new Kind("v4", transport);

  test(`${kind.name}: over a Unix socket`, needs(...kind.needs), async (t) => {
    const path = join(tmpdir(), `socket.io-${process.pid}-${transport}.sock`);
    rmSync(path, { force: true });
    const fixture = await Fixture.start({ socket: path });
    t.after(() => fixture.stop("SIGKILL"));
    // Kept alive: when a server has answered and closed, the empty write with which Node ends a request fails on a Unix
    // socket (EPIPE), and the client takes the request for failed.
    const agent = new Agent({ socketPath: path, keepAlive: true });
    t.after(() => agent.destroy());
    const socket = await kind.open(t, "/", { agent }, fixture);
    const { secure, transport: seen } = await ask(socket, "handshake");
    assert.deepEqual([secure, seen], [false, kind.final]);
    assert.equal(await ask(socket, "echo-ack", "hello"), "hello");
    const long = "x".repeat(300_000);
    assert.equal(await ask(socket, "echo-ack", long), long);
    socket.disconnect();
    assert.deepEqual(await fixture.stop(), { code: 0, signal: null }, fixture.errors);
  });
}
