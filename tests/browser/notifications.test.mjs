// Notifications to everyone, a topic and one user, from the page and from a shell.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { connected, enter, leave, stage, tabTo, until } from "./harness.mjs";

const run = promisify(execFile);

const here = stage();

async function join(name, transport, options) {
  const page = await here.visit(options);
  await page.goto(`${here.server.url}/notifications/${transport ? `?transport=${transport}` : ""}`);
  await enter(page, name);
  await connected(page, transport ?? "websocket");
  await page.locator(".chip").first().waitFor();
  return page;
}

async function follow(page, topic) {
  const followers = (text) => Number(text.match(/\((\d+)/)[1]);
  const option = page.locator(`#topic option[value=${topic}]`);
  const before = followers(await option.textContent());
  await page.locator(".chip", { hasText: topic }).click();
  await until(`one more follower of ${topic}`, async () => followers(await option.textContent()) > before);
}

const notify = async (body) => {
  const answer = await fetch(`${here.server.url}/api/notify`, { method: "POST", body: JSON.stringify(body) });
  return answer.json();
};
const curl = async (...args) => JSON.parse((await run("curl", ["--silent", ...args, `${here.server.url}/api/notify`])).stdout);
const item = (page, title) => page.locator(".item", { hasText: title });
const toast = (page, title) => page.locator(".toast", { hasText: title });

/** Fills the sender in and returns what it says. */
async function send(page, title, target, whom) {
  await page.locator(`.segments input[value=${target}]`).check();
  if (whom) {
    await until(`${whom} can be chosen`, async () => (await page.locator(`#${target} option`).evaluateAll((options) => options.map((option) => option.value))).includes(whom));
    await page.locator(`#${target}`).selectOption(whom);
  }
  await page.locator("#title").fill(title);
  await page.locator("#send").click();
  await until("a receipt", async () => /Received|Nobody/.test(await page.locator("#receipt").textContent()));
  return page.locator("#receipt").textContent();
}

for (const transport of ["polling", "websocket"]) {
  describe(`notifications by ${transport}`, () => {
    test("to everyone, a topic, one user, each with its count", async () => {
      const [ada, grace] = [await join("Ada", transport), await join("Grace", transport)];
      await follow(grace, "incidents");

      assert.equal(await send(ada, "For all", "all"), "Received by 2 of 2 connections.");
      for (const page of [ada, grace]) {
        await item(page, "For all").waitFor();
        await toast(page, "For all").waitFor();
      }
      assert.equal(await send(ada, "Node down", "topic", "incidents"), "Received by 1 of 1 connection.");
      await item(grace, "Node down").waitFor();
      assert.equal(await send(ada, "Only you", "user", "Grace"), "Received by 1 of 1 connection.");
      await item(grace, "Only you").waitFor();
      assert.equal(await send(grace, "To myself and the other tab", "user", "Ada"), "Received by 1 of 1 connection.");
      await item(ada, "To myself").waitFor();
      assert.equal(await item(ada, "Node down").count(), 0);
      assert.equal(await item(ada, "Only you").count(), 0);
      assert.equal(await item(grace, "To myself").count(), 0);
      assert.equal(await send(ada, "Nobody follows", "topic", "deploys"), "Nobody is connected there: stored for later.");
    });

    test("one user in two browsers gets it twice, and finds it later", async () => {
      const [one, two] = [await join("Ada", transport), await join("Ada", transport)];
      const title = `Twice by ${transport}`;
      const receipt = await notify({ title, to: { user: "Ada" } });
      assert.deepEqual({ ...receipt, id: undefined }, { id: undefined, recipients: 2, delivered: 2 });
      for (const page of [one, two]) await item(page, title).waitFor();
      await leave(here.server, two);
      const later = `Later by ${transport}`;
      await until("the second is gone", async () => (await notify({ title: "Still there?", to: { user: "Ada" } })).recipients === 1);
      await one.reload();
      await item(one, title).waitFor();
      await notify({ title: later, to: { user: "Nobody here" } });
      const nobody = await join("Nobody here", transport);
      await item(nobody, later).waitFor();
      assert.equal(await item(nobody, title).count(), 0);
      assert.equal(await toast(nobody, later).count(), 0, "the stored ones are not news");
    });

    test("toasts, unread badge, title of the page", async () => {
      const name = `Reader ${transport}`;
      const ada = await join(name, transport);
      await ada.locator("#read-all").click({ timeout: 500 }).catch(() => {}); // what other tests left
      await until("nothing unread", () => ada.locator("#badge").isHidden());
      for (const title of ["First", "Second"]) await notify({ title, body: "<b>x</b>", level: "warning", to: { user: name } });
      await until("the badge", async () => (await ada.locator("#badge").textContent()) === "2 unread");
      assert.match(await ada.title(), /^\(2\) /);
      assert.equal(await ada.locator(".item b, .toast b").count(), 0, "text is text");
      await toast(ada, "Second").getByRole("button").click();
      await until("one less", async () => (await ada.locator("#badge").textContent()) === "1 unread");
      assert.equal(await toast(ada, "Second").count(), 0);
      await item(ada, "First").getByRole("button", { name: "Mark read: First" }).click();
      await until("none", () => ada.locator("#badge").isHidden());
      assert.match(await ada.title(), /^Notifications/);
      await item(ada, "First").getByRole("button", { name: "Mark unread: First" }).click();
      await until("one again", async () => (await ada.locator("#badge").textContent()) === "1 unread");
      await ada.reload();
      await until("still one", async () => (await ada.locator("#badge").textContent()) === "1 unread");
    });

    test("the server ends and comes back: topics are followed again", async () => {
      const ada = await join("Ada", transport);
      await follow(ada, "incidents");
      await here.server.stop("SIGKILL");
      await ada.locator("#connection:not([data-state=connected])").waitFor();
      await here.server.restart();
      await connected(ada, transport);
      const title = `Back by ${transport}`;
      await until("subscribed again", async () => (await notify({ title, to: { topic: "incidents" } })).delivered === 1);
      await item(ada, title).first().waitFor();
    });
  });
}

describe("the HTTP API", () => {
  test("curl -d with a title, a topic, a user", async () => {
    const ada = await join("Ada");
    const all = await curl("-d", '{"title":"From a shell"}');
    assert.equal(all.recipients, 1);
    assert.equal(all.delivered, 1);
    await item(ada, "From a shell").waitFor();
    await toast(ada, "From a shell").waitFor();
    const user = await curl("-d", '{"title":"Dear Ada","body":"Hello","level":"success","to":{"user":"Ada"}}');
    assert.equal(user.delivered, 1);
    await item(ada, "Dear Ada").waitFor();
    const topic = await curl("-d", '{"title":"Nobody","to":{"topic":"deploys"}}');
    assert.deepEqual([topic.recipients, topic.delivered], [0, 0]);
  });

  test("the page shows the command for what is filled in, and it works", async () => {
    const ada = await join("Ada");
    await ada.locator("#title").fill("It's here");
    await ada.locator("#level").selectOption("critical");
    await ada.locator(".segments input[value=user]").check();
    const command = await ada.locator("#command").textContent();
    const { stdout } = await run("sh", ["-c", command.replace("curl", "curl --silent")]);
    assert.equal(JSON.parse(stdout).delivered, 1);
    await item(ada, "It's here").and(ada.locator("[data-level=critical]")).waitFor();
  });

  test("mistakes are answered with a status and a sentence", async () => {
    for (const [body, status] of [
      ["{", 400],
      ["{}", 400],
      ['{"title":""}', 400],
      ['{"title":"x","level":"loud"}', 400],
      ['{"title":"x","to":{"planet":"Mars"}}', 400],
      [JSON.stringify({ title: "x".repeat(5000) }), 400],
      [JSON.stringify({ title: "x", body: "x".repeat(200_000) }), 413],
    ]) {
      const answer = await fetch(`${here.server.url}/api/notify`, { method: "POST", body });
      assert.equal(answer.status, status, body.slice(0, 60));
      const { error } = await answer.json();
      assert.ok(error.code && error.message.length > 10, JSON.stringify(error));
    }
    assert.equal((await fetch(`${here.server.url}/api/notify`)).status, 405);
    const foreign = await fetch(`${here.server.url}/api/notify`, {
      method: "POST",
      body: '{"title":"x"}',
      headers: { origin: "https://elsewhere.example" },
    });
    assert.equal(foreign.status, 403, "another site's page may not notify");
    assert.equal((await fetch(`${here.server.url}/api/status`)).status, 200);
  });
});

describe("notifications", () => {
  test("everything by keyboard alone", async () => {
    const page = await here.visit();
    const keys = page.keyboard;
    await page.goto(`${here.server.url}/notifications/`);
    await tabTo(page, "#gate input");
    await keys.type("Kate");
    await keys.press("Enter");
    await page.locator(".chip").first().waitFor();
    await tabTo(page, ".chip input[value=deploys]");
    await keys.press("Space");
    await until("a follower", async () => /\(1 follower\)/.test(await page.locator("#topic option[value=deploys]").textContent()));
    await tabTo(page, ".segments input:checked");
    await keys.press("ArrowRight");
    await tabTo(page, "#topic");
    await keys.type("deploys");
    await tabTo(page, "#title");
    await keys.type("No mouse needed");
    await keys.press("Enter");
    await page.locator("#receipt", { hasText: "Received by 1 of 1 connection." }).waitFor();
    await item(page, "No mouse needed").waitFor();
    await tabTo(page, "[aria-label='Mark read: No mouse needed']", "Shift+Tab");
    await keys.press("Enter");
    await page.locator("[aria-label='Mark unread: No mouse needed']:focus").waitFor();
    await tabTo(page, ".chip input[value=deploys]", "Shift+Tab");
    await keys.press("Space");
    await until("no follower", async () => /\(0 followers\)/.test(await page.locator("#topic option[value=deploys]").textContent()));
  });

  test("only what was received is told in the colour of success", async () => {
    const ada = await join("Ada");
    const colour = (of) => ada.evaluate((of) => {
      const element = document.body.appendChild(document.createElement("i"));
      element.style.color = of;
      const { color } = getComputedStyle(element);
      element.remove();
      return color;
    }, of);
    const shown = () => ada.locator("#receipt").evaluate((receipt) => getComputedStyle(receipt).color);
    await ada.locator("#title").fill("Nobody follows this");
    await ada.locator("#level").selectOption("critical");
    await ada.locator(".segments input[value=topic]").check();
    await ada.locator("#send").click();
    await ada.locator("#receipt", { hasText: "stored for later" }).waitFor();
    assert.equal(await shown(), await colour("var(--warn)"));
    await ada.locator("#title").fill("Everybody gets this");
    await ada.locator(".segments input[value=all]").check();
    await ada.locator("#send").click();
    await ada.locator("#receipt", { hasText: "Received by 1 of 1" }).waitFor();
    assert.equal(await shown(), await colour("var(--good)"));
  });

  test("nobody is said to follow a topic while the connection is lost", async () => {
    const ada = await join("Ada");
    await ada.locator(".chip input[value=deploys]").check({ force: true });
    const option = ada.locator("#topic option[value=deploys]");
    await until("a follower", async () => (await option.textContent()) === "deploys (1 follower)");
    await here.server.stop();
    await until("offline", async () => (await option.textContent()) === "deploys (offline)");
    await here.server.restart();
    await until("a follower again", async () => (await option.textContent()) === "deploys (1 follower)");
  });

  test("on a phone the badge keeps clear of the connection", async () => {
    for (const width of [320, 360, 390, 430]) {
      const page = await here.visit({ viewport: { width, height: 800 }, isMobile: true, hasTouch: true });
      await page.goto(`${here.server.url}/notifications/`);
      await enter(page, `Pocket ${width}`);
      await connected(page, "websocket");
      for (let n = 0; n < 11; n++) await curl("-d", JSON.stringify({ title: `Number ${n}`, to: { user: `Pocket ${width}` } }));
      await page.locator("#badge", { hasText: /\d\d/ }).waitFor();
      const [badge, connection] = await page.evaluate(() => ["#badge", "#connection"].map((selector) => document.querySelector(selector).getBoundingClientRect()));
      const gap = Math.max(connection.left - badge.right, badge.top - connection.bottom);
      assert.ok(gap >= 2, `${gap} px between them at ${width} px`);
      assert.ok(badge.right <= width, `the badge ends at ${badge.right} of ${width} px`);
      await page.context().close();
    }
  });

  test("an empty title is refused on the spot", async () => {
    const ada = await join("Ada");
    await ada.locator("#send").click();
    await ada.locator("#title-problem", { hasText: "Please write a title." }).waitFor();
    await ada.locator("#title:focus").waitFor();
  });
});
