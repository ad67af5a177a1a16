// The chat without its looks: one socket, the room it is in, and what still has to be sent.
import type { Socket } from "socket.io-client";
import { ask, problem, socket, type Problem } from "@web/connection.ts";
import type { Identity } from "@web/identity.ts";
import type { Auth, ClientToServer, Joined, Message, Outgoing, Rejection, Room, ServerToClient, User, Welcome } from "../events.d.ts";
import type { OutgoingPicture } from "./pictures.ts";

/** A message as this page knows it. */
export interface Entry {
  /** The nonce of our own messages, the id of the others'. */
  key: string;
  message: Message;
  state: "sending" | "delivered" | "failed";
  /** Why it failed. */
  problem?: string;
}

/** What a page wants to know. */
export interface View {
  /** The connection failed, and is tried again. */
  unreachable(): void;
  refused(problem: Problem): void;
  welcome(welcome: Welcome): void;
  rooms(rooms: Room[], current: string): void;
  people(people: User[]): void;
  /** The connection was lost: who is where is no longer known. */
  offline(): void;
  typing(people: User[]): void;
  /** Another room, or the same one after a reconnection. */
  history(room: string, entries: Entry[]): void;
  entry(entry: Entry): void;
}

/** How long the server may take to acknowledge, in milliseconds. */
const ACK_TIMEOUT = 10_000;
/** "is typing" is sent again after this time, and forgotten by the others after a bit more, in milliseconds. */
const TYPING_EVERY = 2500;
const TYPING_LASTS = 4000;
/** Messages kept per room. */
const KEPT = 300;

const FIRST_ROOM = "lobby";

export class ChatClient {
  readonly socket: Socket<ServerToClient, ClientToServer> = socket("/chat");
  readonly #view: View;
  #me: User | undefined;
  #welcomed = false;
  #rooms = new Map<string, Room>();
  #people = new Map<string, User>();
  #typing = new Map<string, { user: User; timer: ReturnType<typeof setTimeout> }>();
  /** Messages by room, then by key, oldest first. */
  #entries = new Map<string, Map<string, Entry>>();
  /** Ours that the server has not acknowledged, by nonce. */
  #outgoing = new Map<string, { message: Outgoing; inFlight: boolean }>();
  #room = FIRST_ROOM;
  #saidTyping = 0;

  constructor(view: View) {
    this.#view = view;
    const socket = this.socket;
    socket.on("connect_error", (error) => {
      if (socket.active) view.unreachable();
      else view.refused(error);
    });
    socket.on("welcome", (welcome) => {
      this.#me = welcome.me;
      this.#welcomed = true;
      view.welcome(welcome);
      this.#setRooms(welcome.rooms);
      void this.#return();
    });
    socket.on("rooms", (rooms) => this.#setRooms(rooms));
    socket.on("room", (room) => {
      this.#rooms.set(room.name, room);
      this.#showRooms();
    });
    socket.on("joined", ({ room, user }) => {
      if (room !== this.#room) return;
      this.#people.set(user.id, user);
      this.#showPeople();
    });
    socket.on("left", ({ room, user }) => {
      if (room !== this.#room) return;
      this.#people.delete(user.id);
      this.#notTyping(user);
      this.#showPeople();
    });
    socket.on("typing", ({ room, user, typing }) => {
      if (room !== this.#room) return;
      this.#notTyping(user);
      if (typing) {
        this.#typing.set(user.id, { user, timer: setTimeout(() => this.#notTyping(user), TYPING_LASTS) });
        this.#showTyping();
      }
    });
    socket.on("message", (message) => {
      if (message.room === this.#room) this.#notTyping(message.author);
      this.#put({ key: message.id, message, state: "delivered" });
    });
    socket.on("disconnect", (reason) => {
      for (const { user } of this.#typing.values()) this.#notTyping(user);
      view.offline();
      // Two people chose the same name in the same moment, and this is the second.
      if (!this.#welcomed && reason === "io server disconnect") {
        view.refused(problem("taken", "Somebody else took this name just now. Please choose another.").error);
      }
      this.#welcomed = false;
    });
  }

  get room(): string {
    return this.#room;
  }

  connect(identity: Identity): void {
    this.socket.auth = identity satisfies Auth;
    this.socket.connect();
  }

  disconnect(): void {
    this.socket.disconnect();
  }

  /** Goes to `room`. Returns what was wrong, if anything. */
  join(room: string): Promise<Problem | undefined> {
    this.typing(false);
    return new Promise((done) => {
      if (!this.socket.connected) return done(problem("offline", "Not connected. Try again in a moment.").error);
      // The reply is used in the callback and not after an `await`, which continues later: events that arrive together
      // with the acknowledgement, such as `joined`, would be handled before it.
      this.socket.timeout(ACK_TIMEOUT).emit("join", { room }, (error: Error | null, reply: Joined | Rejection) => {
        if (error) return done(problem("timeout", "No answer from the server.").error);
        if ("error" in reply) return done(reply.error);
        this.#joined(reply);
        done(undefined);
      });
    });
  }

  /** Back to where we were, or to the first room if that is not possible. */
  async #return(): Promise<void> {
    const failed = await this.join(this.#room);
    if (failed && this.socket.connected) await this.join(FIRST_ROOM);
  }

  /** Sends `message` to the current room. It shows at once; its state tells what became of it. */
  send(text: string, picture?: OutgoingPicture): void {
    const me = this.#me;
    if (!me) return;
    this.#saidTyping = 0;
    const nonce = crypto.getRandomValues(new Uint32Array(3)).join("-");
    const message: Outgoing = { nonce, room: this.#room, text, ...(picture && { picture }) };
    this.#outgoing.set(nonce, { message, inFlight: false });
    const shown: Message = {
      id: nonce,
      number: Number.MAX_SAFE_INTEGER,
      room: this.#room,
      author: me,
      at: Date.now(),
      text,
      ...(picture && {
        picture: { ...picture, id: nonce, size: picture.data.length, data: picture.data.slice().buffer },
      }),
    };
    this.#put({ key: nonce, message: shown, state: "sending" });
    void this.#deliver(nonce);
  }

  /** Sends a message again that failed. */
  retry(nonce: string): void {
    void this.#deliver(nonce);
  }

  /** Tells the others that we are writing, at most every few seconds. Volatile: worth nothing when it comes late. */
  typing(typing: boolean): void {
    const now = Date.now();
    if (typing ? now - this.#saidTyping < TYPING_EVERY : this.#saidTyping === 0) return;
    this.#saidTyping = typing ? now : 0;
    if (this.socket.connected) this.socket.volatile.emit("typing", { room: this.#room, typing });
  }

  /** The bytes of a picture that only the history mentions. */
  async picture(id: string): Promise<ArrayBuffer | undefined> {
    const reply = await ask(this.socket, ACK_TIMEOUT, "picture", { id });
    return "error" in reply ? undefined : reply.data;
  }

  async #deliver(nonce: string): Promise<void> {
    const outgoing = this.#outgoing.get(nonce);
    if (!outgoing || outgoing.inFlight) return;
    this.#update(outgoing.message, { state: "sending" });
    if (!this.socket.connected) return; // `#joined` sends it
    outgoing.inFlight = true;
    const reply = await ask(this.socket, ACK_TIMEOUT, "message", outgoing.message);
    outgoing.inFlight = false;
    if (!("error" in reply)) {
      this.#outgoing.delete(nonce);
      // The history of a room joined meanwhile may hold it already.
      this.#entries.get(outgoing.message.room)?.delete(reply.message.id);
      this.#update(outgoing.message, { state: "delivered", message: reply.message });
    } else if (this.socket.connected) {
      this.#update(outgoing.message, { state: "failed", problem: reply.error.message });
    } // else: `#joined` sends it again; the nonce keeps it from becoming two messages
  }

  #update(outgoing: Outgoing, change: Partial<Entry>): void {
    const entry = this.#entries.get(outgoing.room)?.get(outgoing.nonce);
    if (!entry) return;
    const data = entry.message.picture?.data;
    Object.assign(entry, change);
    if (data && entry.message.picture) entry.message.picture.data = data;
    if (outgoing.room === this.#room) this.#view.entry(entry);
  }

  #joined({ room, people, history }: Joined): void {
    const elsewhere = room.name !== this.#room;
    this.#room = room.name;
    this.#rooms.set(room.name, room);
    this.#people = new Map(people.map((user) => [user.id, user]));
    if (elsewhere) for (const { user } of this.#typing.values()) this.#notTyping(user);
    // What the page has seen stays, even if the server was restarted and has forgotten it.
    const known = this.#entries.get(room.name) ?? new Map<string, Entry>();
    const ours = new Map([...known.values()].map((entry) => [entry.message.id, entry]));
    for (const message of history) {
      if (!ours.has(message.id)) known.set(message.id, { key: message.id, message, state: "delivered" });
    }
    const sorted = [...known.values()].sort((a, b) => order(a) - order(b)).slice(-KEPT);
    this.#entries.set(room.name, new Map(sorted.map((entry) => [entry.key, entry])));
    this.#showRooms();
    this.#showPeople();
    this.#view.history(room.name, sorted);
    for (const [nonce, { message }] of this.#outgoing) {
      if (this.#entries.get(message.room)?.get(nonce)?.state === "sending") void this.#deliver(nonce);
    }
  }

  #put(entry: Entry): void {
    const { room } = entry.message;
    const entries = this.#entries.get(room) ?? new Map<string, Entry>();
    this.#entries.set(room, entries);
    if (entries.has(entry.key)) return;
    entries.set(entry.key, entry);
    for (const oldest of entries.keys()) {
      if (entries.size <= KEPT) break;
      entries.delete(oldest);
    }
    if (room === this.#room) this.#view.entry(entry);
  }

  #setRooms(rooms: Room[]): void {
    this.#rooms = new Map(rooms.map((room) => [room.name, room]));
    this.#showRooms();
  }

  #showRooms(): void {
    this.#view.rooms([...this.#rooms.values()], this.#room);
  }

  #showPeople(): void {
    const me = this.#me?.id;
    const people = [...this.#people.values()].sort((a, b) =>
      a.id === me ? -1 : b.id === me ? 1 : a.name.localeCompare(b.name),
    );
    this.#view.people(people);
  }

  #notTyping(user: User): void {
    const entry = this.#typing.get(user.id);
    if (!entry) return;
    clearTimeout(entry.timer);
    this.#typing.delete(user.id);
    this.#showTyping();
  }

  #showTyping(): void {
    this.#view.typing([...this.#typing.values()].map(({ user }) => user));
  }
}

/** Messages in flight come last, in the order in which they were written. */
function order({ message, state }: Entry): number {
  return state === "delivered" ? message.at : message.at + 1e12;
}
