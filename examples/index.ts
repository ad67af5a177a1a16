import "@web/base.css";
import "@web/code.css";
import "./index.css";
import { ask, forcedTransport, keepTransport, showConnection, socket as makeSocket } from "@web/connection.ts";
import { find } from "@web/dom.ts";
import { themeButton } from "@web/theme.ts";
import type { Socket } from "socket.io-client";
import type { ClientToServer, ServerToClient } from "./events.d.ts";

themeButton();
keepTransport();
// The links that choose a transport say what they choose.
find(`a[href$='${forcedTransport() ? `?transport=${forcedTransport()}` : "/?"}']`).setAttribute("aria-current", "true");

for (const button of document.querySelectorAll<HTMLButtonElement>(".copy")) {
  const command = find("code", button.parentElement ?? document).textContent ?? "";
  button.setAttribute("aria-label", `Copy: ${command}`);
  // The clipboard exists in secure contexts only: at localhost and over TLS.
  button.hidden = !("clipboard" in navigator);
  button.addEventListener("click", () => {
    const done = (text: string) => (button.textContent = text);
    navigator.clipboard.writeText(command).then(() => done("Copied"), () => done("Not allowed"));
  });
}

const EVERY = 2000;
const socket: Socket<ServerToClient, ClientToServer> = makeSocket("/");
const show = (id: string, text: string) => {
  const element = find(`#${id}`);
  if (element.textContent !== text) element.textContent = text;
};

async function update(): Promise<void> {
  if (!socket.connected || document.hidden) return;
  const started = performance.now();
  const status = await ask(socket, EVERY, "status");
  if ("error" in status) return show("latency", "–");
  const passed = performance.now() - started;
  show("latency", `${passed < 10 ? passed.toFixed(1) : Math.round(passed)} ms`);
  show("connections", String(status.connections));
  show("uptime", duration(status.uptime));
  show("version", `Fanfare ${status.version}`);
  for (const [name, built] of [["book", status.book], ["doc", status.doc]] as const) {
    find(`#${name}`).hidden = !built;
    for (const absent of document.querySelectorAll<HTMLElement>(`[data-absent=${name}]`)) absent.hidden = built;
  }
}

function duration(seconds: number): string {
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

socket.on("connect", () => {
  const engine = socket.io.engine;
  const transport = () => show("transport", engine.transport.name === "websocket" ? "WebSocket" : "HTTP long-polling");
  transport();
  engine.on("upgrade", transport);
  show("socket-id", socket.id ?? "–");
  void update();
});
socket.on("disconnect", () => {
  for (const id of ["transport", "latency", "connections", "uptime", "socket-id"]) show(id, "–");
});
setInterval(() => void update(), EVERY);
document.addEventListener("visibilitychange", () => void update());
showConnection(socket as never);
socket.connect();
