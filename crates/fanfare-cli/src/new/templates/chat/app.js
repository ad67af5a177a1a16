import { io } from "/socket.io.esm.min.js";

const find = (id) => document.getElementById(id);
const [status, log, name, room, text] = ["status", "log", "name", "room", "text"].map(find);

const socket = io();
let entered = false;

socket.on("connect", () => {
  if (socket.recovered) status.textContent = "Connected again; nothing was missed";
  else if (entered) enter(); // a new session knows neither name nor room
  else status.textContent = "Connected: choose a name and a room";
});
socket.on("disconnect", () => { status.textContent = "Connecting …"; });

socket.on("message", (message) => {
  const time = new Date(message.at).toLocaleTimeString([], { timeStyle: "short" });
  show(`${time} ${message.name}: ${message.text}`);
});
socket.on("entered", (who) => show(`${who} entered`));
socket.on("left", (who) => show(`${who} left`));
socket.on("typing", (who) => { status.textContent = `${who} is typing …`; });

find("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  enter();
});

find("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await ask("say", text.value)) text.value = "";
});

text.addEventListener("input", () => socket.volatile.emit("typing"));

async function enter() {
  const members = await ask("enter", { name: name.value, room: room.value });
  if (members === undefined) return;
  entered = true;
  status.textContent = `In ${room.value}, with ${members === 1 ? "no others yet" : `${members - 1} others`}`;
  text.focus();
}

/** Emits an event and returns the answer; shows why there is none. */
async function ask(event, argument) {
  try {
    const answer = await socket.timeout(5000).emitWithAck(event, argument);
    if (!answer.error) return answer;
    status.textContent = answer.error.message;
  } catch {
    status.textContent = "The server does not answer";
  }
}

function show(line) {
  const item = document.createElement("li");
  item.textContent = line;
  log.append(item);
  item.scrollIntoView({ block: "nearest" });
}
