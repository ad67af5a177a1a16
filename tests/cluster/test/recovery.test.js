// Official clients that are cut off at random and come back to any of three servers, behind a round-robin nginx: each
// event arrives once, and those of each server in their order. MOVES: number of moves for each engine.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { io } from "socket.io-client";
import { Node, freePort, natsServer, nginx, postgresServer, redisServer, until } from "../lib/cluster.js";

const MOVES = Number(process.env.MOVES ?? 100);
const CLIENTS = 20;
const SERVERS = 3;
const PAUSE_MS = 10;

const ENGINES = {
  redis: redisServer,
  "redis-sharded": redisServer,
  "redis-sharded-private": redisServer,
  "redis-streams": redisServer,
  postgres: postgresServer,
  nats: natsServer,
};

let seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
function random(below) {
  seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
  return Math.floor((seed / 2 ** 32) * below);
}

/** A client that counts the events of each server. */
class Traveller {
  constructor(url, number) {
    this.number = number;
    this.expected = Array(SERVERS).fill(0);
    this.received = Array(SERVERS).fill(0);
    this.faults = [];
    this.recovered = 0;
    const auth = { rooms: [`room-${number}`] };
    const reconnection = { reconnectionDelay: 1, reconnectionDelayMax: 20, randomizationFactor: 1 };
    this.socket = io(url, { transports: ["websocket"], forceNew: true, auth, ...reconnection });
    this.connected = new Promise((done) => this.socket.once("connect", () => done((this.id = this.socket.id))));
    this.probes = new Set();
    this.socket.on("probe", (server, to) => this.probes.add(`${server} ${to}`));
    this.broadcasts = Array(SERVERS).fill(0);
    this.socket.on("e", (server, n) => this.count("event", this.received, server, n));
    this.socket.on("all", (server, n) => this.count("broadcast", this.broadcasts, server, n));
  }

  count(what, received, server, n) {
    const next = ++received[server];
    if (n === next) return;
    this.faults.push(`client ${this.number}: ${what} ${n} of server ${server}, not ${next}`);
    received[server] = n;
  }

  /** Cuts the connection, so that both ends, or only this one, notice it; and waits until the client is back. */
  async move() {
    const { engine } = this.socket.io;
    const back = new Promise((done) => this.socket.once("connect", done));
    if (random(2)) {
      engine.transport.ws.terminate();
    } else {
      // The old connection stays open, and nobody reads it.
      engine.transport.removeAllListeners();
      engine.transport.ws.onmessage = () => {};
      engine.transport.close = () => {};
      engine._onClose("transport error");
    }
    await back;
    if (this.socket.recovered && this.socket.id === this.id) this.recovered++;
    else this.faults.push(`client ${this.number} is a new one`);
  }
}

for (const [adapter, start] of Object.entries(ENGINES)) {
  describe(`recovery on any server, ${adapter}`, () => {
    const nodes = [];
    let broker, balancer, where;

    before(async () => {
      broker = await start();
      where = { adapter, url: broker.url, prefix: `moves-${process.pid}`, recovery: true };
      for (let n = 0; n < SERVERS; n++) nodes.push(await Node.start("fanfare", `${n}`, { ...where, port: await freePort() }));
      await known();
      balancer = await nginx(nodes.map(({ port }) => port));
    });

    after(async () => {
      await Promise.all(nodes.map((node) => node.stop()));
      await balancer?.stop();
      await broker?.stop();
    });

    const known = () => until("the nodes know each other", async () =>
      (await Promise.all(nodes.map((node) => node.do("count")))).every((count) => count === SERVERS));

    /** Emits from all servers while `meanwhile` runs, and checks that each client gets each event once, in order. */
    async function underLoad(meanwhile) {
      const first = seed;
      const clients = Array.from({ length: CLIENTS }, (_, n) => new Traveller(balancer.url, n));
      await Promise.all(clients.map(({ connected }) => connected));
      // A room that is new is not known to all servers at once.
      await until("the rooms can be reached", async () => {
        for (const { id, number, probes } of clients) {
          if (probes.size === 2 * SERVERS) continue;
          for (const [n, node] of nodes.entries()) {
            await node.do("emit", { to: [id] }, ["probe", n, "id"]);
            await node.do("emit", { to: [`room-${number}`] }, ["probe", n, "room"]);
          }
        }
        return clients.every(({ probes }) => probes.size === 2 * SERVERS);
      });
      let moving = true;
      const broadcasts = Array(SERVERS).fill(0);
      const emit = async (server) => {
        while (moving) {
          if (random(10) === 0) {
            await nodes[server].do("emit", {}, ["all", server, ++broadcasts[server]]);
            continue;
          }
          const client = clients[random(CLIENTS)];
          const n = ++client.expected[server];
          const to = random(2) ? [client.id] : [`room-${client.number}`];
          await nodes[server].do("emit", { to }, ["e", server, n]);
          await sleep(random(3));
        }
      };
      const emitting = nodes.map((_, server) => emit(server));
      await meanwhile(clients);
      moving = false;
      await Promise.all(emitting);
      const all = (client) => client.received.every((n, server) => n >= client.expected[server])
        && client.broadcasts.every((n, server) => n >= broadcasts[server]);
      await until("the last events", () => clients.every((client) => all(client) || client.faults.length > 0));
      for (const { socket } of clients) socket.disconnect();
      assert.deepEqual(clients.flatMap(({ faults }) => faults), [], `SEED=${first}`);
      const counts = clients.flatMap(({ received, broadcasts }) => [...received, ...broadcasts]);
      return counts.reduce((sum, n) => sum + n, 0);
    }

    test(`${MOVES} moves`, { timeout: 60_000 + MOVES * 1000 }, async () => {
      const times = [];
      let recovered;
      const events = await underLoad(async (clients) => {
        let left = MOVES;
        await Promise.all(clients.map(async (client) => {
          while (left-- > 0) {
            await sleep(random(PAUSE_MS));
            const begun = performance.now();
            await client.move();
            times.push(performance.now() - begun);
          }
        }));
        recovered = clients.reduce((sum, client) => sum + client.recovered, 0);
      });
      assert.equal(recovered, MOVES);
      times.sort((a, b) => a - b);
      const at = (share) => times[Math.floor((times.length - 1) * share)].toFixed(0);
      console.log(`${adapter}: ${MOVES} moves, ${events} events, back after ${at(0.5)} ms, ${at(0.99)} ms (99 %)`);
    });

    test("a server that is killed", { timeout: 60_000 }, async () => {
      const client = new Traveller(balancer.url, 0);
      await client.connected;
      const seen = await Promise.all(nodes.map((node) => node.do("fetch", { local: true, to: [client.id] })));
      const at = seen.findIndex((sockets) => sockets.length > 0);
      const back = new Promise((done) => client.socket.once("connect", done));
      nodes[at].child.kill("SIGKILL");
      const begun = performance.now();
      await back;
      const time = performance.now() - begun;
      // It was connected, so that no server had stored its session.
      assert.equal(client.socket.recovered, false);
      assert.ok(time < 10_000, `${time} ms`);
      await nodes[at].stop();
      nodes[at] = await Node.start("fanfare", `${at}`, { ...where, port: nodes[at].port });
      client.socket.disconnect();
      console.log(`${adapter}: a new session ${time.toFixed(0)} ms after the kill`);
    });
  });
}
