// PostgreSQL, with Node's emitter.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { Emitter } from "@socket.io/postgres-emitter";
import pg from "pg";
import { observed, postgresServer, until } from "../lib/cluster.js";
import { emitsOfFanfare, mixed } from "../lib/suite.js";

/** Node's emitter names no namespace, so that Node's adapter 0.5 drops what it sends: only Fanfare's clients get it. */
function emitters({ nodes, clients, broker, prefix, member }) {
  test("Node's emitter reaches the clients of Fanfare", async () => {
    const pool = new pg.Pool({ connectionString: broker.url, max: 1 });
    const emitter = new Emitter(pool, "/", { channelPrefix: prefix });
    const ours = (i) => nodes[i >> 1].kind === "fanfare";
    const emits = async (selection, selects, args) => {
      const selected = (i) => ours(i) && selects(i);
      const { seen } = await observed(nodes[0], clients, async () => {
        selection.emit(...args);
        await until("the event", () => clients.every(({ events }, i) => !selected(i) || events.length > 0));
      });
      assert.deepEqual(seen, clients.map((_, i) => (selected(i) ? [args] : [])));
    };
    await emits(emitter, () => true, ["all", 1, null, "🎺"]);
    await emits(emitter, () => true, ["binary", Buffer.from([1, 2])]);
    await emits(emitter, () => true, ["long", "x".repeat(10_000)]);
    await emits(emitter.to("odd"), (i) => member("odd", i), ["room", { a: [Number.MAX_SAFE_INTEGER] }]);
    await pool.end();
  });
  emitsOfFanfare({ nodes, clients, member });
}

const options = { adapter: "postgres", more: emitters };
if (existsSync("/usr/lib/postgresql")) {
  mixed("PostgreSQL", ["node", "fanfare", "node"], postgresServer, options);
  mixed("PostgreSQL", ["fanfare", "node", "fanfare"], postgresServer, options);
} else {
  test("PostgreSQL is not installed", { skip: true }, () => {});
}
