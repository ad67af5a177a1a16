import assert from "node:assert/strict";
import { test } from "node:test";
import { step } from "./step.mjs";

const here = step("12-testing");
const state = (page, text) => page.locator("#state", { hasText: text }).waitFor();

test("the first press wins, in all windows", async () => {
  const [ada, grace] = [await here.visit(), await here.visit()];
  await ada.locator("#start").click();
  for (const page of [ada, grace]) await state(page, "Round 1: 10 seconds!");
  assert.equal(await grace.locator("#start").isDisabled(), true);
  await grace.locator("#press").click();
  await state(grace, "You are first!");
  await state(ada, "Another player is first.");
  assert.equal(await ada.locator("#press").isDisabled(), true);
});

test("the page is accessible on phones and desktops", () =>
  here.audit(async (page) => {
    await page.locator("#start").click();
    await page.locator("#press:not(:disabled)").waitFor();
    await page.locator("#press").click();
    await state(page, "You are first!");
  }));
