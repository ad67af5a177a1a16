// A socket.io server of v2, v3 or v4 with the events that the tests (and `fanfare bench`) use.
// Usage: node server.js 2|3|4 '{"pingInterval":…}'; prints its port. Options of its own: `port`.
import { createServer } from "node:http";
import { Server } from "socket.io";
import v2 from "socket.io-v2";
import { Server as V3 } from "socket.io-v3";

const [version, { port, ...given }] = [process.argv[2], JSON.parse(process.argv[3] || "{}")];
const options = { serveClient: false, ...given };
const http = createServer((_request, response) => response.writeHead(404).end());
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
