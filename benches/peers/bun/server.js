// Socket.IO on Bun, with the engine that is made for it.
import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";

const engine = new Engine({ path: "/socket.io/" });
const io = new Server({ serveClient: false });
io.bind(engine);

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

Bun.serve({ port: Number(process.env.PORT), hostname: "127.0.0.1", ...engine.handler() });
