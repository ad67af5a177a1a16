// Requests of `socket.io-redis` 6, the adapter before `@socket.io/redis-adapter`, to Fanfare: they name a single socket, or
// ask for ids.
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { Client, Node, observed, redisServer, until } from "../lib/cluster.js";

describe("requests of an old adapter of Node", { concurrency: false }, () => {
  let [redis, node, fanfare, near, far] = [];

  before(async () => {
    redis = await redisServer();
    const where = (adapter) => ({ adapter, url: redis.url, prefix: "old" });
    node = await Node.start("node", "node-0", where("redis-old"));
    fanfare = await Node.start("fanfare", "fanfare-0", where("redis"));
    near = await Client.join(node, { auth: { rooms: ["all", "near"] } });
    far = await Client.join(fanfare, { auth: { rooms: ["all", "far"] } });
    await until("the servers know each other", async () => (await fanfare.do("count")) === 2);
  });

  after(async () => {
    for (const client of [near, far]) client?.socket.disconnect();
    await Promise.all([node?.stop(), fanfare?.stop()]);
    await redis?.stop();
  });

  const both = () => [near, far];

  test("broadcasts go both ways", async () => {
    for (const source of [node, fanfare]) {
      const { seen } = await observed(source, both(), () => source.do("emit", { to: ["far", "near"] }, ["event", 1, Buffer.from([7])]));
      assert.deepEqual(seen, [[["event", 1, Buffer.from([7])]], [["event", 1, Buffer.from([7])]]]);
    }
  });

  test("it lists the ids of sockets", async () => {
    assert.deepEqual((await node.do("old sockets")).sort(), [near.id, far.id].sort());
    assert.deepEqual(await node.do("old sockets", { to: ["far"] }), [far.id]);
    assert.deepEqual(await node.do("old sockets", { to: ["nowhere"] }), []);
  });

  test("it lists the rooms", async () => {
    assert.deepEqual((await node.do("old rooms")).sort(), ["all", "far", far.id, "near", near.id].sort());
  });

  test("a socket of Fanfare joins and leaves a room", async () => {
    await node.do("old join", { id: far.id, room: "joined" });
    assert.deepEqual(await node.do("old sockets", { to: ["joined"] }), [far.id]);
    const { seen } = await observed(node, both(), () => node.do("emit", { to: ["joined"] }, ["inside"]));
    assert.deepEqual(seen, [[], [["inside"]]]);
    await node.do("old leave", { id: far.id, room: "joined" });
    assert.deepEqual(await node.do("old sockets", { to: ["joined"] }), []);
  });

  test("a socket of Fanfare is disconnected", async () => {
    const ended = once(far.socket, "disconnect");
    await node.do("old disconnect", { id: far.id, close: true });
    assert.ok(["io server disconnect", "transport close"].includes((await ended)[0]));
    await until("one socket is left", async () => (await node.do("old sockets")).length === 1);
  });
});
