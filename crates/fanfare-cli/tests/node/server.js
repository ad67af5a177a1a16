// A socket.io server of v2, v3 or v4 with the events that the tests (and `fanfare bench`) use.
// Usage: node server.js 2|3|4 '{"pingInterval":…}'; prints its port. Options of its own: `port`, `bare` (nothing but
// Socket.IO is answered), `tls` (the files of a key and a certificate), `location` (everything is redirected there).
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { Server } from "socket.io";
import v2 from "socket.io-v2";
import { Server as V3 } from "socket.io-v3";

const [version, { port, bare, tls, location, ...given }] = [process.argv[2], JSON.parse(process.argv[3] || "{}")];
const options = { serveClient: false, ...given };
const other = (_request, response) => (location ? response.writeHead(302, { location }) : response.writeHead(404)).end();
const http = tls
  ? createSecureServer({ key: readFileSync(tls.key), cert: readFileSync(tls.cert) }, bare ? undefined : other)
  : createServer(bare ? undefined : other);
const io = version === "2" ? v2(http, options) : version === "3" ? new V3(http, options) : new Server(http, options);

io.of("/").on("connection", (socket) => {
  socket.emit("hello", { version }, Buffer.from([1, 2, 3]));
  socket.on("echo", (data, ack) => ack(data));
  socket.on("broadcast", (data) => io.emit("msg", data));
  socket.on("broadcast-binary", (data) => io.emit("msg", data));
  socket.on("join", (room, ack) => { socket.join(room); ack(); });
  socket.on("toroom", (room, data) => io.to(room).emit("msg", data));
  socket.on("ask", () => socket.emit("question", "red?", (answer) => socket.emit("answered", answer)));
  socket.on("shout", (text) => io.emit("shouted", text));
  socket.on("kick", () => socket.disconnect());
});
io.of("/secret").use((socket, next) => {
  const token = version === "2" ? socket.handshake.query.token : socket.handshake.auth.token;
  next(token === "abc" ? undefined : Object.assign(new Error("bad token"), { data: { hint: "token" } }));
});
io.of("/secret").on("connection", (socket) => socket.emit("welcome", socket.nsp.name));

http.listen(port ?? 0, "127.0.0.1", () => console.log(http.address().port));
process.stdin.on("end", () => process.exit()).resume();
