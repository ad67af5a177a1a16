// The chat: what does not depend on the transport.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bubble, delivered, freshRoom, goTo, here, join, pair, say, widthOf } from "./chat.mjs";
import { connected, png, tabTo, until } from "./harness.mjs";

describe("chat", () => {
  test("who arrives together with the answer to `join` is seen", async () => {
    const [ada, grace] = await pair("polling", freshRoom());
    // Ada's next long-poll is held back until the server has two things to tell in one payload.
    let release;
    const held = new Promise((reached) => {
      const free = new Promise((done) => (release = done));
      void ada.route(/transport=polling/, async (route) => {
        if (route.request().method() === "GET") {
          reached();
          await free;
        }
        await route.continue();
      });
    });
    await say(grace, "This answers the poll that is open");
    await held;
    const room = freshRoom();
    await ada.locator("#new-room-name").fill(room);
    await ada.keyboard.press("Enter");
    await until("Ada has left", async () => (await grace.locator("#people li").count()) === 1);
    await goTo(grace, room);
    await until("Grace sees both", async () => (await grace.locator("#people li").count()) === 2);
    release();
    await ada.locator("#room-name", { hasText: room }).waitFor();
    await until("Ada sees both", async () => (await ada.locator("#people li").count()) === 2);
  });

  test("pictures can be pasted and dropped, other files are refused", async () => {
    const [ada, grace] = await pair("upgrade", freshRoom());
    const base64 = (await png(ada, 64, 64)).toString("base64");
    const offer = (selector, kind, type, name) =>
      ada.evaluate(
        ({ selector, kind, type, name, base64 }) => {
          const data = new DataTransfer();
          data.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name, { type }));
          const init = { bubbles: true, cancelable: true };
          const event = kind === "paste" ? new ClipboardEvent("paste", { ...init, clipboardData: data }) : new DragEvent(kind, { ...init, dataTransfer: data });
          document.querySelector(selector).dispatchEvent(event);
        },
        { selector, kind, type, name, base64 },
      );
    await offer("#text", "paste", "image/png", "pasted.png");
    await ada.locator("#attachment", { hasText: "pasted.png" }).waitFor();
    await ada.locator("#attachment-remove").click();
    await ada.locator("#attachment").waitFor({ state: "hidden" });
    await offer("#log", "dragenter", "image/png", "dropped.png");
    await ada.locator("#drop").waitFor();
    await offer("#log", "drop", "image/png", "dropped.png");
    await ada.locator("#attachment", { hasText: "dropped.png" }).waitFor();
    await ada.locator(".send").click();
    await until("the picture", async () => (await widthOf(grace.locator(".picture img"))) === 64);

    await ada.locator("#file").setInputFiles({ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("hello") });
    await ada.locator("#composer-problem", { hasText: "notes.txt is not a PNG, JPEG, GIF or WebP picture." }).waitFor();
    await ada.locator("#file").setInputFiles({ name: "broken.png", mimeType: "image/png", buffer: Buffer.from("hello") });
    await ada.locator("#composer-problem", { hasText: "broken.png cannot be read" }).waitFor();
  });

  test("the newest message stays in view while pictures load, and one's own picture stands on its side", async () => {
    const room = freshRoom();
    const [ada, grace] = await pair("upgrade", room);
    for (let i = 0; i < 25; i++) await say(ada, `line ${i}`);
    await bubble(grace, "line 24").waitFor();
    const left = (page) => page.locator("#log").evaluate((log) => Math.round(log.scrollHeight - log.scrollTop - log.clientHeight));
    const buffer = await png(ada, 900, 1400);
    await ada.locator("#file").setInputFiles({ name: "tall.png", mimeType: "image/png", buffer });
    await ada.locator("#attachment", { hasText: "tall.png" }).waitFor();
    await ada.locator("#text").press("Enter");
    for (const page of [ada, grace]) {
      await until("the picture", async () => (await widthOf(page.locator(".picture img"))) === 900);
      await until("the end", async () => (await left(page)) <= 2);
    }
    await say(ada, "below the picture");
    await bubble(grace, "below the picture").waitFor();
    await until("the end again", async () => (await left(grace)) <= 2);
    const ends = await ada.evaluate(() => {
      const right = (selector) => document.querySelector(selector).getBoundingClientRect().right;
      return [right(".message.mine .bubble:has(.picture)"), right("#messages")];
    });
    assert.ok(Math.abs(ends[0] - ends[1]) < 2, `the picture ends at ${ends[0]}, the column at ${ends[1]}`);

    // Out of the history, too, where pictures come when they are looked at.
    await grace.reload();
    await grace.locator(`[data-room='${room}']`).click();
    await until("the picture of the history", async () => (await widthOf(grace.locator(".picture img"))) === 900);
    await until("the end of the history", async () => (await left(grace)) <= 2);
  });

  test("what the numbers beside a room count is said", async () => {
    const [first, second] = [freshRoom(), freshRoom()];
    const [ada, grace] = await pair("upgrade", first);
    await goTo(ada, second);
    await say(grace, "Anybody left?");
    const room = ada.locator(`[data-room='${first}']`);
    await room.locator(".badge", { hasText: "1 new" }).waitFor();
    const people = room.locator(".room-people");
    await people.locator("svg").waitFor();
    assert.equal(await people.getAttribute("title"), "1 person here");
  });

  test("nobody is said to be here while the connection is lost", async () => {
    const [ada, grace] = await pair("upgrade", freshRoom());
    await ada.locator("#room-facts", { hasText: "2 people here" }).waitFor();
    await here.server.stop();
    for (const page of [ada, grace]) {
      await page.locator("#room-facts", { hasText: /^Offline$/ }).waitFor();
      await page.locator("#people-title", { hasText: "when the connection was lost" }).waitFor();
      assert.equal(await page.locator(".room-people").first().isVisible(), false);
    }
    await here.server.restart();
    for (const page of [ada, grace]) {
      await page.locator("#room-facts", { hasText: "2 people here" }).waitFor();
      await page.locator("#people-title", { hasText: /^Here now$/ }).waitFor();
    }
  });

  test("a taken name offers no retry, which could not help", async () => {
    await join("Ada", "upgrade");
    const other = await here.visit();
    await other.goto(`${here.server.url}/chat/`);
    await other.locator("#gate input").fill("Ada");
    await other.keyboard.press("Enter");
    await other.locator("#gate-problem", { hasText: /ada/i }).waitFor();
    assert.equal(await other.locator(".connection-retry").isVisible(), false);
    assert.equal(await other.locator("#connection").isVisible(), false);
    await other.locator("#gate input").fill("Ada the third");
    await other.keyboard.press("Enter");
    await connected(other, "websocket");
  });

  test("everything by keyboard alone", async () => {
    const page = await here.visit();
    const keys = page.keyboard;
    await page.goto(`${here.server.url}/chat/`);
    await tabTo(page, "#gate input");
    await keys.type("Keyboard Kate");
    await keys.press("Enter");
    await page.locator("#people li", { hasText: "Keyboard Kate" }).waitFor();
    await tabTo(page, "#text");
    const room = freshRoom();
    await tabTo(page, "#new-room-name", "Shift+Tab");
    await keys.type(room);
    await keys.press("Enter");
    await page.locator("#room-name", { hasText: room }).waitFor();
    await tabTo(page, "#text");
    await keys.type("two");
    await keys.press("Shift+Enter");
    await keys.type("lines");
    await keys.press("Enter");
    await delivered(page, "two");
    assert.equal(await page.locator(".message .text").textContent(), "two\nlines");
    await page.locator("#file").setInputFiles({ name: "a.png", mimeType: "image/png", buffer: await png(page, 80, 80) });
    await page.locator("#attachment").waitFor();
    await tabTo(page, "#text");
    await keys.press("Enter");
    await until("the picture", async () => (await widthOf(page.locator(".picture img"))) === 80);
    await tabTo(page, ".picture", "Shift+Tab");
    await keys.press("Enter");
    await page.locator("#viewer[open]").waitFor();
    await keys.press("Escape");
    await page.locator("#viewer").waitFor({ state: "hidden" });
    await tabTo(page, "[data-room=lobby]", "Shift+Tab");
    await keys.press("Enter");
    await page.locator("#room-name", { hasText: "lobby" }).waitFor();
    await tabTo(page, "#theme", "Shift+Tab");
    await keys.press("Enter");
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "light");
    await keys.press("Enter");
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
    await page.reload();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark", "the choice lasts");
  });

  test("on a phone the rooms are a drawer", async () => {
    const page = await join("Pocket", "upgrade", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
    await page.locator("#side").waitFor({ state: "hidden" });
    await page.locator("#side-open").tap();
    await page.locator("#side").waitFor();
    await page.keyboard.press("Escape");
    await page.locator("#side").waitFor({ state: "hidden" });
    await page.locator("#side-open").tap();
    const room = freshRoom();
    await page.locator("#new-room-name").fill(room);
    await page.locator("#new-room button").tap();
    await page.locator("#side").waitFor({ state: "hidden" });
    await page.locator("#room-name", { hasText: room }).waitFor();
    await page.locator("#text").fill("Sent with a thumb");
    await page.locator(".send").tap();
    await delivered(page, "Sent with a thumb");
  });
});
