// The reference implementation of ../CONTRACT.md, on the socket.io package from npm.
import { createServer } from "node:http";
import { Server } from "socket.io";
import * as msgpack from "socket.io-msgpack-parser";

const OPTIONS = [
  "path", "pingInterval", "pingTimeout", "upgradeTimeout", "connectTimeout", "maxHttpBufferSize", "transports",
  "allowUpgrades", "allowEIO3", "cors", "cookie", "perMessageDeflate", "httpCompression", "connectionStateRecovery",
  "parser", "serveClient", "initialPacket", "addTrailingSlash", "hooks", "usualLimits",
];
const FEATURES = [
  "eio3", "msgpack", "recovery", "dynamic", "cookie", "cors", "deflate", "httpCompression", "fetchSockets",
  "packetMiddleware", "connectionError", "serveClient", "hooks",
];

function say(type, members) {
  process.stdout.write(`${JSON.stringify({ type, ...members })}\n`);
}

const options = { serveClient: false, ...JSON.parse(process.env.OPTIONS || "{}") };
for (const name of Object.keys(options)) {
  if (!OPTIONS.includes(name)) {
    console.error(`unknown option ${name}`);
    process.exit(2);
  }
}
if (options.parser === "msgpack") options.parser = msgpack;

const http = createServer((_request, response) => {
  response.writeHead(404).end();
});
const parameter = (request, name) => new URL(request.url, "http://here").searchParams.get(name);
if (options.hooks) {
  options.allowRequest = async (request, decide) => {
    await null;
    const deny = parameter(request, "deny");
    decide(deny, deny === null);
  };
}
const io = new Server(http, options);

if (options.hooks) {
  const generateId = io.engine.generateId.bind(io.engine);
  io.engine.generateId = async (request) => {
    const id = parameter(request, "id");
    if (id === "fail") throw new Error("no more ids");
    return id ?? generateId(request);
  };
  io.engine.on("initial_headers", (headers) => (headers["x-initial"] = "yes"));
  io.engine.on("headers", (headers) => (headers["x-every"] = "yes"));
  io.engine.on("connection", (connection) => {
    connection.on("upgrade", () => say("conn", { event: "upgrade" }));
    connection.on("heartbeat", () => say("conn", { event: "heartbeat" }));
    connection.on("close", (reason) => say("conn", { event: "close", reason }));
  });
  io.on("new_namespace", (namespace) => say("new_namespace", { nsp: namespace.name }));
}

io.engine.on("connection_error", ({ code, message, context }) => {
  say("connection_error", { code, message, name: context?.name ?? null });
});

const reply = (args) => (typeof args.at(-1) === "function" ? args.at(-1) : () => {});
const sorted = (rooms) => [...rooms].sort();

function operator(socket, how) {
  let target = socket;
  if (how.via !== "self") {
    target = how.via === "socket" ? socket.broadcast : socket.nsp;
    if (how.to?.length) target = target.to(how.to);
    if (how.except?.length) target = target.except(how.except);
    if (how.local) target = target.local;
  }
  if (how.volatile) target = target.volatile;
  if (how.compress !== undefined) target = target.compress(how.compress);
  if (how.timeout !== undefined) target = target.timeout(how.timeout);
  return target;
}

function bulk(socket, how) {
  const { volatile: _v, compress: _c, timeout: _t, ...rest } = how;
  return operator(socket, rest);
}

const handlers = {
  echo: (socket) => (...args) => {
    if (typeof args.at(-1) === "function") args.pop();
    socket.emit("echo", ...args);
  },
  "echo-ack": () => (...args) => reply(args)(...args.slice(0, -1)),
  silent: () => () => {},
  message: (socket) => (...args) => {
    if (typeof args.at(-1) === "function") args.pop();
    socket.send(...args);
  },
  "call-me": (socket) => (timeout, event, list, ...rest) => {
    socket.timeout(timeout).emit(event, ...list, (error, response) => {
      reply(rest)({ error: error ? error.message : null, response: error ? null : (response ?? null) });
    });
  },
  "call-later": (socket) => (timeout, event, list) => {
    socket.timeout(timeout).emit(event, ...list, (error) => {
      say("ack", { id: socket.id, error: error ? error.message : null });
    });
  },
  join: (socket) => async (rooms, ...rest) => {
    await socket.join(rooms);
    reply(rest)(sorted(socket.rooms).filter((room) => room !== socket.id));
  },
  leave: (socket) => async (rooms, ...rest) => {
    for (const room of rooms) await socket.leave(room);
    reply(rest)(sorted(socket.rooms).filter((room) => room !== socket.id));
  },
  rooms: (socket) => (...rest) => reply(rest)(sorted(socket.rooms)),
  emit: (socket) => (how, event, list, ...rest) => {
    operator(socket, how).emit(event, ...list);
    reply(rest)("ok");
  },
  ask: (socket) => (how, event, list, ...rest) => {
    operator(socket, how).emit(event, ...list, (error, responses) => {
      reply(rest)({ error: error ? error.message : null, responses: responses ?? [] });
    });
  },
  count: (socket) => (n, ...rest) => {
    for (let i = 0; i < n; i += 1) socket.emit("count", i);
    reply(rest)(n);
  },
  size: (socket) => (n) => socket.emit("size", "x".repeat(n)),
  blob: (socket) => (n) => {
    const bytes = Buffer.alloc(n);
    for (let i = 0; i < n; i += 1) bytes[i] = i % 256;
    socket.emit("blob", bytes);
  },
  length: () => (value, ...rest) => reply(rest)(value.length ?? value.byteLength),
  "set-data": (socket) => (value, ...rest) => {
    socket.data.value = value;
    reply(rest)("ok");
  },
  "get-data": (socket) => (...rest) => reply(rest)(socket.data),
  handshake: (socket) => (...rest) => {
    const { auth, query, url, address, secure, xdomain, time, issued } = socket.handshake;
    const { EIO, transport, t, sid, b64, ...own } = query;
    reply(rest)({
      auth, query: own, url: url.split("?")[0], address, secure, xdomain, time: typeof time, issued: typeof issued,
      transport: socket.conn.transport.name, protocol: socket.conn.protocol, recovered: socket.recovered,
    });
  },
  header: (socket) => (name, ...rest) => reply(rest)(socket.handshake.headers[name] ?? null),
  kick: (socket) => (close) => socket.disconnect(close),
  "kick-all": (socket) => (how, close) => bulk(socket, how).disconnectSockets(close),
  sockets: (socket) => async (how, ...rest) => {
    const found = await bulk(socket, how).fetchSockets();
    const list = found.map(({ id, rooms, data }) => ({ id, rooms: sorted(rooms), data }));
    reply(rest)(list.sort((a, b) => (a.id < b.id ? -1 : 1)));
  },
  "sockets-join": (socket) => async (how, rooms, ...rest) => {
    await bulk(socket, how).socketsJoin(rooms);
    reply(rest)("ok");
  },
  "sockets-leave": (socket) => async (how, rooms, ...rest) => {
    await bulk(socket, how).socketsLeave(rooms);
    reply(rest)("ok");
  },
  clients: () => (...rest) => reply(rest)(io.engine.clientsCount),
};

function serve(socket) {
  const nsp = socket.nsp.name;
  say("connection", { nsp, id: socket.id, recovered: socket.recovered });
  socket.on("disconnecting", (reason) => {
    say("disconnecting", { nsp, id: socket.id, reason, rooms: sorted(socket.rooms) });
  });
  socket.on("disconnect", (reason) => say("disconnect", { nsp, id: socket.id, reason }));
  socket.on("error", () => {});
  for (const [event, make] of Object.entries(handlers)) socket.on(event, make(socket));
}

const step = (name) => async (socket, next) => {
  await null;
  if (socket.handshake.auth.fail === name) return next(new Error(`refused by ${name}`));
  socket.data.order = [...(socket.data.order ?? []), name];
  next();
};

io.on("connection", serve);
io.of("/chat").on("connection", (socket) => {
  socket.emit("welcome", { nsp: "/chat", id: socket.id });
  serve(socket);
});
io.of("/burst").on("connection", (socket) => {
  const [count, size] = socket.handshake.auth.burst;
  for (let n = 0; n < count; n += 1) socket.emit("burst", n, "x".repeat(size));
  serve(socket);
});
io.of("/auth").use((socket, next) => {
  const { token } = socket.handshake.auth;
  if (token === "secret") return next();
  const error = new Error("not authorized");
  error.data = { code: "E_TOKEN", token: token ?? null };
  next(error);
}).on("connection", serve);
io.of("/mw").use(step("a")).use(step("b")).on("connection", serve);
io.of("/stuck").use(() => {});
io.of("/packet").on("connection", (socket) => {
  socket.use(([event], next) => (event === "forbidden" ? next(new Error("refused")) : next()));
  serve(socket);
});
io.of(/^\/dynamic-\d+$/).on("connection", serve);

const where = process.env.SOCKET ? [process.env.SOCKET] : [Number(process.env.PORT || 0), "127.0.0.1"];
http.listen(...where, () => {
  say("listening", { port: http.address().port ?? null, server: "node", features: FEATURES });
});
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => io.close(() => process.exit(0)));
}
