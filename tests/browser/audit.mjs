// What every page must be: accessible, with named controls, without overflow, usable with a finger.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { until } from "./harness.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
export const SMALL = { viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true };
export const DESKTOP = { viewport: { width: 1280, height: 800 } };

const CONTROLS = new Set(["button", "link", "textbox", "combobox", "checkbox", "radio", "searchbox", "switch", "tab", "menuitem", "dialog"]);

/** Checks a page. Those without a button, a link or a field say so with `controls: false`. */
export async function audit(page, what, { controls: expected = true } = {}) {
  await page.evaluate(axe);
  // Fading and sliding elements have no stable colours.
  await until("animations to end", () => page.evaluate(() => document.getAnimations().every((animation) => animation.effect?.getTiming().iterations === Infinity || animation.playState === "finished")));
  const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
  const found = violations.flatMap(({ id, help, nodes }) => nodes.map(({ html, failureSummary }) => `${id} (${help}): ${html}\n    ${failureSummary}`));
  assert.deepEqual(found, [], `${what} is accessible`);
  // Every control has a name, as the browser tells it to assistive technology.
  const tree = await page.context().newCDPSession(page);
  const { nodes } = await tree.send("Accessibility.getFullAXTree");
  await tree.detach();
  const controls = nodes.filter((node) => !node.ignored && CONTROLS.has(node.role?.value));
  assert.equal(controls.length > 0, expected, `${what} has controls`);
  assert.deepEqual(controls.filter((node) => !node.name?.value?.trim()), [], `${what}: controls without a name`);
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(content <= window, `${what} is ${content} px wide in a window of ${window} px`);
  assert.deepEqual(await page.evaluate(faults), [], `${what}: what is cut off, or too small for a finger`);
}

/** Runs in the page: controls that are cut off at the right, and, where fingers point, those of less than 44 px. */
function faults() {
  const coarse = matchMedia("(pointer: coarse)").matches;
  const found = [];
  for (const control of document.querySelectorAll("a, button, input, select, textarea")) {
    if (!control.checkVisibility({ visibilityProperty: true })) continue;
    const box = (control.matches("label :scope, label input") ? control.closest("label") : control).getBoundingClientRect();
    const frame = control.closest("#side, form, main, header")?.getBoundingClientRect();
    const name = control.outerHTML.slice(0, 90);
    if (frame && box.right > frame.right + 1) found.push(`ends ${Math.round(box.right - frame.right)} px too far right: ${name}`);
    // A link within a sentence has the height of its line (WCAG 2.2, 2.5.8).
    const inline = getComputedStyle(control).display === "inline";
    if (coarse && !inline && (box.width < 43.5 || box.height < 43.5)) found.push(`${Math.round(box.width)} × ${Math.round(box.height)} px: ${name}`);
  }
  return found;
}
