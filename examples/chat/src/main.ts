import "@web/base.css";
import "./style.css";
import { keepTransport, showConnection } from "@web/connection.ts";
import { avatar, bytes, count, find, h, icon } from "@web/dom.ts";
import { current, forget, Gate, type Identity } from "@web/identity.ts";
import { themeButton } from "@web/theme.ts";
import type { Room, User, Welcome } from "../events.d.ts";
import { ChatClient, type View } from "./client.ts";
import { MessageList } from "./messages.ts";
import { type OutgoingPicture, pictureOf, prepare } from "./pictures.ts";

themeButton();
keepTransport();

const chat = find("#chat");
const side = find("#side");
const text = find<HTMLTextAreaElement>("#text");
let me: User | undefined;
let limits: Welcome["limits"] = { text: 2000, picture: 600_000 };

// Messages read so far, by room: tells which rooms have news.
const read = new Map<string, number>();

const view: View = {
  unreachable() {
    if (chat.hidden) gate.wait();
  },
  refused(problem) {
    forget();
    chat.hidden = true;
    gate.open(problem.message);
  },
  welcome(welcome) {
    const first = chat.hidden;
    me = welcome.me;
    limits = welcome.limits;
    find("#me").textContent = me.name;
    text.maxLength = limits.text;
    gate.close();
    chat.hidden = false;
    closeSide();
    if (first && canHover.matches) text.focus();
  },
  rooms(rooms, currentRoom) {
    const here = rooms.find((room) => room.name === currentRoom);
    if (here) read.set(here.name, here.messages);
    const unread = (room: Room) => {
      // A server that was restarted counts from zero again.
      const seen = Math.min(read.get(room.name) ?? 0, room.messages);
      read.set(room.name, seen);
      return room.messages - seen;
    };
    const sorted = rooms.toSorted((a, b) => Number(b.name === "lobby") - Number(a.name === "lobby") || a.name.localeCompare(b.name));
    const focused = document.activeElement?.closest<HTMLElement>("[data-room]")?.dataset["room"];
    find("#rooms").replaceChildren(
      ...sorted.map((room) => {
        const news = unread(room);
        const button = h(
          "button",
          { type: "button", class: "room", "data-room": room.name, "aria-current": room.name === currentRoom ? "true" : undefined, click: () => void enter(room.name) },
          h("span", { class: "room-name", dir: "auto" }, room.name),
          news > 0 && h("span", { class: "badge", title: count(news, "unread message") }, `${news > 99 ? "99+" : news} new`),
          people(room.people),
        );
        if (room.name === focused) queueMicrotask(() => button.focus({ preventScroll: true }));
        return h("li", {}, button);
      }),
    );
    const news = rooms.filter((room) => unread(room) > 0).length;
    const badge = find("#side-badge");
    badge.hidden = news === 0;
    badge.replaceChildren(String(news), h("span", { class: "visually-hidden" }, " with unread messages"));
    find("#room-name").textContent = currentRoom;
    document.title = `${currentRoom} · Chat · Fanfare`;
  },
  offline() {
    chat.classList.add("is-offline");
    find("#room-facts").textContent = "Offline";
    find("#people-title").textContent = "Here when the connection was lost";
  },
  people(people) {
    chat.classList.remove("is-offline");
    find("#people-title").textContent = "Here now";
    find("#room-facts").textContent = `${count(people.length, "person", "people")} here`;
    find("#people").replaceChildren(
      ...people.map((user) =>
        h("li", {}, avatar(user.name), h("span", { dir: "auto" }, user.name), user.id === me?.id && h("span", { class: "you" }, "you")),
      ),
    );
  },
  typing(people) {
    const names = people.map((user) => user.name);
    find("#typing").textContent =
      names.length === 0 ? ""
      : names.length === 1 ? `${names[0]} is typing…`
      : names.length === 2 ? `${names[0]} and ${names[1]} are typing…`
      : "Several people are typing…";
  },
  history(_room, entries) {
    messages.reset(entries, me);
  },
  entry(entry) {
    messages.put(entry);
  },
};

/** How many people are in a room, with a picture that says so. */
function people(number: number): HTMLElement {
  const element = h("span", { class: "room-people", title: `${count(number, "person", "people")} here` });
  element.append(icon("person"), h("span", { "aria-hidden": "true" }, String(number)), h("span", { class: "visually-hidden" }, count(number, "person", "people")));
  return element;
}

const client = new ChatClient(view);
const messages = new MessageList({
  retry: (nonce) => client.retry(nonce),
  fetchPicture: (id) => client.picture(id),
});
const gate = new Gate(start);
let connectionShown = false;

function start(identity: Identity): void {
  client.connect(identity);
  if (!connectionShown) showConnection(client.socket as never);
  connectionShown = true;
}

find("#leave").addEventListener("click", () => {
  client.disconnect();
  forget();
  chat.hidden = true;
  gate.open();
});

// Rooms

const canHover = matchMedia("(hover: hover)");

async function enter(room: string): Promise<string | undefined> {
  const problem = await client.join(room);
  if (problem) return problem.message;
  closeSide();
  if (canHover.matches) text.focus();
  return undefined;
}

find<HTMLFormElement>("#new-room").addEventListener("submit", async (event) => {
  event.preventDefault();
  const input = find<HTMLInputElement>("#new-room-name");
  const problem = find(".problem", find("#new-room"));
  const name = input.value.trim().replace(/^#/, "").replace(/\s+/g, " ");
  problem.textContent = name ? ((await enter(name)) ?? "") : "Please name the room.";
  if (!problem.textContent) input.value = "";
});

// On a phone the rooms are a drawer.

const narrow = matchMedia("(max-width: 760px)");
const opener = find<HTMLButtonElement>("#side-open");
find("#side-close").append(icon("close"));

function setSide(open: boolean): void {
  chat.classList.toggle("side-is-open", open);
  opener.setAttribute("aria-expanded", String(open));
  side.inert = narrow.matches && !open;
  find(".talk").inert = narrow.matches && open;
  if (open) find("#side-close").focus();
}
function closeSide(): void {
  const wasOpen = chat.classList.contains("side-is-open");
  setSide(false);
  if (wasOpen) opener.focus();
}
opener.addEventListener("click", () => setSide(true));
for (const id of ["#side-close", "#scrim"]) find(id).addEventListener("click", closeSide);
narrow.addEventListener("change", () => setSide(false));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chat.classList.contains("side-is-open")) closeSide();
});

// The composer

const composer = find<HTMLFormElement>("#composer");
const composerProblem = find("#composer-problem");
const attachment = find("#attachment");
const attachmentImage = find<HTMLImageElement>("#attachment-image");
let picture: OutgoingPicture | undefined;

function attach(next: OutgoingPicture | undefined): void {
  if (attachmentImage.src) URL.revokeObjectURL(attachmentImage.src);
  picture = next;
  attachment.hidden = !next;
  if (!next) return attachmentImage.removeAttribute("src");
  attachmentImage.src = URL.createObjectURL(new Blob([next.data as Uint8Array<ArrayBuffer>], { type: next.type }));
  find("#attachment-name").textContent = `${next.name}, ${bytes(next.data.length)}`;
}

async function take(file: File | undefined): Promise<void> {
  composerProblem.textContent = "";
  if (!file) return;
  try {
    attach(await prepare(file, limits.picture));
    text.focus();
  } catch (error) {
    composerProblem.textContent = error instanceof Error ? error.message : String(error);
  }
}

const grow = () => {
  text.style.height = "auto";
  text.style.height = `${Math.min(text.scrollHeight + 2, 160)}px`;
};

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  const written = text.value.trim();
  if (!written && !picture) return text.focus();
  client.send(written, picture);
  text.value = "";
  composerProblem.textContent = "";
  attach(undefined);
  grow();
  text.focus();
});
text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  composer.requestSubmit();
});
text.addEventListener("input", () => {
  grow();
  client.typing(text.value.trim() !== "");
});
text.addEventListener("blur", () => client.typing(false));
text.addEventListener("paste", (event) => {
  const file = pictureOf(event.clipboardData);
  if (!file) return;
  event.preventDefault();
  void take(file);
});
const file = find<HTMLInputElement>("#file");
file.addEventListener("change", () => {
  void take(file.files?.[0]);
  file.value = "";
});
find("#attachment-remove").append(icon("close"));
find("#attachment-remove").addEventListener("click", () => {
  attach(undefined);
  text.focus();
});

const drop = find("#drop");
const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
chat.addEventListener("dragenter", (event) => {
  if (hasFiles(event)) drop.hidden = false;
});
chat.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
chat.addEventListener("dragleave", (event) => {
  if (!chat.contains(event.relatedTarget as Node | null)) drop.hidden = true;
});
chat.addEventListener("drop", (event) => {
  drop.hidden = true;
  if (!hasFiles(event)) return;
  event.preventDefault();
  const dropped = pictureOf(event.dataTransfer);
  if (dropped) void take(dropped);
  else composerProblem.textContent = "Only pictures can be dropped here.";
});

const identity = current();
if (identity) start(identity);
else gate.open();
