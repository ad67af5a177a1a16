import { io } from "/socket.io.esm.min.js";

const [status, log, form, text] = ["#status", "#log", "#form", "#text"].map((id) => document.querySelector(id));

const socket = io();
socket.on("connect", () => { status.textContent = "Connected"; });
socket.on("disconnect", () => { status.textContent = "Connecting …"; });
socket.on("entries", (entries) => log.replaceChildren(...entries.map(item)));
socket.on("entry", (entry) => {
  log.append(item(entry));
  log.lastChild.scrollIntoView({ block: "nearest" });
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const response = await fetch("/api/entries", { method: "POST", body: text.value });
  status.textContent = await response.text();
  if (response.ok) text.value = "";
});

function item(entry) {
  const line = document.createElement("li");
  line.textContent = entry;
  return line;
}
