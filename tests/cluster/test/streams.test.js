// Redis Streams, and recovery on another server.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, redisServer, until } from "../lib/cluster.js";
import { emitsOfFanfare, mixed } from "../lib/suite.js";

/** A client moves from node to node, and gets what it missed. */
function recovery({ nodes, clients }) {
  test("a client that comes back to any node gets what it missed", async () => {
    const auth = { rooms: ["travellers"], data: { name: "Bea" } };
    const options = { auth, reconnection: false };
    const traveller = await Client.join(nodes[0], options);
    const id = traveller.id;
    const expected = [];
    let n = 0;
    const emit = async (source, seen = true) => {
      const args = ["leg", ++n, Buffer.from([n]), "🎺"];
      await source.do("emit", { to: seen ? ["travellers"] : ["elsewhere"] }, args);
      if (seen) expected.push(args);
    };
    for (let leg = 0; leg < 6; leg++) {
      const node = nodes[(leg + 1) % nodes.length];
      for (const source of nodes) {
        await emit(source);
        // A server of Node.js sends its own events when they are appended, perhaps before earlier ones of others: then
        // its client asks for too much.
        await until("the event before the cut", () => traveller.legs().length === expected.length);
      }
      traveller.socket.io.engine.close();
      await until("the loss", () => !traveller.socket.connected);
      for (const source of nodes) {
        await emit(source);
        await emit(source, false);
        await source.do("emit", { except: ["travellers"] }, ["leg", 0]);
      }
      const { pid, offset } = traveller;
      traveller.move(node, options, { pid, offset });
      const [, recovered] = await until("the welcome", () => traveller.events.find(([name]) => name === "welcome"));
      assert.equal(recovered, true, `leg ${leg} to ${node.name}`);
      assert.equal(traveller.id, id);
      await until("the events after the cut", () => traveller.legs().length >= expected.length);
      assert.deepEqual(traveller.legs().sort((a, b) => a[1] - b[1]), expected);
      traveller.events = traveller.events.filter(([name]) => name !== "welcome");
    }
    traveller.socket.disconnect();
    for (const client of clients) client.events = [];
  });
}

const more = (all) => {
  emitsOfFanfare(all);
  recovery(all);
};

mixed("streams", ["node", "fanfare", "node"], redisServer, { adapter: "redis-streams", more });
mixed("streams", ["fanfare", "node", "fanfare"], redisServer, { adapter: "redis-streams", more });
mixed("several streams", ["fanfare", "node", "fanfare"], redisServer, { adapter: "redis-streams-4", more });
