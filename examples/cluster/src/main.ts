import "@web/base.css";
import "./style.css";
import { io, type Socket } from "socket.io-client";
import { ask, forcedTransport, keepTransport, showConnection } from "@web/connection.ts";
import { count, find, h } from "@web/dom.ts";
import { themeButton } from "@web/theme.ts";
import type { Action, ClientToServer, ClusterState, NodeView, ServerToClient } from "../events.d.ts";
import { Counter } from "./counter.ts";

themeButton();
keepTransport();

const forced = forcedTransport();
const ACK_TIMEOUT = 5_000;
/** A browser keeps at most six requests open, and each connection on long-polling needs one at any time. */
const CONNECTIONS = forced === "polling" ? 3 : 6;

// The connection that watches and controls the nodes.

const watcher: Socket<ServerToClient, ClientToServer> = io("/cluster", {
  forceNew: true,
  transports: forced ? [forced] : ["polling", "websocket"],
  reconnectionDelay: 300,
  reconnectionDelayMax: 2_000,
});
showConnection(watcher as never);
watcher.on("state", showState);

const counter = new Counter(CONNECTIONS);

// Nodes

const list = find("#nodes");
const problem = find("#problem");
const NAMES: Record<Action, string> = { kill: "Kill", drain: "Drain", start: "Start" };

interface Card {
  element: HTMLElement;
  phase: HTMLElement;
  facts: Record<"clients" | "out" | "in" | "uptime" | "here", HTMLElement>;
  buttons: Record<Action, HTMLButtonElement>;
}
const cards = new Map<number, Card>();

function card(number: number): Card {
  const phase = h("span", { class: "phase" });
  const facts = { clients: h("dd"), out: h("dd"), in: h("dd"), uptime: h("dd"), here: h("dd") };
  const fact = (name: string, value: HTMLElement) => h("div", {}, h("dt", {}, name), value);
  const button = (action: Action) =>
    h(
      "button",
      {
        type: "button",
        class: "button small quiet",
        "data-action": action,
        "aria-label": `${NAMES[action]} node ${number}`,
        click: () => void control(number, action),
      },
      NAMES[action],
    );
  const buttons = { kill: button("kill"), drain: button("drain"), start: button("start") };
  const element = h(
    "li",
    { class: "card node" },
    h("header", {}, h("h3", {}, `Node ${number}`), phase),
    h(
      "dl",
      {},
      fact("Clients", facts.clients),
      fact("Of this page", facts.here),
      fact("Messages to others", facts.out),
      fact("From others", facts.in),
      fact("Running for", facts.uptime),
    ),
    h("div", { class: "actions" }, buttons.kill, buttons.drain, buttons.start),
  );
  list.append(element);
  const made = { element, phase, facts, buttons };
  cards.set(number, made);
  return made;
}

const PHASES: Record<NodeView["phase"], string> = {
  starting: "starting",
  ready: "ready",
  draining: "draining",
  drained: "drained",
  killed: "stopped",
};

function set(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

function showState({ engine, nodes }: ClusterState): void {
  find("#alone").hidden = nodes.length > 0;
  set(find("#engine"), nodes.length > 0 ? `${count(nodes.length, "node")}. ${engine}.` : "One server, no cluster.");
  const ready = nodes.filter(({ phase }) => phase === "ready").length;
  for (const node of nodes) {
    const { element, phase, facts, buttons } = cards.get(node.number) ?? card(node.number);
    const runs = node.phase === "ready" || node.phase === "draining" || node.phase === "starting";
    element.dataset["phase"] = node.phase;
    set(phase, PHASES[node.phase]);
    set(facts.clients, String(node.clients));
    set(facts.out, String(node.messages_out));
    set(facts.in, String(node.messages_in));
    set(facts.uptime, runs ? duration(node.uptime) : "–");
    // The last one keeps the numbers, and serves this page.
    const last = node.phase === "ready" && ready === 1;
    buttons.kill.disabled = !runs || last;
    buttons.drain.disabled = node.phase !== "ready" || last;
    buttons.start.disabled = runs;
  }
}

function duration(seconds: number): string {
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

async function control(node: number, action: Action): Promise<void> {
  problem.textContent = "";
  const answer = await ask(watcher, ACK_TIMEOUT, "control", { node, action });
  // The node that had this connection may be the one that was killed: the state shows it.
  if (answer && typeof answer === "object" && "error" in answer && watcher.connected && action !== "kill") {
    problem.textContent = answer.error.message;
  }
}

// Counter

find("#pause").addEventListener("click", (event) => {
  counter.paused = !counter.paused;
  const button = event.currentTarget as HTMLButtonElement;
  button.setAttribute("aria-pressed", String(counter.paused));
});

const rows = counter.connections.map((connection, index) => {
  const cells = { node: h("td"), transport: h("td"), received: h("td"), reconnections: h("td") };
  const row = h("tr", {}, h("th", { scope: "row" }, index === 0 ? "1, sends" : String(index + 1)), ...Object.values(cells));
  find("#connections").append(row);
  return { connection, cells, row };
});

let spoken = "";

setInterval(() => {
  const { acknowledged, received, duplicates, reconnections, lost } = counter;
  set(find("#acknowledged"), String(acknowledged));
  set(find("#received"), String(received));
  set(find("#expected"), String(acknowledged * counter.connections.length));
  set(find("#reconnections"), String(reconnections));
  for (const [id, value] of [["lost", lost], ["duplicates", duplicates]] as const) {
    set(find(`#${id}`), String(value));
    find(`#${id}`).dataset["good"] = String(value === 0);
  }
  // Changes of the verdict are read out, not each number.
  const verdict = lost + duplicates === 0 ? "Nothing lost, nothing twice" : `${lost} lost, ${duplicates} twice`;
  if (verdict !== spoken) find("#verdict").textContent = spoken = verdict;
  for (const { connection, cells, row } of rows) {
    const up = connection.socket.connected;
    row.dataset["connected"] = String(up);
    set(cells.node, !up ? "reconnecting…" : connection.node > 0 ? String(connection.node) : "–");
    set(cells.transport, up ? (connection.transport === "websocket" ? "WebSocket" : "Polling") : "–");
    set(cells.received, String(connection.received));
    set(cells.reconnections, String(connection.reconnections));
  }
  for (const [number, { facts }] of cards) {
    const here = counter.connections.filter(({ socket, node }) => socket.connected && node === number).length;
    set(facts.here, String(here));
  }
}, 250);
