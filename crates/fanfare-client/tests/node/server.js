// The server of the tests. Options come as JSON in argv[2]; the port is printed when it listens.
//
//   port, pingInterval, pingTimeout, maxHttpBufferSize, transports, recovery (ms), parser ("msgpack"),
//   tls {key, cert, ca}, cookie, ticks (ms between numbers to a room), log (a file of all numbers received: client,
//   connection, number), addTrailingSlash, perMessageDeflate
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { Server } from "socket.io";
import msgpack from "socket.io-msgpack-parser";

const options = JSON.parse(process.argv[2] ?? "{}");
const { tls } = options;
const elsewhere = (req, res) => res.writeHead(404).end("not here");
const server = tls
  ? createTlsServer({ ...tls, requestCert: !!tls.ca, rejectUnauthorized: !!tls.ca }, elsewhere)
  : createServer(elsewhere);

const io = new Server(server, {
  pingInterval: options.pingInterval ?? 25000,
  pingTimeout: options.pingTimeout ?? 20000,
  transports: options.transports ?? ["polling", "websocket"],
  maxHttpBufferSize: options.maxHttpBufferSize ?? 1e6,
  ...(options.recovery && { connectionStateRecovery: { maxDisconnectionDuration: options.recovery } }),
  ...(options.parser === "msgpack" && { parser: msgpack }),
  ...(options.cookie && { cookie: true }),
  addTrailingSlash: options.addTrailingSlash ?? true,
  perMessageDeflate: options.perMessageDeflate ?? false,
});

// Node keeps a session after it was restored. A client that is cut off twice before the server notices the first time is
// restored twice, under one id, and loses its rooms when the server does notice: no client can mend that.
function restoreOnce({ adapter }) {
  const restore = adapter.restoreSession.bind(adapter);
  adapter.restoreSession = async (pid, offset) => {
    const session = await restore(pid, offset);
    adapter.sessions?.delete(pid);
    return session;
  };
}

const requests = [];
server.prependListener("request", (req) => requests.push(req));
// Without WebSocket nobody would answer upgrades; Node takes them for plain requests then.
if (!options.transports || options.transports.includes("websocket")) {
  server.prependListener("upgrade", (req) => requests.push(req));
}

// Numbers received, per client name, over all connections.
const received = new Map();

function common(socket) {
  socket.on("echo", (...args) => {
    const ack = args.at(-1);
    if (typeof ack === "function") ack(...args.slice(0, -1));
    else socket.emit("echo", ...args);
  });
  socket.on("silence", () => {});
  socket.on("later", (ms, ack) => setTimeout(() => ack("late"), ms));
  socket.on("question", async (ack) => {
    try {
      ack(await socket.timeout(2000).emitWithAck("question", 20, 22));
    } catch (e) {
      ack(e.message);
    }
  });
  socket.on("handshake", (ack) => {
    const { auth, query, headers, url } = socket.handshake;
    ack({ auth, query, headers, url, transport: socket.conn.transport.name });
  });
  socket.on("requests", (ack) => ack(requests.map((req) => ({ url: req.url, headers: req.headers }))));
  socket.on("number", (name, n, ack) => {
    if (!received.has(name)) received.set(name, []);
    received.get(name).push(n);
    // Before the acknowledgement, so that not even SIGKILL comes in between.
    if (options.log) appendFileSync(options.log, `${name} ${socket.conn.id} ${n}\n`);
    if (typeof ack === "function") ack(n);
  });
  socket.on("numbers", (name, ack) => ack(received.get(name) ?? []));
  socket.on("burst", (count) => {
    for (let i = 0; i < count; i++) socket.emit("burst", i);
  });
  socket.on("join", (room, ack) => {
    socket.join(room);
    if (typeof ack === "function") ack(true);
  });
  socket.on("kick", () => socket.disconnect());
  socket.on("kick all", () => socket.disconnect(true));
  socket.on("cut", () => socket.conn.close());
  socket.on("sever", () => {
    // The TCP connection, without a word.
    const { transport } = socket.conn;
    (transport.socket?._socket ?? socket.conn.request.socket).destroy();
  });
  socket.on("garbage", () => socket.conn.write("9nonsense"));
}

if (options.recovery) ["/", "/chat"].forEach((name) => restoreOnce(io.of(name)));
io.on("connection", common);
io.of("/chat").on("connection", (socket) => {
  common(socket);
  socket.on("message", (text, ack) => {
    socket.nsp.emit("message", text);
    if (typeof ack === "function") ack(text.length);
  });
});
io.of("/admin").use((socket, next) => {
  if (socket.handshake.auth.token === "secret") return next();
  const error = new Error("not authorized");
  error.data = { code: 401 };
  next(error);
});
io.of("/admin").on("connection", common);

// Numbers to a room, for recovery.
let counter = 0;
if (options.ticks) setInterval(() => io.to("ticks").emit("tick", counter++), options.ticks);

server.listen(options.port ?? 0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit());
process.stdin.resume();
