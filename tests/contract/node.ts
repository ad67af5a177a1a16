// Uses the declarations for Node.js: a client there, and a server of the same cluster.
import { Server } from "socket.io";
import { io, type Socket } from "socket.io-client";
import type { ClientToServer, ServerToClient, ServerToServer } from "./generated/everything-node.d.ts";

const socket: Socket<ServerToClient, ClientToServer> = io("/every-thing");
socket.on("picture", (type, data) => console.log(type, data.toString("hex")));
socket.emit("picture", "png", Buffer.from("a"));
const receipt = await socket.emitWithAck("say", { roomName: "lobby", text: "hello" });
console.log(receipt.id); // `rejections(false)`: it is always the answer

const server = new Server<ClientToServer, ServerToClient, ServerToServer>();
server.on("connection", (socket) => {
  socket.emit("said", 1, { text: "hello", level: "info", author: "Ada", at: 1.5 });
  // @ts-expect-error the server does not send it
  socket.emit("say", { text: "hello" });
});
server.on("count", ({ room }, ack) => ack(room.length));
const counts = await server.serverSideEmitWithAck("count", { room: "lobby" });
console.log(counts.length);
