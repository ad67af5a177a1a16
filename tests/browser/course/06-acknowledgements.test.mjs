import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../harness.mjs";
import { step } from "./step.mjs";

const here = step("06-acknowledgements");

const seat = (page, number) => page.locator("#seats button", { hasText: new RegExp(`^${number}$`) });
const result = (page, text) => page.locator("#result", { hasText: text }).waitFor();

test("a seat is booked once, and free again when its owner leaves", async () => {
  const [ada, grace] = [await here.visit({ upgrade: true }), await here.visit()];
  await seat(ada, 7).click();
  await result(ada, /^Seat 7 is yours: ticket 0259\.$/);
  await grace.locator("#seats button.taken").waitFor();
  assert.equal(await seat(grace, 7).getAttribute("aria-label"), "Seat 7, taken");
  await seat(grace, 7).click();
  await result(grace, "Sorry: seat 7 is taken.");
  const late = await here.visit();
  await late.locator("#seats button.taken", { hasText: "7" }).waitFor();
  await ada.goto("about:blank");
  for (const page of [grace, late]) await until("it is free", async () => (await page.locator(".taken").count()) === 0);
  await seat(grace, 7).click();
  await result(grace, "Seat 7 is yours");
});

test("of two who want the same seat at once, one gets it", async () => {
  const pages = [await here.visit(), await here.visit()];
  await Promise.all(pages.map((page) => seat(page, 12).click()));
  await until("two answers", async () => (await Promise.all(pages.map((page) => page.locator("#result").textContent()))).every((text) => /yours|taken/.test(text)));
  const texts = await Promise.all(pages.map((page) => page.locator("#result").textContent()));
  assert.equal(texts.filter((text) => text.includes("yours")).length, 1, texts.join(" "));
});

test("a question is answered by all, or by those who answer in time", async () => {
  const [ada, grace, mary] = [await here.visit(), await here.visit(), await here.visit()];
  await ada.locator("#ask").click();
  await grace.locator("#question", { hasText: "Shall we begin?" }).waitFor();
  await grace.locator("#yes").click();
  await mary.locator("#no").click();
  await ada.locator("#answers", { hasText: "1 yes, 1 no, 0 without an answer." }).waitFor();
  assert.equal(await ada.locator("#question").isVisible(), false, "the one who asks is not asked");
  await ada.locator("#ask").click();
  await grace.locator("#yes").click();
  await ada.locator("#answers", { hasText: "1 yes, 0 no, 1 without an answer." }).waitFor();
});

test("the page is accessible on phones and desktops", () =>
  here.audit(async (page) => {
    await until("a free seat", async () => {
      await page.locator("#seats button:not(.taken)").first().click();
      return page.locator("#seats .mine").isVisible();
    });
    const other = await here.visit();
    await other.locator("#text").fill("Is the third row near enough to hear the actors?");
    await other.locator("#ask").click();
    await page.locator("#question").waitFor();
  }));
