// The matrix of clients and transports, and what the tests share.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { io as v4 } from "socket.io-client";
import { io as v3 } from "socket.io-client-v3";
import v2 from "socket.io-client-v2";
import * as msgpack from "socket.io-msgpack-parser";
import { DEADLINE, Fixture, features } from "./fixture.js";

const available = await features();

export const supports = (feature) => available.includes(feature);

/** `{skip}` for a test that needs a feature which the server under test lacks. */
export const needs = (...names) => {
  const missing = names.filter((name) => !supports(name));
  return missing.length ? { skip: `the server has no ${missing.join(", ")}` } : {};
};

const CLIENTS = {
  v4: { io: v4, options: {}, server: {}, eio: 4, needs: [] },
  v3: { io: v3, options: {}, server: {}, eio: 4, needs: [] },
  v2: { io: v2, options: {}, server: { allowEIO3: true }, eio: 3, needs: ["eio3"] },
  msgpack: { io: v4, options: { parser: msgpack }, server: { parser: "msgpack" }, eio: 4, needs: ["msgpack"] },
};
const TRANSPORTS = {
  polling: ["polling"],
  websocket: ["websocket"],
  upgrade: ["polling", "websocket"],
};

/** Resolves to the arguments of the next `name`, or rejects after the deadline. */
export function event(emitter, name, deadline = DEADLINE) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      emitter.off(name, take);
      reject(new Error(`no ${name} for ${deadline} ms`));
    }, deadline);
    const take = (...args) => {
      clearTimeout(timer);
      resolve(args);
    };
    emitter.once(name, take);
  });
}

/** Emits and resolves to all arguments of the acknowledgement. */
export function call(socket, name, ...args) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${name} was not acknowledged`)), DEADLINE);
    socket.emit(name, ...args, (...response) => {
      clearTimeout(timer);
      resolve(response);
    });
  });
}

/** The same, but only the first argument. */
export const ask = async (socket, name, ...args) => (await call(socket, name, ...args))[0];

/** Collects the arguments of every `name`; `until(n)` resolves when there are `n`. */
export function collect(socket, name) {
  const list = [];
  let wake = () => {};
  socket.on(name, (...args) => {
    list.push(args);
    wake();
  });
  list.until = async (n) => {
    const end = Date.now() + DEADLINE;
    while (list.length < n) {
      let timer;
      await Promise.race([
        new Promise((resolve) => (wake = resolve)),
        new Promise((_, reject) => {
          timer = setTimeout(() => reject(new Error(`${list.length} of ${n} ${name}`)), end - Date.now());
        }),
      ]).finally(() => clearTimeout(timer));
    }
    return list;
  };
  return list;
}

/**
 * Closes a socket when the test is over. If other tests have the same server, they begin once it has noticed: they shall
 * neither meet the socket in a room nor wait for its answer.
 */
function leaves(t, socket) {
  t.after(async () => {
    const { connected, fixture, id } = socket;
    socket.disconnect();
    if (connected && fixture.shared) await fixture.observed({ type: "disconnect", id });
  });
}

/** A client of one version on one transport against the fixture of its suite. */
export class Kind {
  constructor(client, transport) {
    Object.assign(this, CLIENTS[client], { client, transport, name: `${client} ${transport}` });
    this.final = transport === "polling" ? "polling" : "websocket";
  }

  /** Makes a socket that is closed when the test is over. */
  socket(t, path = "/", options = {}, fixture = this.fixture) {
    const socket = this.io(fixture.url + path, {
      transports: TRANSPORTS[this.transport], forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 100,
      ...this.options, ...options,
    });
    socket.fixture = fixture;
    leaves(t, socket);
    return socket;
  }

  /** Another namespace over the connection of `socket`. */
  also(t, socket, path, options = {}) {
    const other = socket.io.socket(path, options);
    other.fixture = socket.fixture;
    leaves(t, other);
    return other;
  }

  /** A socket that is connected and, if the kind says so, upgraded. */
  async open(t, path = "/", options = {}, fixture = this.fixture) {
    const socket = this.socket(t, path, options, fixture);
    await this.opened(socket);
    return socket;
  }

  async opened(socket) {
    if (!socket.connected) await event(socket, "connect");
    if (this.transport === "upgrade") await upgraded(socket);
    assert.equal(socket.io.engine.transport.name, this.final);
  }

  /** Options that authenticate in a namespace: v2 has only the query. */
  auth(values) {
    return this.client === "v2" ? { query: values } : { auth: values };
  }

  /** Resolves to `{message, data}` when a namespace refuses. */
  async refused(socket) {
    if (this.client === "v2") {
      const [error] = await event(socket, "error");
      return { message: typeof error === "string" ? error : error.message, data: error };
    }
    const [error] = await event(socket, "connect_error");
    return { message: error.message, data: error.data };
  }
}

/** Waits until the connection of `socket` has left polling. */
export async function upgraded(socket) {
  const { engine } = socket.io;
  if (engine.transport.name !== "websocket") await event(engine, "upgrade");
}

/**
 * Describes the same tests for several clients and transports, with one fixture per client.
 *
 * `options` are the server's; `body` gets a `Kind` and declares tests.
 */
export function matrix(title, { clients = Object.keys(CLIENTS), transports = Object.keys(TRANSPORTS), options = {} }, body) {
  for (const client of clients) {
    describe(`${title}, ${client}`, needs(...CLIENTS[client].needs), () => {
      const kinds = transports.map((transport) => new Kind(client, transport));
      before(async () => {
        const fixture = await Fixture.start({ options: { ...CLIENTS[client].server, ...options } });
        fixture.shared = true;
        for (const kind of kinds) kind.fixture = fixture;
      });
      after(async () => {
        const { fixture } = kinds[0];
        if (!fixture) return;
        assert.deepEqual(await fixture.stop(), { code: 0, signal: null }, fixture.errors);
      });
      for (const kind of kinds) describe(kind.transport, () => body(kind));
    });
  }
}

/** Starts a fixture for one test. */
export async function fixture(t, kind, options = {}, port = 0) {
  const started = await Fixture.start({ options: { ...kind?.server, ...options }, port });
  t.after(() => started.stop("SIGKILL"));
  return started;
}
