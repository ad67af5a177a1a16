// Starts and watches a fixture server (see ../CONTRACT.md).
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** Milliseconds after which something expected counts as missing. */
export const DEADLINE = Number(process.env.DEADLINE || 60_000);

/** The same for the start of a server's process: how long that takes on a busy machine says nothing about the server. */
const STARTUP = Number(process.env.STARTUP || 60_000);

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

function command(server) {
  if (server === "node") return [process.execPath, [here("../servers/node.js")]];
  const target = process.env.CARGO_TARGET_DIR || here("../../../target");
  const binary = process.env.FIXTURE_BIN || `${target}/debug/examples/interop_server`;
  if (!existsSync(binary)) {
    throw new Error(`${binary} is missing: cargo build -p fanfare --all-features --example interop_server`);
  }
  return [binary, []];
}

/** Which implementation is under test: `rust`, or `node` for the reference. */
export const SERVER = process.env.FIXTURE || "rust";

export class Fixture {
  /** Whether several tests connect to it. */
  shared = false;
  #child;
  #seen = [];
  #waiting = new Set();
  #exit;
  #stderr = "";

  /** Starts a server; resolves once it accepts connections. */
  static async start({ options = {}, port = 0, socket, server = SERVER } = {}) {
    const fixture = new Fixture();
    fixture.options = options;
    fixture.server = server;
    const [program, args] = command(server);
    const child = spawn(program, args, {
      env: { ...process.env, PORT: String(port), OPTIONS: JSON.stringify(options), ...(socket && { SOCKET: socket }) },
      stdio: ["ignore", "pipe", "pipe"],
    });
    fixture.#child = child;
    child.stderr.setEncoding("utf8").on("data", (text) => {
      fixture.#stderr += text;
      if (process.env.VERBOSE) process.stderr.write(text);
    });
    // Not `exit`: what it said last may still have to be read then.
    fixture.#exit = once(child, "close").then(([code, signal]) => {
      for (const waiting of fixture.#waiting) waiting.fail(`the server ended (${code ?? signal})`);
      return { code, signal };
    });
    createInterface({ input: child.stdout }).on("line", (line) => fixture.#record(JSON.parse(line)));
    try {
      const { port: bound, features } = await fixture.observed({ type: "listening" }, STARTUP);
      return Object.assign(fixture, { port: bound, features, url: `http://127.0.0.1:${bound ?? 80}` });
    } catch (error) {
      // This process would not end before it does.
      await fixture.stop("SIGKILL");
      throw error;
    }
  }

  #record(observation) {
    this.#seen.push(observation);
    for (const waiting of [...this.#waiting]) waiting.offer(observation);
  }

  /** All observations so far that have these members. */
  matching(members) {
    return this.#seen.filter((seen) => Object.entries(members).every(([key, value]) => seen[key] === value));
  }

  /** The first observation, past or future, with these members. */
  observed(members, deadline = DEADLINE) {
    const [found] = this.matching(members);
    if (found) return Promise.resolve(found);
    return new Promise((resolve, reject) => {
      const waiting = {
        offer: (seen) => {
          if (!Object.entries(members).every(([key, value]) => seen[key] === value)) return;
          done();
          resolve(seen);
        },
        fail: (why) => {
          done();
          const tail = this.#seen.slice(-5).map((seen) => JSON.stringify(seen)).join("\n");
          reject(new Error(`no ${JSON.stringify(members)}: ${why}\n${tail}\n${this.#stderr}`));
        },
      };
      const timer = setTimeout(() => waiting.fail(`nothing for ${deadline} ms`), deadline);
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(waiting);
      };
      this.#waiting.add(waiting);
    });
  }

  /** Sends a signal without waiting. */
  signal(name) {
    this.#child.kill(name);
  }

  /** What the server wrote to standard error. */
  get errors() {
    return this.#stderr;
  }

  /** Ends the server and resolves to `{code, signal}`; kills it if it does not end in time. */
  async stop(signal = "SIGTERM") {
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), DEADLINE);
    const exit = await this.#exit;
    clearTimeout(timer);
    return exit;
  }
}

/** The features of the server under test. */
export async function features() {
  if (process.env.FEATURES !== undefined) return process.env.FEATURES.split(",");
  const fixture = await Fixture.start();
  await fixture.stop();
  return fixture.features;
}
