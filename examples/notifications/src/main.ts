import "@web/base.css";
import "./style.css";
import type { Socket } from "socket.io-client";
import { ask, keepTransport, showConnection, socket as makeSocket } from "@web/connection.ts";
import { count, find, h } from "@web/dom.ts";
import { current, forget, Gate, type Identity } from "@web/identity.ts";
import { themeButton } from "@web/theme.ts";
import type { Audience, Auth, ClientToServer, Level, Request, ServerToClient, Target } from "../events.d.ts";
import { Inbox } from "./inbox.ts";
import { toast } from "./toasts.ts";

themeButton();
keepTransport();

const ACK_TIMEOUT = 15_000;

const app = find("#app");
const socket: Socket<ServerToClient, ClientToServer> = makeSocket("/notifications");
let me = "";
let inbox: Inbox | undefined;

socket.on("connect_error", (error) => {
  // The connection failed and is tried again; otherwise the server refused us.
  if (socket.active) return app.hidden ? gate.wait() : undefined;
  forget();
  app.hidden = true;
  gate.open(error.message);
});
socket.on("connect", () => {
  gate.close();
  app.hidden = false;
  void subscribe();
});
socket.on("notification", (notification, ack) => {
  ack(); // received: the sender's count goes up
  if (inbox?.add(notification)) toast(notification, (id) => inbox?.read(id));
});
socket.on("audience", showAudience);
socket.on("disconnect", () => {
  // Who is there is no longer known.
  if (audience) showAudience(audience);
});

const gate = new Gate(enter);
let connectionShown = false;

function enter(identity: Identity): void {
  me = identity.name;
  find("#me").textContent = me;
  inbox = new Inbox(me);
  socket.auth = { user: me } satisfies Auth;
  socket.connect();
  if (!connectionShown) showConnection(socket as never);
  connectionShown = true;
  drawCommand();
}

find("#leave").addEventListener("click", () => {
  socket.disconnect();
  forget();
  app.hidden = true;
  gate.open();
});
find("#read-all").addEventListener("click", () => inbox?.readAll());

// Topics

const TOPICS_KEY = "fanfare:topics";
let followed = new Set<string>();
try {
  followed = new Set(JSON.parse(sessionStorage.getItem(TOPICS_KEY) ?? "[]") as string[]);
} catch {
  // Storage may be forbidden.
}

async function subscribe(): Promise<void> {
  const reply = await ask(socket, ACK_TIMEOUT, "subscribe", { topics: [...followed] });
  if ("error" in reply) return; // the connection was lost: the next one subscribes again
  for (const notification of reply.inbox.toSorted((a, b) => a.at - b.at)) inbox?.add(notification);
}

let audience: Audience | undefined;

function showAudience(next: Audience): void {
  audience = next;
  const followers = (subscribers: number) => (socket.connected ? count(subscribers, "follower") : "offline");
  const boxes = find("#topics");
  if (boxes.querySelectorAll("input").length !== next.topics.length) {
    boxes.replaceChildren(
      ...next.topics.map(({ name }) =>
        h(
          "label",
          { class: "chip" },
          h("input", { type: "checkbox", value: name, checked: followed.has(name), change: follow }),
          h("span", {}, name),
        ),
      ),
    );
  }
  options("#topic", next.topics.map(({ name, subscribers }) => [name, `${name} (${followers(subscribers)})`]));
  options("#user", next.users.map((user) => [user, user === me ? `${user} (you)` : user]));
}

function follow(event: Event): void {
  const { value, checked } = event.target as HTMLInputElement;
  if (checked) followed.add(value);
  else followed.delete(value);
  try {
    sessionStorage.setItem(TOPICS_KEY, JSON.stringify([...followed]));
  } catch {
    // Storage may be forbidden.
  }
  if (socket.connected) void subscribe();
}

/** Replaces the options of a `<select>`, keeping what is chosen. */
function options(selector: string, entries: [value: string, label: string][]): void {
  const select = find<HTMLSelectElement>(selector);
  const chosen = select.value;
  select.replaceChildren(...entries.map(([value, label]) => h("option", { value }, label)));
  if (entries.some(([value]) => value === chosen)) select.value = chosen;
}

// The sender

const sender = find<HTMLFormElement>("#sender");
const title = find<HTMLInputElement>("#title");
const body = find<HTMLTextAreaElement>("#body");
const titleProblem = find("#title-problem");
const problem = find("#sender-problem");
const receipt = find("#receipt");
const button = find<HTMLButtonElement>("#send");

function request(): Request {
  const kind = new FormData(sender).get("target");
  const to: Target | undefined =
    kind === "topic" ? { topic: find<HTMLSelectElement>("#topic").value }
    : kind === "user" ? { user: find<HTMLSelectElement>("#user").value }
    : undefined;
  const level = find<HTMLSelectElement>("#level").value as Level;
  return {
    title: title.value.trim(),
    ...(body.value.trim() && { body: body.value.trim() }),
    ...(level !== "info" && { level }),
    ...(to && { to }),
  };
}

function drawCommand(): void {
  const shown = request();
  const json = JSON.stringify({ ...shown, title: shown.title || "Lunch is ready" }).replaceAll("'", "'\\''");
  find("#command").textContent = `curl -d '${json}' ${location.origin}/api/notify`;
}

sender.addEventListener("input", () => {
  const kind = new FormData(sender).get("target");
  find("#topic-field").hidden = kind !== "topic";
  find("#user-field").hidden = kind !== "user";
  drawCommand();
});
sender.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) sender.requestSubmit();
});
sender.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.textContent = "";
  receipt.textContent = "";
  const what = request();
  title.toggleAttribute("aria-invalid", !what.title);
  titleProblem.textContent = what.title ? "" : "Please write a title.";
  if (!what.title) return title.focus();
  button.disabled = true;
  receipt.dataset["outcome"] = "";
  receipt.textContent = "Sending…";
  const reply = await ask(socket, ACK_TIMEOUT, "notify", what);
  button.disabled = false;
  receipt.textContent = "";
  if ("error" in reply) {
    problem.textContent = reply.error.message;
    return;
  }
  receipt.dataset["outcome"] = reply.recipients > 0 && reply.delivered === reply.recipients ? "received" : "pending";
  receipt.textContent =
    reply.recipients === 0 ? "Nobody is connected there: stored for later."
    : `Received by ${reply.delivered} of ${count(reply.recipients, "connection")}.`;
  title.value = "";
  body.value = "";
  drawCommand();
  title.focus();
});

find("#copy").addEventListener("click", async (event) => {
  const copy = event.currentTarget as HTMLButtonElement;
  try {
    await navigator.clipboard.writeText(find("#command").textContent ?? "");
    copy.textContent = "Copied";
  } catch {
    // No permission: select it, so that the visitor's own shortcut copies it.
    getSelection()?.selectAllChildren(find("#command"));
    copy.textContent = "Selected";
  }
  setTimeout(() => (copy.textContent = "Copy"), 2000);
});

// On a phone one of the two views is shown.

for (const tab of document.querySelectorAll<HTMLButtonElement>(".views button")) {
  tab.addEventListener("click", () => {
    app.dataset["view"] = tab.dataset["view"];
    for (const other of document.querySelectorAll(".views button")) {
      other.setAttribute("aria-pressed", String(other === tab));
    }
  });
}

const identity = current();
if (identity) enter(identity);
else gate.open();
