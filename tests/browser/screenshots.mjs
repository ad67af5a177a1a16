// Takes the pictures of the README: `npm run screenshots [folder]`. Pages at the size of a phone and of a desktop, in the
// light and the dark theme.
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { connected, enter, launch, png, Server, until, visitor } from "./harness.mjs";

const folder = resolve(process.argv[2] ?? join(import.meta.dirname, "output"));
mkdirSync(folder, { recursive: true });

const SIZES = {
  phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
  desktop: { viewport: { width: 1280, height: 800 } },
};

// One visitor each, so that nobody finds the notifications of the one before.
const NAMES = { "phone-light": "Ada", "phone-dark": "Mary", "desktop-light": "Joan", "desktop-dark": "Ida" };

const server = await Server.start();
const browser = await launch();
const shot = (page, name) => page.screenshot({ path: join(folder, `${name}.png`) });

const say = async (page, text) => {
  await page.locator("#text").fill(text);
  await page.keyboard.press("Enter");
  await page.locator(".message.mine[data-state=delivered]", { hasText: text }).waitFor();
};

try {
  // Others, so that the pages are not empty.
  const others = {};
  for (const name of ["Grace", "Linus Pauling"]) {
    others[name] = await visitor(browser);
    await others[name].goto(`${server.url}/chat/`);
    await enter(others[name], name);
    await connected(others[name], "websocket");
  }
  const { Grace: grace, "Linus Pauling": linus } = others;
  await say(grace, "Morning! The new build is on the test machine.");
  await say(grace, "Reconnects in under a second now.");
  await say(linus, "Nice. Polling behind the old proxy too?");
  await say(grace, "Yes, it falls back and upgrades when it can: https://socket.io/docs/v4/how-it-works/");

  for (const [size, options] of Object.entries(SIZES)) {
    for (const colorScheme of ["light", "dark"]) {
      const name = `${size}-${colorScheme}`;
      const page = await visitor(browser, { ...options, colorScheme });

      await page.goto(`${server.url}/`);
      await connected(page, "websocket");
      await until("status", async () => (await page.locator("#uptime").textContent()) !== "–");
      await page.screenshot({ path: join(folder, `index-${name}.png`) });

      await page.goto(`${server.url}/chat/`);
      await page.locator("#gate input").waitFor();
      await shot(page, `gate-${name}`);
      await enter(page, NAMES[name]);
      await connected(page, "websocket");
      if (name === "phone-light") {
        await page.locator("#file").setInputFiles({ name: "sunrise.png", mimeType: "image/png", buffer: await png(page, 900, 560) });
        await page.locator("#attachment").waitFor();
        await page.locator("#text").fill("From the roof, ten minutes ago");
        await shot(page, `attachment-${name}`);
        await page.keyboard.press("Enter");
        await page.locator(".message.mine[data-state=delivered]").waitFor();
        await say(grace, "Beautiful!");
      }
      await until("the picture", () => page.locator(".picture img").evaluate((image) => image.complete && image.naturalWidth > 0));
      await page.locator("#log").evaluate((log) => (log.scrollTop = log.scrollHeight));
      await linus.locator("#text").fill("I will have a look after lunch");
      await linus.locator("#text").pressSequentially(".");
      await page.locator("#typing", { hasText: "Linus Pauling is typing" }).waitFor();
      await shot(page, `chat-${name}`);
      await linus.locator("#text").fill("");
      await page.locator("#typing", { hasText: /^$/ }).waitFor({ state: "attached" });
      if (size === "phone") {
        await page.locator("#side-open").click();
        await until("the drawer", () => page.locator("#side").evaluate((side) => side.getAnimations().length === 0 && side.getBoundingClientRect().left === 0));
        await shot(page, `rooms-${name}`);
      }

      await page.goto(`${server.url}/notifications/`);
      await connected(page, "websocket");
      await page.locator(".chip", { hasText: "incidents" }).click();
      if (name === "phone-light") {
        for (const body of [
          { title: "Lunch is ready", body: "Soup today." },
          { title: "Version 0.1 is deployed", level: "success", body: "All three nodes, 4 seconds." },
          { title: "Disk of node 2 is 90 % full", level: "warning", to: { topic: "incidents" } },
        ]) {
          await fetch(`${server.url}/api/notify`, { method: "POST", body: JSON.stringify(body) });
        }
      }
      await page.locator(".item").first().waitFor();
      if (size === "desktop") await page.locator("#read-all").click();
      else await page.locator(".item .link").last().click();
      await fetch(`${server.url}/api/notify`, {
        method: "POST",
        body: JSON.stringify({ title: "Checkout is slow", level: "critical", body: "p99 above 2 s for five minutes.", to: { user: NAMES[name] } }),
      });
      await until("the toast", () => page.locator(".toast").last().evaluate((toast) => toast.getAnimations().length === 0));
      if (size === "desktop") await page.locator("#title").fill("Deploying 0.2 at 15:00");
      await shot(page, `notifications-${name}`);
      if (size === "phone") {
        await page.locator(".views button", { hasText: "Send" }).click();
        await until("no toast", async () => (await page.locator(".toast").count()) === 0);
        await shot(page, `send-${name}`);
      }
      page.check();
      await page.context().close();
    }
  }
} finally {
  await browser.close();
  await server.stop();
}
