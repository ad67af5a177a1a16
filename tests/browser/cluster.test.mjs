// The cluster page, with three nodes that are killed, drained and started while numbers are counted.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { describe, test } from "node:test";
import { connected, demo, enter, stage, until } from "./harness.mjs";

const here = stage((port) => {
  const [program, args, environment] = demo(port);
  return [program, [...args, "--nodes", "3"], environment];
});

const number = async (page, id) => Number(await page.locator(`#${id}`).textContent());
const node = (page, n) => page.locator(".node").nth(n - 1);
const phase = (page, n, expected) => node(page, n).locator(".phase", { hasText: expected }).waitFor();
const act = (page, n, name) => node(page, n).getByRole("button", { name }).click();

/** Waits until this many more numbers are acknowledged, and all connections have them. */
async function counted(page, more) {
  const goal = (await number(page, "acknowledged")) + more;
  await until(`${goal} numbers everywhere`, async () => {
    const received = await page.locator("#connections tr").evaluateAll((rows) => rows.map((row) => Number(row.cells[3].textContent)));
    return received.length > 0 && received.every((count) => count >= goal);
  });
}

async function nothingIsMissing(page) {
  assert.equal(await number(page, "lost"), 0, "lost");
  assert.equal(await number(page, "duplicates"), 0, "twice");
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

for (const [size, options] of Object.entries({ phone: { viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true }, desktop: {} })) {
  for (const colorScheme of ["light", "dark"]) {
    test(`accessible and without overflow: ${size}, ${colorScheme}`, async () => {
      // axe is evaluated in the page, which the pages' content security policy rightly forbids.
      const page = await here.visit({ ...options, colorScheme, bypassCSP: true });
      await page.goto(`${here.server.url}/cluster/`);
      await connected(page, "websocket");
      await phase(page, 3, "ready");
      await counted(page, 3);
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
      assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), []);
      const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      assert.ok(content <= window, `${content} px wide in a window of ${window} px`);
    });
  }
}

for (const transport of ["polling", undefined]) {
  describe(`a cluster, by ${transport ?? "upgrade"}`, () => {
    test("nothing is lost when nodes are killed, drained and started", async () => {
      const page = await here.visit();
      await page.goto(`${here.server.url}/cluster/${transport ? `?transport=${transport}` : ""}`);
      await connected(page, transport ?? "websocket");
      for (const n of [1, 2, 3]) await phase(page, n, "ready");
      await counted(page, 5);

      await act(page, 2, "Kill");
      await phase(page, 2, "stopped");
      await counted(page, 10);
      await nothingIsMissing(page);

      await act(page, 3, "Drain");
      await phase(page, 3, "drained");
      await counted(page, 10);
      await nothingIsMissing(page);
      // All are at the only node, which cannot be ended.
      assert.ok(await node(page, 1).getByRole("button", { name: "Kill" }).isDisabled());
      const nodes = await page.locator("#connections tr").evaluateAll((rows) => rows.map((row) => row.cells[1].textContent));
      assert.deepEqual(new Set(nodes), new Set(["1"]));

      await act(page, 2, "Start");
      await act(page, 3, "Start");
      await phase(page, 2, "ready");
      await phase(page, 3, "ready");
      // The clients of node 1 go to nodes that have just started, and know what was sent before.
      await act(page, 1, "Kill");
      await phase(page, 1, "stopped");
      await counted(page, 10);
      await nothingIsMissing(page);
      assert.ok((await number(page, "reconnections")) >= (transport ? 3 : 6));
      await act(page, 1, "Start");
      await phase(page, 1, "ready");
    });
  });
}

test("chat and notifications are those of all nodes", async () => {
  const pages = [];
  for (const name of ["Ada", "Grace", "Mary", "Joan"]) {
    const page = await here.visit();
    await page.goto(`${here.server.url}/chat/`);
    await enter(page, name);
    await connected(page, "websocket");
    pages.push(page);
  }
  const [ada, ...others] = pages;
  await ada.locator("#text").fill("To every node");
  await ada.keyboard.press("Enter");
  for (const page of others) await page.locator(".message", { hasText: "To every node" }).waitFor();
  for (const page of pages) {
    await until("four people", async () => (await page.locator("#people li").count()) === 4);
  }
  for (const page of pages) await page.goto(`${here.server.url}/notifications/`);
  for (const page of pages) await connected(page, "websocket");
  const body = JSON.stringify({ title: "For all nodes" });
  const answer = await fetch(`${here.server.url}/api/notify`, { method: "POST", body });
  const { recipients, delivered } = await answer.json();
  assert.deepEqual([recipients, delivered], [4, 4]);
  for (const page of pages) await page.locator(".item", { hasText: "For all nodes" }).waitFor();
});
