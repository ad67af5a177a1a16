import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../harness.mjs";
import { assertShown, connected, lines, logged, step } from "./step.mjs";

const here = step("05-rooms");

const followers = (page, topic, text) => until(`${topic}: ${text}`, async () => (await page.locator(`#${topic}`).textContent()) === text);

async function publish(page, topic, text) {
  await page.locator("#topic").selectOption(topic);
  await page.locator("#text").fill(text);
  await page.locator("#publish button").click();
}

test("news reach those who follow the topic, and no others", async () => {
  const [ada, grace] = [await here.visit(), await here.visit({ upgrade: true })];
  await ada.locator("[value=harbour][type=checkbox]").check();
  await grace.locator("[value=theatre][type=checkbox]").check();
  for (const page of [ada, grace]) {
    await followers(page, "harbour", "1 follower");
    await followers(page, "theatre", "1 follower");
  }
  await publish(grace, "harbour", "The ferry leaves at noon");
  await logged(ada, "harbour: The ferry leaves at noon");
  await publish(grace, "market", "Apples are cheap");
  await here.printed(/market: sent to 0/);
  assertShown("05-rooms", "sent to", here.server.output);
  await publish(ada, "theatre", "The curtain rises");
  await logged(grace, "theatre: The curtain rises");
  assert.deepEqual(await lines(grace), ["theatre: The curtain rises"]);
  assert.deepEqual(await lines(ada), ["harbour: The ferry leaves at noon"]);

  await ada.locator("[value=harbour][type=checkbox]").uncheck();
  await followers(grace, "harbour", "0 followers");
  await grace.goto("about:blank");
  await followers(ada, "theatre", "0 followers");
});

test("a page follows again after its connection was lost", async () => {
  const page = await here.visit();
  await page.locator("[value=market][type=checkbox]").check();
  await followers(page, "market", "1 follower");
  await here.server.stop();
  await page.locator("#connection:not([data-state=connected])").waitFor();
  await here.server.restart();
  await connected(page);
  await followers(page, "market", "1 follower");
  await publish(page, "market", "Open again");
  await logged(page, "market: Open again");
});

test("the page is accessible on phones and desktops", () =>
  here.audit(async (page) => {
    await page.locator("[value=harbour][type=checkbox]").check();
    await publish(page, "harbour", "The ferry leaves at noon");
    await logged(page, "harbour");
  }));
