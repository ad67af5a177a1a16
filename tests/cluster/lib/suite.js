// Every operation, from every node, over a cluster of both kinds.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Client, Node, observed, until } from "./cluster.js";

const NUMBERS = [0, -1, 127, 128, 65536, 2 ** 31, -(2 ** 31) - 1, 2 ** 32, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0.1, -1.5];
const VALUES = {
  text: ["text"],
  unicode: ["žluťoučký 🎺 \u0000 \u2028 \"quoted\\\"", "\u{1F468}\u200D\u{1F469}"],
  nothing: [null, [null], { a: null }, "", [], {}],
  "null in every place": ["a", null, { b: null, c: [null, { d: null }] }, null],
  numbers: [NUMBERS],
  binary: [Buffer.from([0, 1, 255]), { deep: [Buffer.alloc(300, 7)] }, "end"],
  "empty binary": [Buffer.alloc(0)],
  "long text": ["x".repeat(70_000)],
  "long binary": [Buffer.alloc(70_000, 3)],
  nested: [{ a: [{ b: { c: [1, [2, [3]]] } }] }, true, false],
};

/** Nodes of both kinds in one cluster, each with two clients: those of node i are in the rooms `room-i` and `all`. */
export function mixed(title, kinds, start, options = {}) {
  describe(`${title}: ${kinds.join(", ")}`, { concurrency: false }, () => {
    const broker = {};
    let [nodes, clients] = [[], []];
    const prefix = `mixed${Math.random().toString(36).slice(2)}`;

    before(async () => {
      Object.assign(broker, await start());
      const where = (adapter) => ({ adapter, url: broker.url, prefix });
      for (const [i, kind] of kinds.entries()) nodes.push(await Node.start(kind, `${kind}-${i}`, where(options.adapter)));
      await until("the nodes know each other", async () =>
        (await Promise.all(nodes.map((node) => node.do("count")))).every((count) => count === kinds.length));
      for (const [i, node] of nodes.entries()) {
        for (const half of ["even", "odd"]) {
          const auth = { rooms: ["all", `room-${i}`, half], data: { node: i, half } };
          clients.push(await Client.join(node, { auth }));
        }
      }
      // What a room of another node gets depends on the other's subscription, of which nothing tells.
      for (const source of nodes) {
        for (const room of ["all", "even", "odd", ...nodes.map((_, i) => `room-${i}`), ...clients.map(({ id }) => id)]) {
          await until(`${room} can be reached`, async () => {
            const { seen } = await observed(source, clients, () => source.do("emit", { to: [room] }, ["probe"]));
            return seen.flat().length === clients.filter((client, i) => member(room, i)).length;
          });
        }
      }
    });

    after(async () => {
      clients.forEach(({ socket }) => socket.disconnect());
      await Promise.all(nodes.map((node) => node.stop()));
      await broker.stop?.();
    });

    const member = (room, i) =>
      [clients[i].id, "all", `room-${i >> 1}`, i % 2 ? "odd" : "even"].includes(room);

    /** Emits from every node, and checks who gets it. */
    async function emits(how, selects, args = ["event", 1]) {
      for (const source of nodes) {
        const expected = clients.map((_, i) => (selects(i, nodes.indexOf(source)) ? [args] : []));
        const { seen } = await observed(source, clients, async () => {
          await source.do("emit", how, args);
          // In a Redis Cluster the room's channel may be on another server than the one of what follows.
          await until("the event", () => clients.every(({ events }, i) => events.length >= expected[i].length));
        });
        assert.deepEqual(seen, expected, `from ${source.name}`);
      }
    }

    test("broadcasts reach the clients that they are for", async () => {
      await emits({}, () => true);
      await emits({ to: ["room-1"] }, (i) => i >> 1 === 1);
      await emits({ to: ["room-0", "room-2", "even"] }, (i) => i >> 1 !== 1 || i % 2 === 0);
      await emits({ except: ["odd"] }, (i) => i % 2 === 0);
      await emits({ to: ["all"], except: ["room-0", "even"] }, (i) => i > 1 && i % 2 === 1);
      await emits({ to: ["nowhere"] }, () => false);
      await emits({ to: [clients[3].id] }, (i) => i === 3);
      await emits({ except: [clients[0].id] }, (i) => i !== 0);
      await emits({ local: true }, (i, source) => i >> 1 === source);
      await emits({ volatile: true, compress: false }, () => true);
      await emits({ compress: true, to: ["odd"] }, (i) => i % 2 === 1);
    });

    for (const [name, values] of Object.entries(VALUES)) {
      test(`values arrive as they are: ${name}`, () => emits({ to: ["all"] }, () => true, ["values", ...values]));
    }

    test("fields that Node leaves undefined are absent, arguments null", async () => {
      for (const source of nodes.filter(({ kind }) => kind === "node")) {
        const args = ["absent", "$undefined", { a: "$undefined", b: 1 }, Buffer.from([1])];
        const { seen } = await observed(source, clients, async () => {
          await source.do("emit", {}, args);
          // Over PostgreSQL, Node's later events overtake one with binary, which goes through the table.
          await until("the event", () => clients.every(({ events }) => events.length > 0));
        });
        for (const [event] of seen) {
          // A Date, a binary value or undefined within MessagePack may arrive as null.
          assert.deepEqual([event[0], event[1] ?? null, event[2].b, event[3]], ["absent", null, 1, Buffer.from([1])]);
          assert.equal(event[2].a ?? null, null);
        }
      }
    });

    // Node's MessagePack encoder breaks whole numbers from 2^64.
    test("large numbers of Fanfare arrive as they are", async () => {
      for (const source of nodes.filter(({ kind }) => kind === "fanfare")) {
        const args = ["large", 2 ** 64, 1e21, -1e300];
        const { seen } = await observed(source, clients, () => source.do("emit", {}, args));
        for (const events of seen) assert.deepEqual(events, [args]);
      }
    });

    test("order is kept", async () => {
      for (const source of nodes) {
        const { seen } = await observed(source, clients, () =>
          Promise.all(Array.from({ length: 100 }, (_, n) => source.do("emit", { to: n % 2 && !options.unordered ? ["all"] : [] }, ["n", n]))));
        for (const events of seen) assert.deepEqual(events.map(([, n]) => n), [...Array(100).keys()]);
      }
    });

    test("acknowledgements come from the clients of all nodes", async () => {
      for (const [i, client] of clients.entries()) client.answer = (ack) => ack({ i, bytes: Buffer.from([i]) });
      for (const source of nodes) {
        for (const [to, count] of [[[], 6], [["odd"], 3], [["room-0"], 2], [["nowhere"], 0], [[clients[5].id], 1]]) {
          const { answers, error } = await source.do("emitWithAck", { to, timeout: 10_000 }, ["question", Buffer.from([9])]);
          assert.equal(error, false, `${source.name} to ${to}`);
          assert.equal(answers.length, count);
          for (const { i, bytes } of answers) assert.deepEqual(bytes, Buffer.from([i]));
        }
        for (const client of clients) client.events = [];
      }
      clients[0].answer = () => {};
      const far = nodes.at(-1);
      const { answers, error } = await far.do("emitWithAck", { timeout: 1000 }, ["question"]);
      assert.deepEqual([error, answers.length], [true, 5], "one client does not answer");
      for (const client of clients) Object.assign(client, { answer: undefined, events: [] });
    });

    test("sockets of all nodes are listed", async () => {
      for (const source of nodes) {
        const all = await source.do("fetch");
        assert.deepEqual(all.map(({ id }) => id).sort(), clients.map(({ id }) => id).sort());
        for (const [i, { id }] of clients.entries()) {
          const { rooms, data, handshake } = all.find((socket) => socket.id === id);
          const half = i % 2 ? "odd" : "even";
          assert.deepEqual(rooms, ["all", `room-${i >> 1}`, half, id].sort());
          assert.deepEqual(data, { node: i >> 1, half });
          assert.equal(handshake.address.replace("::ffff:", ""), "127.0.0.1");
          assert.equal(handshake.query.EIO, "4");
          assert.ok(handshake.url.startsWith("/socket.io/?EIO=4"));
          assert.deepEqual(handshake.auth.data, data);
          assert.equal(typeof handshake.issued, "number");
        }
        assert.equal((await source.do("fetch", { to: ["odd"], except: ["room-1"] })).length, 2);
        assert.equal((await source.do("fetch", { local: true })).length, 2);
      }
    });

    test("sockets of all nodes join and leave rooms", async () => {
      for (const source of nodes) {
        const room = `new-${source.name}`;
        const both = async () => {
          await source.do("join", { to: ["even"], except: ["room-1"], rooms: [room, "extra"] });
          await until("the join", async () => (await source.do("fetch", { to: [room] })).length === 2);
          if (options.dynamic) await new Promise((done) => setTimeout(done, 200));
          await source.do("emit", { to: [room, "none"] }, ["joined"]);
        };
        const joined = await observed(source, clients, both);
        assert.deepEqual(joined.seen, clients.map((_, i) => (i % 2 === 0 && i >> 1 !== 1 ? [["joined"]] : [])));
        await source.do("leave", { to: [room], rooms: [room, "extra"] });
        await until("the leave", async () => (await source.do("fetch", { to: [room] })).length === 0);
      }
    });

    test("events between servers reach the others", async () => {
      for (const source of nodes) {
        const others = nodes.filter((node) => node !== source);
        const args = ["told", { a: [1, null] }, "🎺"];
        await source.do("tell", {}, args);
        for (const other of others) {
          assert.deepEqual(await until("the event", async () => {
            const events = await other.do("told");
            return events.length > 0 && events;
          }), [args]);
        }
        assert.deepEqual(await source.do("told"), []);
        const { answers, error } = await source.do("ask", {}, [{ n: 1 }]);
        assert.equal(error, false);
        assert.deepEqual(answers.sort(), others.map(({ name }) => [name, { n: 1 }]).sort());
      }
    });

    test("rooms and namespaces have any names", async () => {
      const NAMES = ["zimmer-é-日本", "🎺", "a b", "*", "a#b#", "[x]?", "\"quoted\\", "x".repeat(200)];
      const rooms = NAMES.map((name) => `${name}-${kinds.length}`);
      const nsp = "/ünïcode-🎺";
      for (const where of [{}, { nsp }]) {
        const inside = [];
        for (const node of nodes) inside.push(await Client.join(node, { ...where, auth: { rooms } }));
        for (const source of nodes) {
          await until("the namespace is known", async () => (await source.do("count", where)) === nodes.length);
          for (const room of rooms) {
            // The other nodes may not have subscribed to the room yet.
            await until(`an event to ${room}`, async () => {
              await source.do("emit", { ...where, to: [room] }, ["named", room]);
              await new Promise((done) => setTimeout(done, 20));
              return inside.every(({ events }) => events.some(([, name]) => name === room));
            });
            for (const client of inside) {
              assert.ok(client.events.every(([name, to]) => name === "named" && rooms.includes(to)), JSON.stringify(client.events));
            }
          }
          const { length } = await source.do("fetch", { ...where, to: [rooms[0]] });
          assert.equal(length, nodes.length);
          for (const client of inside) client.events = [];
        }
        inside.forEach(({ socket }) => socket.disconnect());
        await until("they have left", async () => (await nodes[0].do("fetch", { ...where, to: [rooms[0]] })).length === 0);
      }
      for (const client of clients) client.events = [];
    });

    test("dynamic namespaces are shared", async () => {
      const nsp = "/dynamic-7";
      const inside = [];
      for (const node of nodes) inside.push(await Client.join(node, { nsp, auth: { rooms: ["r"] } }));
      for (const source of nodes) {
        await until("the namespace is known", async () => (await source.do("count", { nsp })) === nodes.length);
        for (const to of [[], ["r"]]) {
          await until("an event in the namespace", async () => {
            await source.do("emit", { nsp, to }, ["inside"]);
            await new Promise((done) => setTimeout(done, 20));
            return inside.every(({ events }) => events.length > 0);
          });
          for (const client of inside) {
            assert.ok(client.events.every(([name]) => name === "inside"));
            client.events = [];
          }
        }
      }
      inside.forEach(({ socket }) => socket.disconnect());
      assert.deepEqual(clients.flatMap(({ events }) => events), []);
    });

    test("nodes of Fanfare describe themselves to each other, which Node ignores", async () => {
      for (const source of nodes.filter(({ kind }) => kind === "fanfare")) {
        const others = nodes.filter((node) => node.kind === "fanfare" && node !== source);
        const found = await until("the descriptions", async () => {
          // Over PostgreSQL the ids of Node's servers are known, too.
          const described = (await source.do("nodes")).filter(({ name }) => name);
          // Two clients, and the connection that drives the node. The number is at most 5 s old.
          const counted = described.every(({ clients: count }) => count >= 1);
          return described.length === others.length && counted && described;
        });
        assert.deepEqual(found.map(({ name }) => name).sort(), others.map(({ name }) => name).sort());
        for (const { version } of found) assert.match(version, /^fanfare \d/);
      }
      assert.deepEqual(clients.flatMap(({ events }) => events), []);
    });

    options.more?.({ nodes, clients, broker, prefix, member });

    test("sockets of all nodes are disconnected", async () => {
      for (const [n, source] of nodes.entries()) {
        const client = clients[((n + 1) % nodes.length) * 2];
        let reason;
        client.socket.once("disconnect", (why) => { reason = why; });
        await source.do("disconnect", { to: [client.id], close: n === 1 });
        assert.equal(await until("the disconnect", () => reason), "io server disconnect");
      }
      await until("three are left", async () => (await nodes[0].do("fetch")).length === 3);
    });
  });
}

/** The emitter of Fanfare, which is in a node of Fanfare, reaches the clients and servers of nodes of both kinds. */
export function emitsOfFanfare({ nodes, clients, member }) {
  test("Fanfare's emitter drives the cluster", async () => {
    const source = nodes.find(({ kind }) => kind === "fanfare");
    const emits = async (how, selects, args) => {
      const { seen } = await observed(nodes[0], clients, async () => {
        await source.do("emitter emit", how, args);
        await until("the event", () => clients.every(({ events }, i) => !selects(i) || events.length > 0));
      });
      assert.deepEqual(seen, clients.map((_, i) => (selects(i) ? [args] : [])));
    };
    await emits({}, () => true, ["all", 1, Buffer.from([1, 2]), null, "🎺"]);
    await emits({ to: ["odd"], volatile: true, compress: false }, (i) => member("odd", i), ["room", { a: [0.5] }]);
    await emits({ to: ["odd", "room-0"], except: ["room-1"] }, (i) => i < 2 || i === 5, ["rooms"]);
    const inside = async () => (await nodes[1].do("fetch", { to: ["by-fanfare"] })).length;
    await source.do("emitter join", { to: ["even"], rooms: ["by-fanfare"] });
    await until("the join", async () => (await inside()) === 3);
    await source.do("emitter leave", { to: ["room-0"], rooms: ["by-fanfare"] });
    await until("the leave", async () => (await inside()) === 2);
    await source.do("emitter leave", { rooms: ["by-fanfare"] });
    await source.do("emitter tell", {}, ["servers", [1]]);
    for (const node of nodes) {
      assert.deepEqual(await until("the event", async () => {
        const events = await node.do("told");
        return events.length > 0 && events;
      }), [["servers", [1]]]);
    }
  });
}
