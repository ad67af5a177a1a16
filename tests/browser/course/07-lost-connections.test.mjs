import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../harness.mjs";
import { assertShown, connected, lines, logged, step } from "./step.mjs";

const here = step("07-lost-connections");

const numbers = async (page, selector = "") => (await lines(page, `#numbers li${selector}`)).map(Number);
const last = async (page) => (await numbers(page)).at(-1) ?? 0;

test("what was missed arrives later, each number once and in order, under the same id", async () => {
  const [page, other] = [await here.visit(), await here.visit()];
  await until("a number", () => last(page));
  await page.locator("#cut").click();
  await page.locator("#connection:not([data-state=connected])").waitFor();
  const before = await last(page);
  await until("three more numbers elsewhere", async () => (await last(other)) >= before + 3);
  assert.equal(await last(page), before, "nothing arrives while the connection is cut");
  await page.locator("#cut").click();
  await connected(page);
  await until("what was missed, and more", async () => (await last(page)) > (await numbers(page, ".missed")).at(-1));
  assert.ok((await numbers(page, ".missed")).length >= 3);
  const all = await numbers(page);
  assert.deepEqual(all, all.map((_, index) => all[0] + index), "no number is left out, and none is twice");
  const [id] = (await lines(page))[0].split(" ");
  await logged(page, `${id} is back`);
});

test("after a restart the page is new, and has a history", async () => {
  const page = await here.visit();
  await until("a number", () => last(page));
  await here.server.stop();
  await page.locator("#connection:not([data-state=connected])").waitFor();
  await here.server.restart();
  await connected(page);
  await page.waitForFunction(() => document.querySelectorAll("#log li").length >= 3);
  await until("two newcomers", async () => (await lines(page)).filter((line) => line.endsWith("is new")).length === 2);
  await until("numbers of the new server", async () => (await last(page)) >= 2);
  assert.ok((await numbers(page, ".history")).length <= 5);
});

test("the terminal tells of it, as in the chapter", async () => {
  await here.server.stop();
  await here.server.restart();
  const page = await here.visit();
  await until("a number", () => last(page));
  await page.locator("#cut").click();
  await here.printed(/is away/);
  await page.locator("#cut").click();
  await here.printed(/is back/);
  assertShown("07-lost-connections", "is back", here.server.output, [[/^[\w-]{20} /gm, "<id> "]]);
});

test("the page is accessible on phones and desktops", () =>
  here.audit(async (page) => {
    await until("a number", () => last(page));
    const before = await last(page);
    await page.locator("#cut").click();
    const other = await here.visit();
    await until("more numbers", async () => (await last(other)) >= before + 2);
    await page.locator("#cut").click();
    await page.locator("#numbers .missed").first().waitFor();
  }));
