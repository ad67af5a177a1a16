import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../harness.mjs";
import { step } from "./step.mjs";

const here = step("04-broadcasting");

/** Draws with the mouse, in parts of the board. */
async function drag(page, from, to) {
  await page.locator("#board").scrollIntoViewIfNeeded();
  const box = await page.locator("#board").boundingBox();
  await page.mouse.move(box.x + from[0] * box.width, box.y + from[1] * box.height);
  await page.mouse.down();
  await page.mouse.move(box.x + to[0] * box.width, box.y + to[1] * box.height, { steps: 5 });
  await page.mouse.up();
}

/** The colour of the board at a place, as `#rrggbb`, or nothing where nothing is drawn. */
const pixel = (page, x, y) =>
  page.locator("#board").evaluate((canvas, [x, y]) => {
    const [r, g, b, a] = canvas.getContext("2d").getImageData(x * canvas.width, y * canvas.height, 1, 1).data;
    return a ? `#${[r, g, b].map((part) => part.toString(16).padStart(2, "0")).join("")}` : undefined;
  }, [x, y]);

const visitors = (page, count) => until(`${count} visitors`, async () => (await page.locator("#visitors").textContent()) === String(count));

test("a line appears in the other windows, in those that come later, and goes in all", async () => {
  const [ada, grace] = [await here.visit({ upgrade: true }), await here.visit()];
  for (const page of [ada, grace]) await visitors(page, 2);
  await ada.locator("label", { hasText: "Red" }).click();
  await drag(ada, [0.2, 0.5], [0.8, 0.5]);
  await until("the line", async () => (await pixel(grace, 0.7, 0.5)) === "#c2281d");
  assert.equal(await pixel(ada, 0.7, 0.5), "#c2281d", "the one who draws sees it, too");
  await grace.locator(".pen").waitFor();
  assert.equal(await ada.locator(".pen").count(), 0, "the own pen is the pointer");

  const late = await here.visit();
  await until("the drawing", async () => (await pixel(late, 0.7, 0.5)) === "#c2281d");
  await visitors(ada, 3);
  await grace.locator("#clear").click();
  for (const page of [ada, grace, late]) await until("an empty board", async () => (await pixel(page, 0.7, 0.5)) === undefined);

  await ada.goto("about:blank");
  for (const page of [grace, late]) {
    await visitors(page, 2);
    assert.equal(await page.locator(".pen").count(), 0, "the pen leaves with its visitor");
  }
});

test("the arrow keys draw as well", async () => {
  const [ada, grace] = [await here.visit(), await here.visit()];
  await visitors(grace, 2);
  await ada.locator("#board").focus();
  for (let presses = 0; presses < 5; presses++) await ada.keyboard.press("ArrowRight");
  await until("the line", async () => (await pixel(grace, 0.68, 0.5)) === "#221d18");
});

test("the page is accessible on phones and desktops", () =>
  here.audit(async (page) => {
    for (const [colour, x] of [["Blue", 0.3], ["Green", 0.5], ["Red", 0.7]]) {
      await page.locator("label", { hasText: colour }).click();
      await drag(page, [x, 0.2], [x + 0.1, 0.8]);
    }
  }));
