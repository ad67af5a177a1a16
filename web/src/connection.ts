// The connection that every page shares: how it is made, and how its state is shown.
import { io, type Socket } from "socket.io-client";
import { find } from "./dom.ts";

/** Reason of a rejection, in acknowledgements and `connect_error`: `message` is for people. */
export interface Problem {
  message: string;
  /** `{ code }` for programs, from the server. */
  data?: unknown;
}

/** A problem of our own. */
export function problem(code: string, message: string): { error: Problem } {
  return { error: { message, data: { code } } };
}

type Callback = (...answer: never[]) => void;

/** The arguments of an event, without the callback of its acknowledgement. */
type Arguments<Handler extends Callback> = Parameters<Handler> extends [...infer Args, Callback] ? Args : never;

/** Acknowledgement of an event: the answer, or the reason of the rejection. */
type Answer<Handler extends Callback> =
  Parameters<Handler> extends [...unknown[], infer Ack extends Callback] ? Parameters<Ack>[0] : never;

/** Sends an event and waits for its acknowledgement; a lost connection and a timeout become problems as well. */
export async function ask<Server extends Events, Client extends Events, Event extends keyof Client & string>(
  socket: Socket<Server, Client>,
  timeout: number,
  event: Event,
  ...args: Arguments<Client[Event]>
): Promise<Answer<Client[Event]> | { error: Problem }> {
  if (!socket.connected) return problem("offline", "Not connected. Try again in a moment.");
  // The official client does not type the answer after `timeout`.
  const untyped = socket as unknown as Socket;
  try {
    return (await untyped.timeout(timeout).emitWithAck(event, ...args)) ?? problem("empty", "The server gave no answer.");
  } catch {
    return problem("timeout", "No answer from the server.");
  }
}

type Events = Record<string, (...args: never[]) => void>;

/** The transport that `?transport=polling|websocket` in the page's address asks for. */
export function forcedTransport(): "polling" | "websocket" | undefined {
  const wanted = new URLSearchParams(location.search).get("transport");
  return wanted === "polling" || wanted === "websocket" ? wanted : undefined;
}

/** A socket on `namespace`, not connected yet: call `connect()`. */
export function socket<Server extends Events, Client extends Events>(namespace: string): Socket<Server, Client> {
  const forced = forcedTransport();
  return io(namespace, {
    autoConnect: false,
    transports: forced ? [forced] : ["polling", "websocket"],
    // With a random base and no further jitter, clients still spread out after a restart of the server,
    // and the page can say when the next attempt comes.
    reconnectionDelay: BASE_DELAY,
    reconnectionDelayMax: MAX_DELAY,
    randomizationFactor: 0,
    timeout: 10_000,
  });
}

const BASE_DELAY = Math.round(700 + Math.random() * 600);
const MAX_DELAY = 8000;

type State =
  | { kind: "connecting" }
  | { kind: "connected"; transport: string }
  | { kind: "waiting"; until: number; attempt: number }
  | { kind: "reconnecting"; attempt: number }
  | { kind: "closed"; why: string }
  /** The server said no: the page says why, and trying the same again would not help. */
  | { kind: "refused" };

/** Shows the state of `socket` in the page's header: transport in use, attempts, countdown, a button to retry. */
export function showConnection(socket: Socket<never, never>, root = find("#connection")): void {
  const text = find(".connection-text", root);
  const live = find("[role=status]", root);
  const retry = find<HTMLButtonElement>(".connection-retry", root);
  const manager = socket.io;
  let timer: ReturnType<typeof setInterval> | undefined;
  let announced = "";

  const show = (state: State) => {
    clearInterval(timer);
    const draw = () => {
      const shown = words(state);
      if (text.textContent !== shown) text.textContent = shown;
    };
    draw();
    if (state.kind === "waiting") timer = setInterval(draw, 250);
    root.hidden = state.kind === "refused";
    root.dataset["state"] = state.kind;
    root.dataset["transport"] = state.kind === "connected" ? state.transport : "";
    retry.hidden = state.kind !== "waiting" && state.kind !== "closed";
    // A countdown read out every second is noise: the live region hears of changes of state only.
    const spoken = state.kind === "waiting" ? "Connection lost, reconnecting" : words(state);
    if (spoken !== announced && state.kind !== "reconnecting") live.textContent = announced = spoken;
  };

  const watchEngine = () => {
    const engine = manager.engine;
    const connected = () => socket.connected && show({ kind: "connected", transport: engine.transport.name });
    engine.on("upgrade", connected);
    connected();
  };
  let attempts = 0;
  const wait = () => {
    const delay = Math.min(BASE_DELAY * 2 ** attempts, MAX_DELAY);
    show({ kind: "waiting", until: Date.now() + delay, attempt: attempts + 1 });
  };

  socket.on("connect", () => {
    attempts = 0;
    watchEngine();
  });
  socket.on("disconnect", (reason) => {
    if (socket.active) wait();
    else show({ kind: "closed", why: reason === "io server disconnect" ? "Disconnected by the server" : "Disconnected" });
  });
  socket.on("connect_error", (error) => {
    if (!socket.active) show({ kind: "refused" });
    else if (attempts === 0) wait(); // the first connection of the page failed
    else void error;
  });
  manager.on("reconnect_attempt", (attempt) => {
    attempts = attempt;
    show({ kind: "reconnecting", attempt });
  });
  manager.on("reconnect_error", wait);
  retry.addEventListener("click", () => {
    attempts = 0;
    show({ kind: "reconnecting", attempt: 1 });
    socket.disconnect().connect();
  });
  show(socket.connected ? { kind: "connected", transport: manager.engine.transport.name } : { kind: "connecting" });
}

function words(state: State): string {
  switch (state.kind) {
    case "connecting":
      return "Connecting…";
    case "connected":
      return state.transport === "websocket" ? "WebSocket" : state.transport === "polling" ? "Polling" : state.transport;
    case "waiting":
      return `Offline, retry in ${Math.max(1, Math.ceil((state.until - Date.now()) / 1000))} s`;
    case "reconnecting":
      return "Reconnecting…";
    case "closed":
      return state.why;
    case "refused":
      return "";
  }
}

/** Keeps `?transport=` when the visitor goes from one page of the demo to another. */
export function keepTransport(): void {
  const forced = forcedTransport();
  if (!forced) return;
  for (const link of document.querySelectorAll<HTMLAnchorElement>("a[href^='/']")) {
    const url = new URL(link.href);
    if (!url.searchParams.has("transport")) url.searchParams.set("transport", forced);
    link.href = url.href;
  }
}
