import assert from "node:assert/strict";
import { test } from "node:test";
import { lines, logged, step } from "./step.mjs";

const here = step("03-events");

async function roll(page, count, sides) {
  await page.locator("#count").fill(String(count));
  await page.locator("#sides").fill(String(sides));
  await page.locator("#roll button").click();
}

test("dice are rolled on the server", async () => {
  const page = await here.visit();
  await roll(page, 20, 4);
  await page.locator("#sum", { hasText: /^Sum: \d+$/ }).waitFor();
  const dice = (await lines(page, "#dice li")).map(Number);
  assert.equal(dice.length, 20);
  assert.ok(dice.every((number) => number >= 1 && number <= 4), String(dice));
  assert.equal(await page.locator("#sum").textContent(), `Sum: ${dice.reduce((sum, number) => sum + number)}`);
  await logged(page, 'roll [{"count":20,"sides":4}]', "#log .sent");
});

test("several arguments, in both directions", async () => {
  const page = await here.visit();
  await page.locator("#who button").click();
  await page.locator("#greeting", { hasText: "Good luck, Ada Lovelace! (12 characters)" }).waitFor();
  await logged(page, 'greeting ["Good luck, Ada Lovelace!",12]', "#log .received");
});

test("what makes no sense is refused with a message", async () => {
  const page = await here.visit();
  for (const [count, sides] of [[0, 6], [101, 6], [5, 1], [5, 101]]) {
    await page.locator("#sum").evaluate((sum) => { sum.textContent = ""; });
    await roll(page, count, sides);
    await page.locator("#sum", { hasText: "1 to 100 dice of 2 to 100 sides, please" }).waitFor();
  }
});

test("the page is accessible on phones and desktops", () =>
  here.audit(async (page) => {
    await roll(page, 12, 100);
    await page.locator("#sum", { hasText: "Sum" }).waitFor();
    await page.locator("#who button").click();
    await logged(page, "greeting");
  }));
