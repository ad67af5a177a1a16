// @ts-check

// ANCHOR: types
import { io } from "socket.io-client";
import { showConnection } from "/page.js";

/** @typedef {import("./events.d.ts").ClientToServer} ClientToServer */
/** @typedef {import("./events.d.ts").ServerToClient} ServerToClient */

/** @type {import("socket.io-client").Socket<ServerToClient, ClientToServer>} */
const socket = io();
// ANCHOR_END: types
showConnection(socket);

const form = /** @type {HTMLFormElement} */ (document.querySelector("form"));
const text = /** @type {HTMLInputElement} */ (document.querySelector("#text"));
const list = /** @type {HTMLElement} */ (document.querySelector("#list"));
const result = /** @type {HTMLElement} */ (document.querySelector("#result"));

// ANCHOR: emit
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await socket.emitWithAck("add", { text: text.value });
  if (typeof answer === "object") {
    result.textContent = `Sorry: ${answer.error.message}.`;
  } else {
    result.textContent = `Added as number ${answer}.`;
    text.value = "";
  }
});
// ANCHOR_END: emit

// ANCHOR: on
socket.on("list", (entries) => {
  list.replaceChildren(...entries.map(({ id, text, done }) => {
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = done;
    box.addEventListener("change", async () => {
      const open = await socket.emitWithAck("mark", { id, done: box.checked });
      if (typeof open === "number") result.textContent = `${open} to do.`;
    });
    const label = document.createElement("label");
    label.append(box, text);
    const item = document.createElement("li");
    item.append(label);
    return item;
  }));
});
// ANCHOR_END: on
