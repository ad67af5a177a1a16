// The count: one connection sends numbers, all receive them, and nothing may be missing.
import { io, type Socket } from "socket.io-client";
import { forcedTransport } from "@web/connection.ts";
import type { Auth, ClientToServer, ServerToClient } from "../events.d.ts";

/** Time after its acknowledgement in which a number has to arrive at a connection that is up. */
const GRACE = 5_000;
/** Interval between two numbers. */
const INTERVAL = 200;
/** Time after which a number that was not acknowledged is sent again. */
const ACK_TIMEOUT = 2_000;

/** One connection of the page, to whichever node the balancer selects. */
export class Connection {
  readonly socket: Socket<ServerToClient, ClientToServer>;
  node = 0;
  /** All numbers up to this one have arrived. */
  last = 0;
  /** Numbers that arrived before an earlier one. */
  readonly early = new Set<number>();
  duplicates = 0;
  reconnections = 0;
  /** Time of the last connection. */
  since = 0;

  constructor(count: string) {
    const forced = forcedTransport();
    this.socket = io("/cluster", {
      forceNew: true, // a connection of its own, which the balancer may give to another node
      transports: forced ? [forced] : ["polling", "websocket"],
      auth: (send) => send({ count, last: this.last } satisfies Auth),
      reconnectionDelay: 200,
      reconnectionDelayMax: 2_000,
    });
    this.socket.on("here", ({ node }) => (this.node = node));
    this.socket.on("number", (number) => this.#receive(number));
    this.socket.on("connect", () => {
      if (this.since > 0) this.reconnections += 1;
      this.since = Date.now();
    });
  }

  get received(): number {
    return this.last + this.early.size;
  }

  get transport(): string {
    return this.socket.connected ? this.socket.io.engine.transport.name : "";
  }

  #receive(number: number): void {
    if (number <= this.last || this.early.has(number)) {
      this.duplicates += 1;
      return;
    }
    this.early.add(number);
    while (this.early.delete(this.last + 1)) this.last += 1;
  }
}

/** The connections, and the numbers that the first of them sends. */
export class Counter {
  readonly connections: Connection[];
  paused = false;
  /** All numbers up to this one are acknowledged: a node and the others have stored them. */
  acknowledged = 0;
  /** Times of the acknowledgements, by number. */
  readonly #at: number[] = [];
  readonly #count = crypto.randomUUID?.() ?? Math.random().toString(36).slice(2);

  constructor(connections: number) {
    this.connections = Array.from({ length: connections }, () => new Connection(this.#count));
    void this.#send();
  }

  /** Sends one number after the other, each until it is acknowledged: as often as it takes, and to any node. */
  async #send(): Promise<void> {
    const sender = this.connections[0]!.socket as unknown as Socket;
    for (;;) {
      await new Promise((done) => setTimeout(done, INTERVAL));
      if (this.paused || !sender.connected) continue;
      const request = { count: this.#count, number: this.acknowledged + 1 };
      try {
        const answer = await sender.timeout(ACK_TIMEOUT).emitWithAck("count", request);
        if ("error" in answer) continue;
        this.acknowledged += 1;
        this.#at[this.acknowledged] = Date.now();
      } catch {
        // Not acknowledged: the connection was lost, or the node. The same number again.
      }
    }
  }

  /** How many numbers did not arrive in time at connections that are up. */
  get lost(): number {
    const before = Date.now() - GRACE;
    let due = this.acknowledged;
    while (due > 0 && this.#at[due]! > before) due -= 1;
    const behind = ({ socket, since, last, early }: Connection) => {
      if (!socket.connected || since > before) return 0;
      const arrived = [...early].filter((number) => number <= due).length;
      return Math.max(0, due - last - arrived);
    };
    return sum(this.connections.map(behind));
  }

  get received(): number {
    return sum(this.connections.map(({ received }) => received));
  }

  get duplicates(): number {
    return sum(this.connections.map(({ duplicates }) => duplicates));
  }

  get reconnections(): number {
    return sum(this.connections.map(({ reconnections }) => reconnections));
  }
}

function sum(numbers: number[]): number {
  return numbers.reduce((before, number) => before + number, 0);
}
