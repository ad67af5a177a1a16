// Redis Streams, and recovery on another server.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Client, Node, observed, redisServer, until } from "../lib/cluster.js";
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
  longAbsence(all);
};

mixed("streams", ["node", "fanfare", "node"], redisServer, { adapter: "redis-streams", more });
mixed("streams", ["fanfare", "node", "fanfare"], redisServer, { adapter: "redis-streams", more });
mixed("several streams", ["fanfare", "node", "fanfare"], redisServer, { adapter: "redis-streams-4", more });

/** A client that is away for longer than one page of the stream gets all of it, from either kind of server. */
function longAbsence({ nodes }) {
  test("a client that missed several hundred events gets all of them, from Node and from Fanfare", async () => {
    const MISSED = 350;
    const options = { auth: { rooms: ["patient"] }, reconnection: false };
    const [node, fanfare] = ["node", "fanfare"].map((kind) => nodes.find((found) => found.kind === kind));
    const patient = await Client.join(node, options);
    const expected = [];
    for (const to of [fanfare, node]) {
      const emit = async (source) => {
        const args = ["leg", expected.length, source.kind, { text: "🎺".repeat(10) }];
        expected.push(args);
        await source.do("emit", { to: ["patient"] }, args);
      };
      await emit(node);
      await until("the event before the cut", () => patient.legs().length === expected.length);
      patient.socket.io.engine.close();
      await until("the loss", () => !patient.socket.connected);
      for (let i = 0; i < MISSED; i++) await emit(i % 2 ? node : fanfare);
      const { pid, offset } = patient;
      patient.move(to, options, { pid, offset });
      const [, recovered] = await until("the welcome", () => patient.events.find(([name]) => name === "welcome"));
      assert.equal(recovered, true, to.name);
      await until("the missed events", () => patient.legs().length >= expected.length);
      // Each server's events keep their order; Node appends after it has acknowledged, so those of both may mix.
      for (const kind of ["node", "fanfare"]) {
        const of = (legs) => legs.filter((leg) => leg[2] === kind);
        assert.deepEqual(of(patient.legs()), of(expected), `events of ${kind}`);
      }
      assert.equal(patient.legs().length, expected.length);
      patient.events = patient.events.filter(([name]) => name !== "welcome");
    }
    patient.socket.disconnect();
  });
}

describe("streams with plain text only", { concurrency: false }, () => {
  test("binary arrives at other servers as JSON has it, in both directions", async () => {
    const redis = await redisServer();
    const where = { adapter: "redis-streams-plain", url: redis.url, prefix: "plain" };
    const nodes = [await Node.start("node", "node-0", where), await Node.start("fanfare", "fanfare-0", where)];
    const clients = [];
    for (const node of nodes) clients.push(await Client.join(node, { auth: { rooms: ["all"] } }));
    await until("the nodes know each other", async () =>
      (await Promise.all(nodes.map((node) => node.do("count")))).every((count) => count === 2));
    for (const [i, source] of nodes.entries()) {
      const args = ["picture", { deep: [Buffer.from([0, 1, 255])] }, "🎺", null, Buffer.alloc(0)];
      const { seen } = await observed(source, clients, async () => {
        await source.do("emit", { to: ["all"] }, args);
        await until("the event", () => clients.every(({ events }) => events.length > 0));
      });
      assert.deepEqual(seen[i], [args], `${source.name} to its own client`);
      assert.deepEqual(seen[1 - i], JSON.parse(JSON.stringify([args])), `${source.name} to the other`);
    }
    clients.forEach(({ socket }) => socket.disconnect());
    await Promise.all(nodes.map((node) => node.stop()));
    await redis.stop();
  });
});
