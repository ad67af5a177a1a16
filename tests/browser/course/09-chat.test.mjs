import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../harness.mjs";
import { connected, lines, step } from "./step.mjs";

const here = step("09-chat");

async function enter(name, options) {
  const page = await here.visit({ connect: false, ...options });
  await page.locator("#name").fill(name);
  await page.locator("#gate button").click();
  await page.locator("#app").waitFor();
  await connected(page);
  return page;
}

async function say(page, text) {
  await page.locator("#text").fill(text);
  await page.keyboard.press("Enter");
}

const message = (page, text) => page.locator("#messages li", { hasText: text }).first().waitFor();
const people = (page, names) =>
  until(names.join(", "), async () => JSON.stringify((await lines(page, "#people li")).sort()) === JSON.stringify([...names].sort()));

test("two people talk, a third reads it later", async () => {
  const ada = await enter("Ada");
  const grace = await enter("Grace");
  await people(ada, ["Ada (you)", "Grace"]);
  await message(ada, "Grace is here");
  await say(ada, "Hello <b>Grace</b>");
  await message(grace, "Hello <b>Grace</b>");
  assert.equal(await grace.locator("#messages b").count(), 0, "text is text");
  await ada.locator("#messages .mine:not(.waiting)", { hasText: "Hello" }).waitFor();
  // Typing may be lost, so the typist goes on.
  await until("Grace is typing", async () => {
    await grace.locator("#text").pressSequentially("x");
    return (await ada.locator("#typing").textContent()) === "Grace is typing …";
  });
  await grace.locator("#text").fill("");
  await say(grace, "Hello Ada");
  await message(ada, "Hello Ada");
  assert.equal(await ada.locator("#typing").textContent(), "");

  const late = await enter("Mary");
  assert.deepEqual(await lines(late, "#messages li"), ["AdaHello <b>Grace</b>", "GraceHello Ada"]);
  await grace.goto("about:blank");
  await message(ada, "Grace has left");
  await people(late, ["Ada", "Mary (you)"]);
});

test("names: one for each, and none too long", async () => {
  await enter("Ada");
  const second = await enter("Ada");
  await people(second, ["Ada", "Ada 2 (you)"]);
  const page = await here.visit({ connect: false });
  await page.locator("#name").fill("x".repeat(25));
  await page.locator("#gate button").click();
  await page.locator("#problem", { hasText: "Sorry: a name has 1 to 24 characters." }).waitFor();
  assert.equal(await page.locator("#app").isVisible(), false);
  await page.locator("#name").fill("Short");
  await page.locator("#gate button").click();
  await page.locator("#app").waitFor();
});

test("the people come back after a restart, and after a lost connection", async () => {
  const [ada, grace] = [await enter("Ada"), await enter("Grace")];
  await here.server.stop();
  for (const page of [ada, grace]) await page.locator("#connection:not([data-state=connected])").waitFor();
  await say(ada, "Said meanwhile");
  await here.server.restart();
  await message(grace, "Said meanwhile");
  await people(ada, ["Ada (you)", "Grace"]);
  await people(grace, ["Ada", "Grace (you)"]);

  await ada.context().setOffline(true);
  await ada.locator("#connection:not([data-state=connected])").waitFor();
  await people(grace, ["Grace (you)"]);
  await say(grace, "While Ada was away");
  await ada.context().setOffline(false);
  await message(ada, "While Ada was away");
  await people(grace, ["Ada", "Grace (you)"]);
  assert.equal((await lines(ada, "#messages li")).filter((line) => line.includes("While Ada was away")).length, 1);
});

test("the page is accessible on phones and desktops", async () => {
  const other = await enter("Grace");
  await here.audit(async (page) => {
    await page.locator("#name").fill("Ada");
    await page.locator("#gate button").click();
    await page.locator("#app").waitFor();
    await say(page, "Good morning! Has the ferry left?");
    await message(other, "Good morning");
    await say(other, "At noon, as always. The sea is calm today.");
    await message(page, "At noon");
    await page.locator("#messages .mine:not(.waiting)").first().waitFor();
  }, { connect: false });
});
