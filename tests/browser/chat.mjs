// The chat's visitors, and what they do on long-polling only, on WebSocket only, and on polling that upgrades.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { connected, enter, leave, png, stage, until } from "./harness.mjs";

export const here = stage();

/** A visitor in the chat. */
export async function join(name, transport, options) {
  const page = await here.visit(options);
  await page.goto(`${here.server.url}/chat/${transport === "upgrade" ? "" : `?transport=${transport}`}`);
  await enter(page, name);
  await connected(page, transport === "upgrade" ? "websocket" : transport);
  await page.locator("#people li", { hasText: name }).waitFor({ state: "attached" }); // a phone hides the list
  return page;
}

export async function goTo(page, room) {
  await page.locator("#new-room-name").fill(room);
  await page.keyboard.press("Enter");
  await page.locator("#room-name", { hasText: room }).waitFor();
}

/** Both in a room of their own, so that tests do not see each other's messages. */
export async function pair(transport, room) {
  const [ada, grace] = await Promise.all([join("Ada", transport), join("Grace", transport)]);
  for (const page of [ada, grace]) await goTo(page, room);
  for (const page of [ada, grace]) await until("both here", async () => (await page.locator("#people li").count()) === 2);
  return [ada, grace];
}

export async function say(page, text) {
  await page.locator("#text").fill(text);
  await page.keyboard.press("Enter");
}

export const bubble = (page, text) => page.locator(".message", { hasText: text });
export const delivered = (page, text) =>
  page.locator(".message.mine[data-state=delivered]", { hasText: text }).locator("[aria-label=Delivered]").waitFor();
export const widthOf = (image) => image.evaluate((element) => (element.complete ? element.naturalWidth : 0));

let rooms = 0;
export const freshRoom = () => `room ${++rooms}`;

/** What has to work on every transport. */
export function chat(transport) {
  describe(`chat by ${transport}`, () => {
    test("messages go both ways, in order, with a delivery tick", async () => {
      const [ada, grace] = await pair(transport, freshRoom());
      await say(ada, "Hello Grace");
      await bubble(grace, "Hello Grace").waitFor();
      await delivered(ada, "Hello Grace");
      await say(grace, "Grüße, 你好 👋🏽");
      await bubble(ada, "Grüße, 你好 👋🏽").waitFor();
      await delivered(grace, "Grüße");
      for (let i = 0; i < 20; i++) await say(ada, `number ${i};`);
      await bubble(grace, "number 19;").waitFor();
      const texts = await grace.locator(".message .text").allTextContents();
      const expected = ["Hello Grace", "Grüße, 你好 👋🏽", ...Array.from({ length: 20 }, (_, i) => `number ${i};`)];
      assert.deepEqual(texts, expected);
      await delivered(ada, "number 19;");
      assert.equal(await ada.locator(".message:not([data-state=delivered])").count(), 0);
    });

    test("text is text, never markup", async () => {
      const [ada, grace] = await pair(transport, freshRoom());
      await say(ada, "<img src=x onerror=alert(1)> & <b>bold</b>");
      await bubble(grace, "<img src=x onerror=alert(1)> & <b>bold</b>").waitFor();
      assert.equal(await grace.locator(".message b, .message img").count(), 0);
    });

    test("typing shows while the other writes, and goes", async () => {
      const [ada, grace] = await pair(transport, freshRoom());
      const typing = ada.locator("#typing");
      // Volatile: it may be dropped while the transport is busy, so the typist goes on typing.
      await until("typing", async () => {
        await grace.locator("#text").fill("");
        await grace.locator("#text").pressSequentially("Hm");
        return (await typing.textContent()) === "Grace is typing…";
      });
      await say(grace, "Done");
      await bubble(ada, "Done").waitFor();
      await until("no typing", async () => (await typing.textContent()) === "");
    });

    test("pictures arrive as they were sent, and stand in the history", async () => {
      const [ada, grace] = await pair(transport, freshRoom());
      const buffer = await png(ada, 320, 200);
      await ada.locator("#file").setInputFiles({ name: "view.png", mimeType: "image/png", buffer });
      await ada.locator("#attachment", { hasText: "view.png" }).waitFor();
      await say(ada, "Look");
      await delivered(ada, "Look");
      const image = grace.locator(".picture img[alt='view.png, picture from Ada']");
      await until("the picture", async () => (await widthOf(image)) === 320);
      const received = await image.evaluate(async (element) => [...new Uint8Array(await (await fetch(element.src)).arrayBuffer())]).catch(() => null);
      if (received) assert.ok(Buffer.from(received).equals(buffer), "the same bytes");

      const room = await ada.locator("#room-name").textContent();
      const linus = await join("Linus", transport);
      await linus.locator(".room", { hasText: room }).click();
      await until("the picture of the history", async () => (await widthOf(linus.locator(".picture img"))) === 320);
      // Opened large, and closed with Escape.
      await linus.locator(".picture").click();
      await linus.locator("#viewer[open]").waitFor();
      await linus.keyboard.press("Escape");
      await linus.locator("#viewer").waitFor({ state: "hidden" });
    });

    test("a picture above the limit is made smaller", async () => {
      const [ada, grace] = await pair(transport, freshRoom());
      const buffer = await png(ada, 1200, 900, true);
      assert.ok(buffer.length > 1_000_000);
      await ada.locator("#file").setInputFiles({ name: "noise.png", mimeType: "image/png", buffer });
      await ada.locator("#attachment", { hasText: "noise.png" }).waitFor();
      await ada.locator("#text").press("Enter");
      await ada.locator(".message.mine[data-state=delivered]").waitFor();
      await until("the picture", async () => (await widthOf(grace.locator(".picture img"))) > 0);
    });

    test("rooms: create, switch, history, unread, presence", async () => {
      const [first, second] = [freshRoom(), freshRoom()];
      const [ada, grace] = await pair(transport, first);
      await say(ada, "In the first room");
      await delivered(ada, "In the first room");
      await goTo(ada, second);
      await until("Grace alone", async () => (await grace.locator("#people li").count()) === 1);
      await ada.locator("#empty").waitFor();
      await say(grace, "Anybody left?");
      // Ada sees that the other room has news …
      await ada.locator(".room", { hasText: first }).locator(".badge", { hasText: "1" }).waitFor();
      assert.equal(await bubble(ada, "Anybody left?").count(), 0);
      // … and finds the whole history there.
      await ada.locator(".room", { hasText: first }).click();
      await bubble(ada, "Anybody left?").waitFor();
      assert.deepEqual(await ada.locator(".message .text").allTextContents(), ["In the first room", "Anybody left?"]);
      await until("two again", async () => (await grace.locator("#people li").count()) === 2);
      // Somebody new reads it as well.
      const linus = await join("Linus", transport);
      await linus.locator(".room", { hasText: first }).click();
      await bubble(linus, "In the first room").waitFor();
      await grace.locator("#people li", { hasText: "Linus" }).waitFor();
      await leave(here.server, linus);
      await grace.locator("#people li", { hasText: "Linus" }).waitFor({ state: "detached" });
    });

    test("a name that somebody has is refused with a reason", async () => {
      await join("Ada", transport);
      const other = await here.visit();
      await other.goto(`${here.server.url}/chat/${transport === "upgrade" ? "" : `?transport=${transport}`}`);
      await other.locator("#gate input").fill("ada");
      await other.keyboard.press("Enter");
      await other.locator("#gate-problem", { hasText: /ada/i }).waitFor();
      await other.locator("#gate input").fill("Ada the second");
      await other.keyboard.press("Enter");
      await other.locator("#people li", { hasText: "Ada the second" }).waitFor();
    });

    test("a reload keeps name and history", async () => {
      const [ada] = await pair(transport, freshRoom());
      await goTo(ada, "lobby");
      const text = `Before the reload, ${transport}`;
      await say(ada, text);
      await delivered(ada, text);
      // A page that goes between two long-polls is only missed at the next heartbeat.
      if (transport === "polling") await until("a poll waits", () => ada.polls() === 1);
      await ada.reload();
      await bubble(ada, text).waitFor();
      assert.equal(await ada.locator("#me").textContent(), "Ada");
      await ada.locator(".message.mine", { hasText: text }).waitFor();
    });

    for (const signal of ["SIGKILL", "SIGTERM"]) {
      test(`the server ends by ${signal} and comes back: the page reconnects and sends what waited`, async () => {
        const [ada, grace] = await pair(transport, freshRoom());
        await say(ada, "Before");
        await bubble(grace, "Before").waitFor();
        const end = await here.server.stop(signal);
        if (signal === "SIGTERM") assert.deepEqual(end, { code: 0, signal: null }, "a clean end");
        for (const page of [ada, grace]) {
          await page.locator("#connection[data-state=waiting], #connection[data-state=reconnecting]").waitFor();
          await page.locator(".connection-text", { hasText: /retry in \d+ s/ }).waitFor();
        }
        await say(ada, "Written while it was away");
        await ada.locator(".message.mine[data-state=sending]", { hasText: "Written while" }).waitFor();
        await here.server.restart();
        await ada.locator(".connection-retry").click({ timeout: 3000 }).catch(() => {}); // or it came by itself
        for (const page of [ada, grace]) await connected(page, transport === "upgrade" ? "websocket" : transport);
        for (const page of [ada, grace]) {
          await until("both here", async () => (await page.locator("#people li").count()) === 2);
        }
        await delivered(ada, "Written while");
        await bubble(grace, "Written while").waitFor();
        assert.equal(await bubble(grace, "Written while").count(), 1, "sent once");
        assert.equal(await bubble(ada, "Written while").count(), 1, "shown once");
        await bubble(ada, "Before").waitFor(); // what was on the page stays
        await say(grace, "And after");
        await bubble(ada, "And after").waitFor();
        await delivered(grace, "And after");
      });
    }
  });
}
