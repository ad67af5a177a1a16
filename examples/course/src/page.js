// What the pages of the course share. Each page imports what it needs.

/**
 * Shows the state of the connection at the top of the page.
 * @param {any} socket
 */
export function showConnection(socket) {
  const badge = /** @type {any} */ (document.querySelector("#connection"));
  const show = (/** @type {string} */ state, /** @type {string} */ text) => {
    badge.dataset.state = state;
    badge.lastElementChild.textContent = text;
  };
  socket.on("connect", () => show("connected", "Connected"));
  socket.on("disconnect", () => show("reconnecting", "Disconnected"));
  socket.on("connect_error", (/** @type {Error} */ error) => show("closed", socket.active ? "Trying again" : error.message));
}

/**
 * Adds a line to the list with the id `log`, and keeps the last hundred.
 * @param {string} text
 */
export function log(text, kind = "") {
  const list = /** @type {any} */ (document.querySelector("#log"));
  const line = document.createElement("li");
  line.className = kind;
  line.textContent = text; // text, never HTML: it may come from other people
  list.append(line);
  if (list.children.length > 100) list.firstElementChild.remove();
  list.scrollTop = list.scrollHeight;
}
