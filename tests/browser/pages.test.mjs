// What holds for all pages: they load, their controls have names, nothing overflows, assets are cached and compressed.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, test } from "node:test";
import { audit, DESKTOP, PHONE, SMALL } from "./audit.mjs";
import { connected, demo, enter, png, repository, Server, stage, until } from "./harness.mjs";

const here = stage();

for (const [size, options] of Object.entries({ phone: PHONE, "small phone": SMALL, desktop: DESKTOP })) {
  for (const colorScheme of ["light", "dark"]) {
    test(`accessible and without overflow: ${size}, ${colorScheme}`, async () => {
      // axe is evaluated in the page, which the pages' content security policy rightly forbids.
      const page = await here.visit({ ...options, colorScheme, bypassCSP: true });
      const title = (name) => `${name}, ${size}, ${colorScheme}`;
      const long = "Donaudampfschifffahrtsgesellschaftskapitän".repeat(3);

      await page.goto(`${here.server.url}/`);
      await connected(page, "websocket");
      await until("the status", async () => (await page.locator("#uptime").textContent()) !== "–");
      await audit(page, title("index"));

      await page.goto(`${here.server.url}/cluster/`);
      await connected(page, "websocket");
      await page.locator("#alone:not([hidden])").waitFor();
      await audit(page, title("cluster of one"));
      await page.goto(`${here.server.url}/source/home/`);
      await audit(page, title("source"));

      await page.goto(`${here.server.url}/chat/`);
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
      if (size !== "desktop") await page.locator("#side-open").click();
      await page.locator("#new-room-name").fill(long.slice(0, 32));
      await page.keyboard.press("Enter");
      await page.locator("#room-name", { hasText: long.slice(0, 32) }).waitFor();
      await page.locator("#empty").waitFor();
      await audit(page, title("chat, an empty room"));
      if (size !== "desktop") {
        await page.locator("#side-open").click();
        await page.locator("#side").waitFor();
        await audit(page, title("chat, rooms"));
      }

      await page.goto(`${here.server.url}/notifications/`);
      await connected(page, "websocket");
      await page.locator(".chip").first().waitFor();
      for (const level of ["info", "success", "warning", "critical"]) {
        await fetch(`${here.server.url}/api/notify`, { method: "POST", body: JSON.stringify({ title: `${level} ${long.slice(0, 100)}`, body: long, level }) });
      }
      await page.locator(".toast").last().waitFor();
      await page.locator(".item").first().getByRole("button").click({ force: true });
      await audit(page, title("notifications"));
      // They lie over other things for some seconds.
      await page.locator(".toast .icon").evaluateAll((buttons) => buttons.forEach((button) => button.click()));
      if (size !== "desktop") await page.locator(".views button", { hasText: "Send" }).click();
      await page.locator(".segments input[value=user]").check();
      await audit(page, title("notifications, sender"));
    });
  }
}

describe("while the server is away", () => {
  for (const [size, options] of Object.entries({ "small phone": SMALL, desktop: DESKTOP })) {
    test(`the pages say so, and somebody on the way in gets in: ${size}`, async () => {
      const open = async (path) => {
        const page = await here.visit({ ...options, bypassCSP: true });
        await page.goto(`${here.server.url}/${path}`);
        return page;
      };
      const index = await open("");
      await connected(index, "websocket");
      const gates = [await open("chat/"), await open("notifications/")];
      for (const gate of gates) await gate.locator("#gate input").waitFor();
      await here.server.stop();
      for (const gate of gates) {
        await gate.locator("#gate input").fill(`Late ${size}`);
        await gate.locator("#gate button").click();
        await gate.locator("#gate-note", { hasText: "You are in as soon as it does." }).waitFor();
      }
      for (const [page, name] of [[index, "index"], [gates[0], "chat"], [gates[1], "notifications"]]) {
        const text = page.locator(".connection-text");
        await until("the countdown", async () => (await text.isVisible()) && /^Offline, retry in \d+ s$/.test(await text.textContent()));
        await audit(page, `${name} without a server, ${size}`);
      }
      await here.server.restart();
      for (const page of [index, ...gates]) await connected(page, "websocket");
      await gates[0].locator("#people li", { hasText: `Late ${size}` }).waitFor({ state: "attached" });
      await gates[1].locator("#me", { hasText: `Late ${size}` }).waitFor();
    });
  }
});

describe("index", () => {
  for (const [query, transport, words] of [
    ["", "websocket", "WebSocket"],
    ["?transport=websocket", "websocket", "WebSocket"],
    ["?transport=polling", "polling", "HTTP long-polling"],
  ]) {
    test(`shows its connection${query && `, ${query}`}`, async () => {
      const page = await here.visit();
      await page.goto(`${here.server.url}/${query}`);
      await connected(page, transport);
      await until("the transport", async () => (await page.locator("#transport").textContent()) === words);
      await until("the round trip", async () => /^[\d.]+ ms$/.test(await page.locator("#latency").textContent()));
      await until("one connection", async () => (await page.locator("#connections").textContent()) === "1");
      assert.match(await page.locator("#version").textContent(), /^Fanfare \d+\.\d+/);
      // A forced transport stays when one goes on to an app.
      await page.locator(".app-card", { hasText: "Chat" }).click();
      await page.waitForURL(`${here.server.url}/chat/${query}`);
      await page.goBack();
      await page.locator(".app-card", { hasText: "Notifications" }).click();
      await page.waitForURL(`${here.server.url}/notifications/${query}`);
    });
  }
});

describe("what the build takes from elsewhere", () => {
  const read = (path) => readFileSync(resolve(repository, path), "utf8");

  test("the start page shows the server of the example, and a line of the benchmarks", async () => {
    const page = await here.visit();
    await page.goto(`${here.server.url}/`);
    const shown = await page.locator("figure code").first().textContent();
    assert.ok(read("crates/fanfare/examples/eight_lines.rs").endsWith(`\n${shown}\n`), shown);
    assert.equal(shown.split("\n").filter(Boolean).length, 8, "eight lines");
    const line = await page.locator(".bench").textContent();
    const row = read("docs/benchmarks.md").split("## Operations per CPU second")[1].match(/^\| `fanout-16` \| ([^|]+) \|.* ([\d.]+) \|$/m);
    assert.ok(line.includes(`${row[1]} deliveries`) && line.includes(`${row[2]} × the next best`), line);
  });

  test("the source of every app is there as the repository has it", async () => {
    const page = await here.visit();
    await page.goto(`${here.server.url}/source/`);
    const links = await page.locator("main a").evaluateAll((all) => all.map((link) => link.href));
    assert.ok(links.length >= 3);
    for (const link of links) {
      await page.goto(link);
      const files = await page.locator("main section").evaluateAll((all) => all.map((section) => [section.querySelector("h2").textContent, section.querySelector("code").textContent]));
      assert.ok(files.some(([name]) => name.endsWith(".rs")) && files.some(([name]) => name.endsWith(".ts")), link);
      for (const [name, code] of files) assert.equal(code, read(name).trimEnd(), name);
    }
  });

  test("every link of every page leads to a page", async () => {
    const seen = new Set();
    const broken = [];
    const queue = ["/"];
    while (queue.length) {
      const path = queue.pop();
      if (seen.has(path)) continue;
      seen.add(path);
      // Both need a tool that has to run before: the start page hides the links until then.
      if (path === "/book/" || path === "/doc/") continue;
      const answer = await fetch(`${here.server.url}${path}`, { headers: { accept: "text/html" } });
      if (answer.status !== 200) broken.push(`${path}: ${answer.status}`);
      if (!/text\/html/.test(answer.headers.get("content-type"))) continue;
      const html = (await answer.text()).replace(/<pre[\s\S]*?<\/pre>/g, "");
      for (const [, href] of html.matchAll(/(?:href|src)="([^"#?]*)[^"]*"/g)) if (href.startsWith("/")) queue.push(href);
    }
    assert.deepEqual(broken, []);
    assert.ok(seen.size > 12, `${seen.size} pages`);
  });

  test("the book and the API documentation are served where they are built", async () => {
    const folder = mkdtempSync(join(tmpdir(), "fanfare-book-"));
    writeFileSync(join(folder, "index.html"), '<!doctype html><link rel="icon" href="data:,"><title>Book</title><h1>Book</h1>');
    const server = await Server.start(0, (port) => {
      const [program, args, env] = demo(port);
      return [program, [...args, "--book", folder], env];
    });
    try {
      const page = await here.visit();
      await page.goto(`${here.server.url}/`);
      await page.locator("[data-absent=book]", { hasText: "cargo xtask book" }).waitFor();
      assert.equal((await fetch(`${here.server.url}/book/`)).status, 404);
      await page.goto(`${server.url}/`);
      await page.locator("a#book").click();
      await page.locator("h1", { hasText: /^Book$/ }).waitFor();
      await page.goto(`${server.url}/`);
      await page.locator("[data-absent=doc]", { hasText: "cargo doc" }).waitFor();
    } finally {
      await server.stop();
      rmSync(folder, { recursive: true });
    }
  });
});

describe("assets", () => {
  test("types, caching, compression, not found", async () => {
    const html = await fetch(`${here.server.url}/chat/`);
    assert.equal(html.status, 200);
    assert.match(html.headers.get("content-type"), /^text\/html; charset=utf-8$/i);
    assert.equal(html.headers.get("cache-control"), "no-cache");
    assert.match(html.headers.get("content-security-policy"), /default-src 'self'/);
    assert.equal(html.headers.get("x-content-type-options"), "nosniff");
    const body = await html.text();
    const etag = html.headers.get("etag");
    assert.equal((await fetch(`${here.server.url}/chat/`, { headers: { "if-none-match": etag } })).status, 304);

    const script = `${here.server.url}${body.match(/src="(\/assets\/[^"]+\.js)"/)[1]}`;
    for (const [encoding, expected] of [["br", "br"], ["gzip", "gzip"], ["identity", null], ["gzip;q=0", null]]) {
      const answer = await fetch(script, { headers: { "accept-encoding": encoding } });
      assert.equal(answer.headers.get("content-encoding"), expected);
      assert.match(answer.headers.get("content-type"), /^text\/javascript/);
      assert.match(answer.headers.get("cache-control"), /immutable/);
      assert.match(answer.headers.get("vary"), /accept-encoding/i);
      assert.match(await answer.text(), /import/);
    }
    assert.equal((await fetch(`${here.server.url}/assets/none.js`)).status, 404);
    assert.equal((await fetch(`${here.server.url}/%2e%2e/Cargo.toml`)).status, 404);
    const bare = await fetch(`${here.server.url}/chat?transport=polling`, { redirect: "manual" });
    assert.equal(bare.status, 308);
    assert.equal(bare.headers.get("location"), "/chat/?transport=polling");
    assert.equal((await fetch(`${here.server.url}/chat/`, { method: "POST" })).status, 405);
    assert.equal((await fetch(`${here.server.url}/chat/`, { method: "HEAD" })).headers.get("content-type"), html.headers.get("content-type"));
  });
});

test("an address of nothing is answered with a page to browsers, and a line to others", async () => {
  for (const [size, options] of Object.entries({ "small phone": SMALL, desktop: DESKTOP })) {
    const page = await here.visit({ ...options, bypassCSP: true });
    // What the browser says of a page that is not there is no fault of the page.
    page.check = () => {};
    const answer = await page.goto(`${here.server.url}/nothing/at/all`);
    assert.equal(answer.status(), 404);
    await page.locator("h1", { hasText: "There is nothing at this address" }).waitFor();
    await audit(page, `404, ${size}`);
    await page.getByRole("link", { name: "Start page" }).click();
    await connected(page, "websocket");
  }
  const plain = await fetch(`${here.server.url}/nothing`, { headers: { accept: "*/*" } });
  assert.equal(plain.status, 404);
  assert.equal(await plain.text(), "There is nothing here. Start at /\n");
});
