import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";
import { repository, until } from "../harness.mjs";
import { lines, step } from "./step.mjs";

const here = step("11-typescript");

async function add(page, text) {
  await page.locator("#text").fill(text);
  await page.keyboard.press("Enter");
}

test("the list is the same in all windows", async () => {
  const [ada, grace] = [await here.visit(), await here.visit()];
  await add(ada, "Water the plants");
  await ada.locator("#result", { hasText: "Added as number 1." }).waitFor();
  await add(grace, "Feed <b>the cat</b>");
  await grace.locator("#result", { hasText: "Added as number 2." }).waitFor();
  await until("both entries", async () => (await lines(ada, "#list li")).join() === "Water the plants,Feed <b>the cat</b>");
  await ada.locator("#list input").first().check();
  await ada.locator("#result", { hasText: "1 to do." }).waitFor();
  await until("done elsewhere", () => grace.locator("#list input").first().isChecked());
  await add(ada, "  ");
  await ada.locator("#result", { hasText: "Sorry: an entry has 1 to 100 characters." }).waitFor();
  const late = await here.visit();
  await until("the list", async () => (await lines(late, "#list li")).length === 2);
});

/** Lets the compiler of TypeScript read the page's program, after a change. */
function check(change = (text) => text) {
  // As deep in the repository as the step is, so that the relative paths of its settings hold.
  const folder = resolve(repository, "target/course-check");
  mkdirSync(folder, { recursive: true });
  const copy = mkdtempSync(resolve(folder, "step-"));
  try {
    cpSync(resolve(repository, "examples/course/11-typescript"), copy, { recursive: true });
    cpSync(resolve(repository, "examples/course/src"), resolve(folder, "src"), { recursive: true });
    const page = resolve(copy, "list.js");
    const before = readFileSync(page, "utf8");
    const after = change(before);
    writeFileSync(page, after);
    const tsc = resolve(repository, "web/node_modules/typescript/bin/tsc");
    const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", copy], { encoding: "utf8" });
    return { status, stdout, changed: after !== before };
  } finally {
    rmSync(copy, { recursive: true });
  }
}

test("the page is checked against the contract", () => {
  const { status, stdout } = check();
  assert.equal(status, 0, stdout);
});

for (const [what, from, to, complaint] of [
  ["an event that does not exist", '"add"', '"ad"', /"ad"/],
  ["an argument of another type", "{ text: text.value }", "{ text: 1 }", /number.*not assignable.*string/],
  ["an answer that may be an error", 'typeof answer === "object"', "answer.error", /error/],
]) {
  test(`the compiler finds ${what}`, () => {
    const { status, stdout, changed } = check((text) => text.replace(from, to));
    assert.ok(changed);
    assert.notEqual(status, 0);
    assert.match(stdout, complaint);
  });
}

test("the page is accessible on phones and desktops", () =>
  here.audit(async (page) => {
    for (const text of ["Buy bread", "Call the harbour about the ferry"]) await add(page, text);
    await page.locator("#list li", { hasText: "Call the harbour" }).last().waitFor();
    await page.locator("#list input:not(:checked)").first().click();
    await page.locator("#result", { hasText: "to do" }).waitFor();
  }));
