import { io } from "/socket.io.esm.min.js";

const [status, log, form, text] = ["#status", "#log", "#form", "#text"].map((id) => document.querySelector(id));

const socket = io();
socket.on("connect", () => { status.textContent = "Connected"; });
socket.on("disconnect", () => { status.textContent = "Connecting …"; });

socket.on("said", (said) => {
  const line = document.createElement("li");
  line.textContent = said;
  log.append(line);
  line.scrollIntoView({ block: "nearest" });
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const answer = await socket.timeout(5000).emitWithAck("say", text.value);
    if (answer.error) throw new Error(answer.error.message);
    status.textContent = `Sent to ${answer}`;
    text.value = "";
  } catch (error) {
    status.textContent = `Not sent: ${error.message}`;
  }
});
