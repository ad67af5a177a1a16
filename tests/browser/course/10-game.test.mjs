import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../harness.mjs";
import { connected, lines, step } from "./step.mjs";

const here = step("10-game");

/** What the page knows of the game. */
const known = (page) =>
  page.evaluate(() => ({ me: game.me, star: game.star, players: Object.fromEntries([...game.players].map(([number, { x, y }]) => [number, { x, y }])) }));

const mine = async (page) => {
  const { me, players } = await known(page);
  return players[me];
};

const scores = (page) => lines(page, "#scores li");

/** Steers to the star by the arrow keys until one is caught. */
async function catchStar(page) {
  const score = async () => Number((await page.locator("#scores .me").textContent()).match(/\d+$/)[0]);
  const before = await score();
  const held = new Set();
  const hold = async (key, on) => {
    if (on === held.has(key)) return;
    held[on ? "add" : "delete"](key);
    await page.keyboard[on ? "down" : "up"](key);
  };
  await until("a star is caught", async () => {
    const { me, star, players } = await known(page);
    const [x, y] = [star[0] - players[me].x, star[1] - players[me].y];
    await hold("ArrowRight", x > 15);
    await hold("ArrowLeft", x < -15);
    await hold("ArrowDown", y > 15);
    await hold("ArrowUp", y < -15);
    return (await score()) > before;
  });
  for (const key of [...held]) await hold(key, false);
}

test("two players see each other move, and one catches a star", async () => {
  const [ada, grace] = [await here.visit(), await here.visit()];
  for (const page of [ada, grace]) await until("both players", async () => Object.keys((await known(page)).players).length === 2);
  const { me } = await known(ada);
  await catchStar(ada);
  await until("the score elsewhere", async () => (await scores(grace)).includes(`Player ${me}: 1`));
  const stop = await mine(ada);
  await until("the same place in both windows", async () => {
    const [here, there] = [await mine(ada), (await known(grace)).players[me]];
    return here.x === there.x && here.y === there.y;
  });
  assert.ok(stop.x !== 500 || stop.y !== 300, "it has moved");
});

test("the pointer steers", async () => {
  const page = await here.visit();
  await until("a place", () => mine(page));
  await page.locator("#arena").scrollIntoViewIfNeeded();
  const box = await page.locator("#arena").boundingBox();
  await page.mouse.move(box.x + 0.9 * box.width, box.y + 0.2 * box.height);
  await page.mouse.down();
  await until("the player is there", async () => {
    const { x, y } = await mine(page);
    return Math.abs(x - 900) < 30 && Math.abs(y - 120) < 30;
  });
  await page.mouse.up();
});

test("a player who was cut off comes back to the same place and score", async () => {
  const [ada, grace] = [await here.visit(), await here.visit()];
  await until("both players", async () => Object.keys((await known(ada)).players).length === 2);
  await catchStar(ada);
  const { me } = await known(ada);
  const score = (await ada.locator("#scores .me").textContent());
  await ada.context().setOffline(true);
  await until("gone", async () => !(me in (await known(grace)).players));
  await ada.context().setOffline(false);
  await connected(ada);
  await until("back", async () => me in (await known(grace)).players);
  assert.equal((await known(ada)).me, me);
  await ada.locator("#scores .me", { hasText: score }).waitFor();
});

test("what no page of ours sends changes nothing", async () => {
  const page = await here.visit();
  await until("a place", () => mine(page));
  const before = await mine(page);
  // Numbers that are too great for the server's, and things that are no numbers.
  await page.evaluate(async (url) => {
    const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
    await new Promise((open) => { socket.onopen = open; });
    socket.send("40");
    await new Promise((joined) => { socket.onmessage = ({ data }) => data.startsWith('42["you"') && joined(); });
    for (const args of ["1e39,0", '"left","up"', "null,null", ""]) socket.send(`42["steer"${args && `,${args}`}]`);
    socket.close();
  }, here.server.url);
  await until("the world goes on", async () => (await page.evaluate(() => performance.now() - game.at)) < 500);
  assert.deepEqual(await mine(page), before);
});

test("the page is accessible on phones and desktops", () =>
  here.audit(async (page) => {
    await until("a place", () => mine(page));
    await catchStar(page);
  }, { controls: false }));
