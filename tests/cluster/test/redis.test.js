// Classic publish and subscribe, with Node's emitter.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Emitter } from "@socket.io/redis-emitter";
import { redis } from "../lib/adapters.js";
import { observed, redisServer, until } from "../lib/cluster.js";
import { emitsOfFanfare, mixed } from "../lib/suite.js";

/** Both emitters reach the clients of nodes of both kinds. */
function emitters({ nodes, clients, broker, prefix, member }) {
  test("Node's emitter drives the cluster", async () => {
    const client = await redis(broker.url);
    const emitter = new Emitter(client, { key: prefix });
    const emits = async (selection, selects, args) => {
      const { seen } = await observed(nodes[0], clients, async () => {
        selection.emit(...args);
        await until("the event", () => clients.every(({ events }, i) => !selects(i) || events.length > 0));
      });
      assert.deepEqual(seen, clients.map((_, i) => (selects(i) ? [args] : [])));
    };
    await emits(emitter, () => true, ["all", 1, Buffer.from([1, 2]), null, "🎺"]);
    await emits(emitter.to("odd"), (i) => member("odd", i), ["room", { a: [Number.MAX_SAFE_INTEGER] }]);
    await emits(emitter.to(["odd", "room-0"]).except("room-1"), (i) => i < 2 || i === 5, ["rooms"]);
    await emits(emitter.volatile.compress(false), () => true, ["flags"]);
    emitter.in("even").socketsJoin("by-emitter");
    await until("the join", async () => (await nodes[1].do("fetch", { to: ["by-emitter"] })).length === 3);
    emitter.in("room-0").socketsLeave("by-emitter");
    await until("the leave", async () => (await nodes[1].do("fetch", { to: ["by-emitter"] })).length === 2);
    emitter.socketsLeave("by-emitter");
    emitter.serverSideEmit("tell", "servers", [1]);
    for (const node of nodes) {
      const told = await until("the event", async () => {
        const events = await node.do("told");
        return events.length > 0 && events;
      });
      assert.deepEqual(told, [["servers", [1]]]);
    }
    await client.quit();
  });
  emitsOfFanfare({ nodes, clients, member });
}

mixed("classic", ["node", "fanfare", "node"], redisServer, { adapter: "redis", more: emitters });
mixed("classic", ["fanfare", "node", "fanfare"], redisServer, { adapter: "redis", more: emitters });
mixed("answers on specific channels", ["fanfare", "node", "fanfare"], redisServer, { adapter: "redis-specific" });
