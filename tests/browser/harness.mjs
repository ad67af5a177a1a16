// Starts `fanfare demo` and Chromium, and gives tests the few verbs they need. Nothing here sleeps: every wait is for a
// condition, with a deadline.
//
//   FANFARE_BIN       the binary, default target/debug/fanfare (or $CARGO_TARGET_DIR/debug/fanfare)
//   FANFARE_CHROMIUM  the browser, default: the first Chromium or Chrome found in the usual places
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { after, afterEach, before } from "node:test";
import { chromium } from "playwright-core";

export const DEADLINE = 30_000; // milliseconds; generous, since a busy machine is not a fault of the pages

export const repository = resolve(import.meta.dirname, "../..");

/** A program that cargo has built. */
export function built(name) {
  const program = resolve(process.env.CARGO_TARGET_DIR ?? resolve(repository, "target"), "debug", name);
  if (!existsSync(program)) throw new Error(`${program} does not exist: run cargo build --bins --examples`);
  return program;
}

/** How `fanfare demo` is started on a port: the program, its arguments, its environment. */
export const demo = (port) => [process.env.FANFARE_BIN ?? built("fanfare"), ["demo", "--port", String(port)], {}];

/** A running `fanfare demo`, or another program that prints its address. */
export class Server {
  #command;
  #process;
  #exited;
  /** Without a slash at its end. */
  url;
  /** The last lines that it has printed since it was started. */
  output = "";

  static async start(port = 0, command = demo) {
    const server = new Server();
    server.#command = command;
    await server.#start(port);
    return server;
  }

  async #start(port) {
    const [program, args, env] = this.#command(port);
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
    this.#process = child;
    this.output = "";
    this.#exited = new Promise((done) => child.once("exit", (code, signal) => done({ code, signal })));
    const found = new Promise((done) => {
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on("line", (line) => {
          this.output = (this.output + line + "\n").slice(-20_000);
          const url = line.match(/https?:\/\/[\w.[\]:]+:\d+/)?.[0];
          if (url) done(url);
        });
      }
    });
    const failed = this.#exited.then(({ code, signal }) => {
      throw new Error(`the server ended (${signal ?? code}) before it printed its address:\n${this.output}`);
    });
    failed.catch(() => {});
    this.url = await Promise.race([found, failed, late(DEADLINE, () => `no address printed:\n${this.output}`)]);
  }

  /** Whether it runs: a test that fails may leave it stopped. */
  get running() {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  get port() {
    return Number(new URL(this.url).port);
  }

  /** Ends the server and waits for its end. */
  async stop(signal = "SIGTERM") {
    this.#process.kill(signal);
    return Promise.race([this.#exited, late(DEADLINE, () => `the server did not end after ${signal}`)]);
  }

  /** Starts it again on the same port. */
  async restart() {
    await this.#start(this.port);
  }
}

function late(milliseconds, message) {
  return new Promise((_, fail) => {
    setTimeout(() => fail(new Error(message())), milliseconds).unref();
  });
}

/**
 * A server and a browser for the tests of one file. After each test the pages of its `visitors` have reported no errors,
 * and nobody is connected any more.
 */
export function stage(command = demo) {
  const here = {
    server: undefined,
    browser: undefined,
    visitors: [],
    /** Opens a page that belongs to the running test. */
    async visit(options) {
      const page = await visitor(here.browser, options);
      here.visitors.push(page);
      return page;
    },
  };
  before(async () => {
    here.server = await Server.start(0, command); // first: without it there is nothing to look at
    here.browser = await launch();
  });
  after(async () => {
    await here.browser?.close();
    await here.server?.stop();
  });
  afterEach(async () => {
    const open = here.visitors;
    here.visitors = [];
    if (!here.server.running) await here.server.restart();
    await leave(here.server, ...open);
    await until("nobody is connected", async () => (await connections(here.server)) === 0);
    for (const page of open) page.check(); // last, so that the next test does not meet those of one that failed
  });
  return here;
}

/** Starts the browser. */
export async function launch() {
  const places = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"].map((name) => `/usr/bin/${name}`);
  places.push("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome");
  const executablePath = process.env.FANFARE_CHROMIUM ?? places.find((path) => existsSync(path));
  if (!executablePath) throw new Error("no Chromium found: install it, or set FANFARE_CHROMIUM to its path");
  return chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--disable-features=SpareRendererForSitePerProcess", // each context would start a process in vain
    ],
  });
}

/** Opens one visitor: a browser context of its own, with one page. Errors of the page fail the test that `check()`s. */
export async function visitor(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  context.setDefaultTimeout(DEADLINE);
  const page = await context.newPage();
  const errors = [];
  let polls = 0;
  const poll = (change) => (request) => {
    if (request.method() === "GET" && /transport=polling/.test(request.url())) polls += change;
  };
  page.on("request", poll(1)).on("requestfinished", poll(-1)).on("requestfailed", poll(-1));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    // A server that is down is part of some tests, and so are a long-poll that is late for its session and a message
    // that is sent before the page is told that its WebSocket closes; everything else is a fault of the page.
    const transport = /\/socket\.io\//.test(message.location().url)
      || /WebSocket (connection to|is already in CLOSING or CLOSED state)/.test(message.text());
    if (!transport) errors.push(`${message.text()} ${message.location().url}`);
  });
  return Object.assign(page, {
    /** How many long-polls wait for an answer. */
    polls: () => polls,
    check() {
      if (errors.length) throw new Error(`the page reported:\n${errors.join("\n")}`);
    },
  });
}

/** Presses `key` until what has the focus matches `selector`. */
export async function tabTo(page, selector, key = "Tab") {
  for (let presses = 0; presses < 80; presses++) {
    if (await page.evaluate((selector) => document.activeElement?.matches(selector), selector)) return;
    await page.keyboard.press(key);
  }
  throw new Error(`${selector} cannot be reached with ${key}`);
}

/** Polls `condition` until it holds. */
export async function until(what, condition, deadline = DEADLINE) {
  const end = Date.now() + deadline;
  let last;
  for (;;) {
    try {
      last = await condition();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`waited ${deadline} ms for: ${what} (last: ${last})`);
    await new Promise((done) => setTimeout(done, 25));
  }
}

/** Waits until the header shows that the page is connected by `transport`. */
export async function connected(page, transport) {
  await page.locator(`#connection[data-state=connected][data-transport=${transport}]`).waitFor();
}

/** Enters the name that an app asks for first. */
export async function enter(page, name) {
  await page.locator("#gate input").fill(name);
  await page.locator("#gate button").click();
  await page.locator("#gate").waitFor({ state: "hidden" });
}

/** How many clients the server counts. */
export async function connections(server) {
  return (await (await fetch(`${server.url}/api/status`)).json()).connections;
}

/**
 * Closes visitors the polite way. A page that is closed while it long-polls may leave a session that the server only
 * misses at its next heartbeat; the next test would meet a ghost.
 */
export async function leave(server, ...pages) {
  for (const page of pages) {
    if (!page.isClosed()) await page.evaluate(() => document.querySelector("#chat:not([hidden]) #leave, #app:not([hidden]) #leave")?.click());
  }
  await Promise.all(pages.map((page) => page.context().close()));
}

/** A PNG of `width` × `height` pixels, drawn by the browser; `noise` makes it incompressible. */
export async function png(page, width, height, noise = false) {
  const base64 = await page.evaluate(
    async ({ width, height, noise }) => {
      const canvas = new OffscreenCanvas(width, height);
      const context = canvas.getContext("2d");
      if (noise) {
        const image = context.createImageData(width, height);
        for (let i = 0; i < image.data.length; i += 65_536) crypto.getRandomValues(image.data.subarray(i, i + 65_536));
        for (let i = 3; i < image.data.length; i += 4) image.data[i] = 255;
        context.putImageData(image, 0, 0);
      } else {
        const sky = context.createLinearGradient(0, 0, 0, height);
        for (const [at, colour] of [[0, "#22314f"], [0.45, "#b5647a"], [0.7, "#f6b25c"]]) sky.addColorStop(at, colour);
        context.fillStyle = sky;
        context.fillRect(0, 0, width, height);
        context.fillStyle = "#ffe3a3";
        context.beginPath();
        context.arc(width * 0.64, height * 0.6, height * 0.1, 0, 7);
        context.fill();
        for (const [colour, y, swing] of [["#7a4a63", 0.68, 0.07], ["#4b3350", 0.78, 0.05], ["#261f38", 0.88, 0.04]]) {
          context.fillStyle = colour;
          context.beginPath();
          context.moveTo(0, height);
          for (let x = 0; x <= width; x += 4) {
            context.lineTo(x, height * (y - swing * Math.sin((x / width) * 9 + y * 20) - (swing / 2) * Math.sin((x / width) * 23 + y * 7)));
          }
          context.lineTo(width, height);
          context.fill();
        }
      }
      const blob = await canvas.convertToBlob({ type: "image/png" });
      return new Promise((done) => {
        const reader = new FileReader();
        reader.onload = () => done(reader.result.split(",")[1]);
        reader.readAsDataURL(blob);
      });
    },
    { width, height, noise },
  );
  return Buffer.from(base64, "base64");
}
