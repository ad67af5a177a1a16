// A node of Node.js. The environment: PORT, ADAPTER, BROKER_URL, PREFIX, NAME.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { adapterOf } from "./adapters.js";

const { PORT, ADAPTER, BROKER_URL, PREFIX, NAME } = process.env;
const http = createServer();
const io = new Server(http, {
  adapter: await adapterOf(ADAPTER, BROKER_URL, PREFIX),
  ...(ADAPTER.includes("streams") && { connectionStateRecovery: {} }),
});

// With Redis Cluster, @redis/client closes the connection of the last sharded channel twice when two unsubscriptions overlap.
// The second time is an error that nothing handles, which ends the process; it has no other effect.
process.on("unhandledRejection", (error) => {
  const twice = error?.constructor?.name === "ClientClosedError" && error.stack.includes("executeShardedUnsubscribeCommand");
  if (!twice) throw error;
});

// Values that JSON lacks.
const special = (value) => {
  if (value === "$undefined") return undefined;
  if (Array.isArray(value)) return value.map(special);
  if (value && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, special(inner)]));
  }
  return value;
};

const events = [];
const told = (namespace) => {
  namespace.on("tell", (...args) => events.push(args));
  namespace.on("ask", (value, ack) => ack([NAME, value]));
};
const dynamic = /^\/(dynamic-\d+|ünïcode-🎺)$/;
io.of(dynamic).on("connection", joined);
io.of("/").on("connection", joined);
told(io.of("/"));
io.on("new_namespace", told);

function joined(socket) {
  const { rooms = [], data } = socket.handshake.auth;
  rooms.forEach((room) => socket.join(room));
  if (data !== undefined && !socket.recovered) socket.data = data;
  socket.emit("welcome", socket.recovered);
}

const selected = (how) => {
  let selection = io.of(how.nsp ?? "/");
  for (const room of how.to ?? []) selection = selection.to(room);
  for (const room of how.except ?? []) selection = selection.except(room);
  if (how.local) selection = selection.local;
  if (how.volatile) selection = selection.volatile;
  if (how.compress !== undefined) selection = selection.compress(how.compress);
  if (how.timeout) selection = selection.timeout(how.timeout);
  return selection;
};

const operations = {
  emit: (how, args) => void selected(how).emit(...special(args)),
  emitWithAck: (how, args) =>
    new Promise((done) => selected(how).emit(...special(args), (error, answers) => done({ error: !!error, answers }))),
  async fetch(how) {
    const sockets = await selected(how).fetchSockets();
    return sockets.map(({ id, rooms, data, handshake }) => ({ id, rooms: [...rooms].sort(), data, handshake }));
  },
  join: (how) => void selected(how).socketsJoin(how.rooms),
  leave: (how) => void selected(how).socketsLeave(how.rooms),
  disconnect: (how) => void selected(how).disconnectSockets(how.close),
  tell: (how, args) => void io.of(how.nsp ?? "/").serverSideEmit("tell", ...special(args)),
  ask: (how, args) =>
    new Promise((done) => io.of(how.nsp ?? "/").serverSideEmit("ask", ...args, (error, answers) => done({ error: !!error, answers }))),
  told: () => events.splice(0),
  // Requests of old adapters, which name a single socket.
  "old sockets": async ({ to = [] }) => [...await io.of("/").adapter.sockets(new Set(to))],
  "old rooms": async () => [...await io.of("/").adapter.allRooms()],
  "old join": ({ id, room }) => io.of("/").adapter.remoteJoin(id, room),
  "old leave": ({ id, room }) => io.of("/").adapter.remoteLeave(id, room),
  "old disconnect": ({ id, close }) => io.of("/").adapter.remoteDisconnect(id, close),
  count: async (how) => io.of(how.nsp ?? "/").adapter.serverCount(),
};

io.of("/control").on("connection", (socket) => {
  socket.on("do", async (operation, how, args, ack) => ack((await operations[operation](how, args)) ?? null));
});

http.listen(+PORT, "127.0.0.1", () => console.log("listening"));
