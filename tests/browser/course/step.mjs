// One step of the course: its program, its page in a browser, and its chapter.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { after, afterEach, before } from "node:test";
import { audit, DESKTOP, PHONE } from "../audit.mjs";
import { built, launch, repository, Server, until, visitor } from "../harness.mjs";

/** The program of a step, with settings in its environment, and a browser, for the tests of one file. After each test its pages have reported no errors. */
export function step(name, env = {}) {
  let open = [];
  const here = {
    server: undefined,
    browser: undefined,
    /**
     * Opens the page in a browser of its own. It waits for the page's connection unless `connect` is false, and with
     * `upgrade` also for its WebSocket.
     */
    async visit({ connect = true, upgrade = false, ...options } = {}) {
      const page = await visitor(here.browser, options);
      open.push(page);
      const upgraded = upgrade && upgradeOf(page);
      await page.goto(here.server.url);
      if (connect) await connected(page);
      await upgraded;
      return page;
    },
    /** Checks the page on a phone and on a desktop, light and dark, after `prepare` has brought it to life. */
    async audit(prepare = () => {}, { controls, ...options } = {}) {
      for (const [size, frame, colorScheme] of [["phone", PHONE, "light"], ["desktop", DESKTOP, "dark"]]) {
        const page = await here.visit({ ...options, ...frame, colorScheme });
        await prepare(page);
        await audit(page, `${name}, ${size}, ${colorScheme}`, { controls });
        if (process.env.SHOTS) await page.screenshot({ path: resolve(process.env.SHOTS, `${name}-${size}-${colorScheme}.png`) });
      }
    },
    /** Waits until the program has printed what the pattern describes. */
    printed: (pattern) => until(`${pattern} is printed`, () => here.server.output.match(pattern)),
  };
  before(async () => {
    here.server = await Server.start(0, (port) => [built(name), [], { ...env, PORT: String(port) }]);
    here.browser = await launch();
  });
  after(async () => {
    await here.browser?.close();
    await here.server?.stop();
  });
  afterEach(async () => {
    const pages = open;
    open = [];
    if (!here.server.running) await here.server.restart();
    await Promise.all(pages.map((page) => page.context().close()));
    for (const page of pages) page.check(); // last, so that the next test does not meet the pages of one that failed
  });
  return here;
}

/** Waits until a page has left long-polling for its WebSocket, which it says with the packet `5`. */
async function upgradeOf(page) {
  const socket = await page.waitForEvent("websocket");
  await socket.waitForEvent("framesent", ({ payload }) => payload === "5");
}

/** Waits until the page shows that it is connected. */
export const connected = (page) => page.locator("#connection[data-state=connected]").waitFor();

/** The lines of a list of the page. */
export const lines = (page, selector = "#log li") => page.locator(selector).allTextContents();

/** Waits until a list of the page has a line with this text, or one that matches. */
export const logged = (page, text, selector = "#log li") => page.locator(selector, { hasText: text }).first().waitFor();

/** Returns the blocks of a chapter that show what a program printed: those of the language `console`. */
export function shown(name) {
  const chapter = readFileSync(resolve(repository, `book/en/src/course/${name}.md`), "utf8");
  return [...chapter.matchAll(/^```console\n(.*?)^```$/gms)].map((block) => block[1]);
}

/**
 * Checks that a block of the chapter, the one that contains `marker`, is what a program printed. `rules` replace what
 * is another each time on both sides, as in `[/\d+ ms/g, "N ms"]`. Lines with a `$` are commands; a line of dots stands
 * for any lines.
 */
export function assertShown(name, marker, printed, rules = []) {
  const block = shown(name).find((text) => text.includes(marker));
  assert.ok(block, `the chapter ${name} shows ${marker}`);
  const all = [[/127\.0\.0\.1:\d+/g, "127.0.0.1:3000"], [/\r/g, ""], ...rules];
  const neutral = (text) => all.reduce((text, [pattern, instead]) => text.replace(pattern, instead), text);
  const have = neutral(printed).split("\n").map((line) => line.trimEnd());
  let at = 0;
  let skips = true; // the block may begin anywhere
  let command = false;
  for (const line of neutral(block).trimEnd().split("\n")) {
    if (command || line.startsWith("$ ")) {
      command = line.endsWith("\\");
      skips = true;
    } else if (line === "…") {
      skips = true;
    } else {
      const found = have.indexOf(line.trimEnd(), at);
      assert.ok(skips ? found >= 0 : found === at, `the chapter ${name} shows a line that was not printed there:\n${line}\n--- printed:\n${have.join("\n")}`);
      at = found + 1;
      skips = false;
    }
  }
}
