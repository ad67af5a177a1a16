import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { until } from "../harness.mjs";
import { assertShown, connected, lines, logged, shown, step } from "./step.mjs";

const here = step("01-websockets");

async function open(page) {
  await page.locator("#open").click();
  await connected(page);
}

test("HTTP answers, a WebSocket speaks first, and both ends can close it", async () => {
  const page = await here.visit({ connect: false });
  await page.locator("#ask").click();
  await logged(page, "hello", "#http-log .received");
  await open(page);
  await logged(page, "tick 1", "#socket-log .received");
  await logged(page, "tick 2", "#socket-log .received");
  await page.locator("#send").click();
  await logged(page, /^HELLO$/, "#socket-log .received");
  await page.locator("#text").fill("Straße 👋");
  await page.locator("#send").click();
  await logged(page, "STRASSE 👋", "#socket-log .received");
  await page.locator("#close").click();
  await logged(page, "closed: code 1000", "#socket-log li");
  assert.equal((await lines(page, "#http-log li")).length, 2, "HTTP has one answer for one question");

  // What the chapter shows of the terminal, with another mask.
  const mask = [/<- 81 85( [0-9a-f]{2}){9}/g, "<- 81 85 …"];
  await here.printed(/<- 88 8/);
  assertShown("01-websockets", "81 85", here.server.output, [mask]);
});

test("the handshake by curl, as the chapter shows it", async () => {
  const block = shown("01-websockets").find((text) => text.includes("$ curl") && text.includes("101"));
  const command = block.slice(2, block.indexOf("HTTP/1.1")).replaceAll("\\\n", "").replace("127.0.0.1:3000", new URL(here.server.url).host);
  // curl ends after its time, which it reports as an error.
  const printed = await new Promise((done) => execFile("sh", ["-c", command], { encoding: "latin1" }, (_, stdout) => done(stdout)));
  assertShown("01-websockets", "101 Switching", printed);
});

test("a request that is no handshake, or no HTTP, is refused", async () => {
  const answer = await fetch(`${here.server.url}/socket`);
  assert.equal(answer.status, 426);
  assert.equal((await fetch(`${here.server.url}/none`)).status, 404);
  await assert.rejects(fetch(here.server.url, { headers: { long: "x".repeat(20_000) } }));
  await here.printed(/!! a request is longer than 16384 bytes/);
  await until("it still serves", async () => (await fetch(here.server.url)).ok);
});

test("the page is accessible on phones and desktops", () =>
  here.audit(async (page) => {
    await page.locator("#ask").click();
    await open(page);
    await logged(page, "tick 1", "#socket-log li");
    await page.locator("#send").click();
    await logged(page, "HELLO", "#socket-log .received");
  }, { connect: false }));
