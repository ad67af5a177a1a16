import assert from "node:assert/strict";
import { test } from "node:test";
import { assertShown, connected, lines, logged, step } from "./step.mjs";

const here = step("02-first-server");

test("the page is welcomed, also by the server that takes the place of the first", async () => {
  const page = await here.visit({ upgrade: true });
  await page.locator("#welcome", { hasText: "Hello from Rust!" }).waitFor();
  await here.server.stop();
  await page.locator("#connection[data-state=reconnecting], #connection[data-state=closed]").waitFor();
  await logged(page, "disconnected: transport close");
  await here.server.restart();
  await connected(page);
  assert.equal((await lines(page, "#log .received")).length, 2, "each server welcomes");
});

test("the terminal shows who comes and goes, as in the chapter", async () => {
  const page = await here.visit({ upgrade: true });
  await page.locator("#welcome", { hasText: "Hello" }).waitFor();
  await page.goto("about:blank");
  await here.printed(/disconnected: transport close/);
  assertShown("02-first-server", "listening", here.server.output, [[/^[\w-]{20} /gm, "<id> "]]);
});

test("the page leaves, and comes back, by a button", async () => {
  const page = await here.visit();
  const button = page.locator("#leave");
  await button.click();
  await logged(page, "disconnected: io client disconnect");
  await here.printed(/disconnected: client namespace disconnect/);
  await page.locator("#leave", { hasText: /^Connect$/ }).click();
  await connected(page);
  assert.equal((await lines(page, "#log .received")).length, 2);
});

test("the page is accessible on phones and desktops", () =>
  here.audit((page) => page.locator("#welcome", { hasText: "Hello" }).waitFor()));
