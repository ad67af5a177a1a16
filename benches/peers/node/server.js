// Socket.IO on Node, as its documentation sets it up. With TLS_CERT and TLS_KEY, names of PEM files, over TLS.
"use strict";

const { readFileSync } = require("node:fs");
const { Server } = require("socket.io");

const { PORT, TLS_CERT, TLS_KEY } = process.env;
const server = TLS_CERT
  ? require("node:https").createServer({ cert: readFileSync(TLS_CERT), key: readFileSync(TLS_KEY) })
  : require("node:http").createServer();
// Polling clients keep their connections.
server.keepAliveTimeout = 60_000;

const io = new Server(server, { serveClient: false });

io.on("connection", (socket) => {
  socket.on("echo", (data, ack) => ack(data));
  socket.on("broadcast", (data) => io.emit("msg", data));
  socket.on("broadcast-binary", (data) => io.emit("msg", data));
  socket.on("join", (room, ack) => {
    socket.join(room);
    ack();
  });
  socket.on("toroom", (room, data) => io.to(room).emit("msg", data));
});

server.listen({ port: Number(PORT), host: "127.0.0.1", backlog: 4096 });
