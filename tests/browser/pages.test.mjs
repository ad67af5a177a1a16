// What holds for all pages: they load, their controls have names, nothing overflows, assets are cached and compressed.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, afterEach, before, describe, test } from "node:test";
import { connected, connections, enter, launch, leave, png, Server, until, visitor } from "./harness.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let browser;
let server;

before(async () => {
  server = await Server.start(); // first: without it there is nothing to look at
  browser = await launch();
});
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
const SMALL = { viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true };
const DESKTOP = { viewport: { width: 1280, height: 800 } };

const CONTROLS = new Set(["button", "link", "textbox", "combobox", "checkbox", "radio", "searchbox", "switch", "tab", "menuitem", "dialog"]);

async function audit(page, what) {
  await page.evaluate(axe);
  // Fading and sliding elements have no stable colours.
  await until("animations to end", () => page.evaluate(() => document.getAnimations().every((animation) => animation.effect?.getTiming().iterations === Infinity || animation.playState === "finished")));
  const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
  const found = violations.flatMap(({ id, help, nodes }) => nodes.map(({ html, failureSummary }) => `${id} (${help}): ${html}\n    ${failureSummary}`));
  assert.deepEqual(found, [], `${what} is accessible`);
  // Every control has a name, as the browser tells it to assistive technology.
  const tree = await page.context().newCDPSession(page);
  const { nodes } = await tree.send("Accessibility.getFullAXTree");
  await tree.detach();
  const controls = nodes.filter((node) => !node.ignored && CONTROLS.has(node.role?.value));
  assert.ok(controls.length > 0);
  assert.deepEqual(controls.filter((node) => !node.name?.value?.trim()), [], `${what}: controls without a name`);
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(content <= window, `${what} is ${content} px wide in a window of ${window} px`);
}

for (const [size, options] of Object.entries({ phone: PHONE, "small phone": SMALL, desktop: DESKTOP })) {
  for (const colorScheme of ["light", "dark"]) {
    test(`accessible and without overflow: ${size}, ${colorScheme}`, async () => {
      // axe is evaluated in the page, which the pages' content security policy rightly forbids.
      const page = await visitor(browser, { ...options, colorScheme, bypassCSP: true });
      const title = (name) => `${name}, ${size}, ${colorScheme}`;
      const long = "Donaudampfschifffahrtsgesellschaftskapitän".repeat(3);

      await page.goto(`${server.url}/`);
      await connected(page, "websocket");
      await until("the status", async () => (await page.locator("#uptime").textContent()) !== "–");
      await audit(page, title("index"));

      await page.goto(`${server.url}/chat/`);
      await page.locator("#gate input").waitFor();
      await page.locator("#gate button").click();
      await page.locator("#gate-problem", { hasText: "Please choose a name." }).waitFor();
      await audit(page, title("chat, before"));
      await enter(page, "Wilhelmina Longname-Jones");
      await connected(page, "websocket");
      await page.locator("#file").setInputFiles({ name: `${long}.png`, mimeType: "image/png", buffer: await png(page, 600, 300) });
      await page.locator("#attachment").waitFor();
      await audit(page, title("chat, attachment"));
      for (const text of ["", long, "Short https://example.org/a?b=c"]) {
        await page.locator("#text").fill(text);
        await page.locator("#text").press("Enter");
      }
      await page.locator(".message.mine[data-state=delivered]", { hasText: "Short" }).waitFor();
      await until("the picture", () => page.locator(".picture img").last().evaluate((image) => image.complete && image.naturalWidth > 0));
      await audit(page, title("chat"));
      if (size !== "desktop") {
        await page.locator("#side-open").click();
        await page.locator("#side").waitFor();
        await audit(page, title("chat, rooms"));
      }

      await page.goto(`${server.url}/notifications/`);
      await connected(page, "websocket");
      await page.locator(".chip").first().waitFor();
      for (const level of ["info", "success", "warning", "critical"]) {
        await fetch(`${server.url}/api/notify`, { method: "POST", body: JSON.stringify({ title: `${level} ${long.slice(0, 100)}`, body: long, level }) });
      }
      await page.locator(".toast").last().waitFor();
      await page.locator(".item").first().getByRole("button").click({ force: true });
      await audit(page, title("notifications"));
      if (size !== "desktop") await page.locator(".views button", { hasText: "Send" }).click();
      await page.locator(".segments input[value=user]").check();
      await audit(page, title("notifications, sender"));
      page.check();
      await leave(server, page);
      await until("nobody is connected", async () => (await connections(server)) === 0);
    });
  }
}

describe("index", () => {
  for (const [query, transport, words] of [
    ["", "websocket", "WebSocket"],
    ["?transport=websocket", "websocket", "WebSocket"],
    ["?transport=polling", "polling", "HTTP long-polling"],
  ]) {
    test(`shows its connection${query && `, ${query}`}`, async () => {
      const page = await visitor(browser);
      await page.goto(`${server.url}/${query}`);
      await connected(page, transport);
      await until("the transport", async () => (await page.locator("#transport").textContent()) === words);
      await until("the round trip", async () => /^[\d.]+ ms$/.test(await page.locator("#latency").textContent()));
      await until("one connection", async () => (await page.locator("#connections").textContent()) === "1");
      assert.match(await page.locator("#version").textContent(), /^Fanfare \d+\.\d+/);
      // A forced transport stays when one goes on to an app.
      await page.locator(".app-card", { hasText: "Chat" }).click();
      await page.waitForURL(`${server.url}/chat/${query}`);
      await page.goBack();
      await page.locator(".app-card", { hasText: "Notifications" }).click();
      await page.waitForURL(`${server.url}/notifications/${query}`);
      page.check();
    });
  }
});

describe("assets", () => {
  test("types, caching, compression, not found", async () => {
    const html = await fetch(`${server.url}/chat/`);
    assert.equal(html.status, 200);
    assert.match(html.headers.get("content-type"), /^text\/html; charset=utf-8$/i);
    assert.equal(html.headers.get("cache-control"), "no-cache");
    assert.match(html.headers.get("content-security-policy"), /default-src 'self'/);
    assert.equal(html.headers.get("x-content-type-options"), "nosniff");
    const body = await html.text();
    const etag = html.headers.get("etag");
    assert.equal((await fetch(`${server.url}/chat/`, { headers: { "if-none-match": etag } })).status, 304);

    const script = `${server.url}${body.match(/src="(\/assets\/[^"]+\.js)"/)[1]}`;
    for (const [encoding, expected] of [["br", "br"], ["gzip", "gzip"], ["identity", null], ["gzip;q=0", null]]) {
      const answer = await fetch(script, { headers: { "accept-encoding": encoding } });
      assert.equal(answer.headers.get("content-encoding"), expected);
      assert.match(answer.headers.get("content-type"), /^text\/javascript/);
      assert.match(answer.headers.get("cache-control"), /immutable/);
      assert.match(answer.headers.get("vary"), /accept-encoding/i);
      assert.match(await answer.text(), /import/);
    }
    assert.equal((await fetch(`${server.url}/assets/none.js`)).status, 404);
    assert.equal((await fetch(`${server.url}/%2e%2e/Cargo.toml`)).status, 404);
    const bare = await fetch(`${server.url}/chat?transport=polling`, { redirect: "manual" });
    assert.equal(bare.status, 308);
    assert.equal(bare.headers.get("location"), "/chat/?transport=polling");
    assert.equal((await fetch(`${server.url}/chat/`, { method: "POST" })).status, 405);
    assert.equal((await fetch(`${server.url}/chat/`, { method: "HEAD" })).headers.get("content-type"), html.headers.get("content-type"));
  });
});
