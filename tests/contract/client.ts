// Uses the declarations as a front end does, with the official client. `@ts-expect-error` marks lines in which the compiler
// must report an error; it is an error itself if the line has none.
import { io, type Socket } from "socket.io-client";
import type {
  Auth,
  ClientToServer,
  Level,
  Rejection,
  Rejection2,
  ServerToClient,
  Step,
} from "./generated/everything.d.ts";
import type * as Little from "./generated/little.d.ts";

const socket: Socket<ServerToClient, ClientToServer> = io("/every-thing");
socket.auth = { token: "t" } satisfies Auth;
// @ts-expect-error the token is no number
socket.auth = { token: 5 } satisfies Auth;

/** The types are the same, and neither is `any`. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_: Same<A, B>): void {}

// What arrives.

socket.on("said", (messageId, said) => {
  same<typeof messageId, number>(true);
  same<typeof said.level, Level>(true);
  same<typeof said.author, string>(true);
  same<Level, "info" | "warning">(true);
  // @ts-expect-error there is no such member
  said.txt;
});
socket.on("picture", (type, data) => {
  same<typeof type, string>(true);
  same<typeof data, ArrayBuffer>(true);
});
socket.on("still there?", (ack) => ack("yes"));
// @ts-expect-error it is acknowledged with a string
socket.on("still there?", (ack) => ack(5));
socket.on("vote", (arg0, arg1, ack) => ack(arg0 === "yes" && arg1 > 3, ["info"]));
// @ts-expect-error the second argument is missing
socket.on("vote", (arg0, arg1, ack) => ack(true));
socket.on("joined", (joined: string) => joined);
socket.on("rejection", ({ why }: Rejection2) => why);
// @ts-expect-error only clients send it
socket.on("say", () => {});
// @ts-expect-error only servers see it
socket.on("count", () => {});

// What is sent.

const say = { roomName: "lobby", text: "hello" };
socket.emit("say", say, (answer) => {
  if ("error" in answer) {
    same<typeof answer, Rejection>(true);
    same<typeof answer.error.message, string>(true);
  } else {
    same<typeof answer.id, number>(true);
    if (answer.picture) same<typeof answer.picture.data, ArrayBuffer>(true);
  }
});
const data = new Uint8Array([1]);
const answer = await socket.emitWithAck("say", { ...say, priority: 3, picture: { width: 1, data } });
// @ts-expect-error it may be a rejection
answer.id;
// @ts-expect-error a member is missing
socket.emit("say", { text: "hello" }, () => {});
// @ts-expect-error a member has another name
socket.emit("say", { ...say, roomname: "lobby" }, () => {});
// @ts-expect-error there is no such level
socket.emit("say", { ...say, level: "fatal" }, () => {});
// @ts-expect-error there is no such event
socket.emit("sya", say, () => {});
// @ts-expect-error it is one argument, a tuple
socket.emit("moved to", 1.5, 2, () => {});
socket.emit("moved to", [1.5, 2], (rejection) => {
  same<typeof rejection, Rejection | undefined>(true);
});
const sum = await socket.emitWithAck("vote", "yes", 3);
same<typeof sum, boolean | Rejection>(true);
socket.emit("vote", "yes", 3, (accepted, levels) => {
  same<typeof accepted, boolean | Rejection>(true);
  same<typeof levels, Level[] | undefined>(true);
});
const steps: Step[] = ["stay", { turn: 0.5 }, { to: [1, 2] }, { jump: { height: 3 } }];
for (const step of steps) socket.emit("step", step, () => {});
// @ts-expect-error it jumps to a height
socket.emit("step", { jump: { far: 3 } }, () => {});
const found = await socket.emitWithAck("find", {
  key: "a",
  class: { kind: "circle", radius: 2 },
  by_name: { a: { kind: "point" } },
  by_number: { 5: true },
  anything: { really: ["anything"] },
  grid: [[1, 2, 3], [4, 5, 6]],
});
if (found !== null && !("error" in found)) same<typeof found.children, (typeof found)[]>(true);
// @ts-expect-error a point has no kind `square`
socket.emit("find", { key: 1, class: { kind: "square" }, by_name: {}, by_number: {}, anything: 1, grid: [[1, 2, 3], [4, 5, 6]] }, () => {});
socket.emit("refresh");
socket.emit("picture", "png", data);
socket.emit("picture", "png", data.buffer);
// @ts-expect-error bytes are no list of numbers
socket.emit("picture", "png", [1]);

// A contract with events of one direction only.

const little: Socket<Little.ServerToClient, Little.ClientToServer> = io("/");
little.on("refresh", () => {});
// @ts-expect-error clients send nothing there
little.emit("refresh");
