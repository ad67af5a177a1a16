import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { promisify } from "node:util";
import { built, repository, until } from "../harness.mjs";
import { assertShown, shown, step } from "./step.mjs";

const here = step("08-notifications");
const run = promisify(execFile);
const item = (page, text) => page.locator("#list li", { hasText: text }).first();

/** Runs the command of a block of the chapter against this server, and checks what it prints. */
async function asShown(marker) {
  const block = shown("08-notifications").find((text) => text.includes(marker));
  const command = block.split("\n")[0].slice(2)
    .replace("http://127.0.0.1:3000", here.server.url)
    .replace(/^fanfare /, `${built("fanfare")} `)
    .replace(/^curl /, "curl --silent ");
  const { stdout } = await run("sh", ["-c", command], { cwd: repository, env: { ...process.env, URL: here.server.url } });
  assertShown("08-notifications", marker, stdout);
}

test("the commands of the chapter: curl, fanfare, Python", async () => {
  const page = await here.visit();
  await asShown("Dinner is ready");
  await item(page, "Dinner is ready").waitFor();
  await asShown("notify.py");
  await item(page, "From Python").and(page.locator(".warning")).waitFor();
  await asShown("loud");
  // The command line counts itself: it is connected while it asks.
  await page.goto("about:blank");
  await asShown("The backup is done");
});

test("a client in Python listens", async (t) => {
  const python = resolve(process.env.CARGO_TARGET_DIR ?? resolve(repository, "target"), "python-interop/bin/python");
  if (!existsSync(python)) return t.skip(`${python} is not there: \`cargo xtask test python\` installs Python's socketio`);
  const page = await here.visit();
  const program = spawn(python, ["examples/course/08-notifications/listen.py"], {
    cwd: repository, env: { ...process.env, URL: here.server.url }, stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => program.kill("SIGKILL"));
  const printed = [];
  createInterface({ input: program.stdout }).on("line", (line) => printed.push(line));
  await until("its own notification", () => printed.includes("sent to 2") && printed.includes("info: Python listens"));
  await item(page, "Python listens").waitFor();
  await run("curl", ["--silent", "-d", '{"title":"Rain","level":"warning"}', `${here.server.url}/notify`]);
  await until("the warning", () => printed.includes("warning: Rain"));
});

test("mistakes are answered with a status and a sentence", async () => {
  for (const body of ["", "{}", '{"title":" "}', JSON.stringify({ title: "x".repeat(501) })]) {
    const answer = await fetch(`${here.server.url}/notify`, { method: "POST", body });
    assert.equal(answer.status, 400, body.slice(0, 30));
    assert.match(await answer.text(), /notification/);
  }
  assert.equal((await fetch(`${here.server.url}/notify`)).status, 405);
});

test("the page is accessible on phones and desktops", () =>
  here.audit(async (page) => {
    for (const body of [{ title: "Dinner is ready" }, { title: "The disk is nearly full", text: "91 % are used", level: "warning" }]) {
      await fetch(`${here.server.url}/notify`, { method: "POST", body: JSON.stringify(body) });
      await item(page, body.title).waitFor();
    }
  }));

test("the list can be cleared", async () => {
  const page = await here.visit();
  await fetch(`${here.server.url}/notify`, { method: "POST", body: '{"title":"Old news"}' });
  await item(page, "Old news").waitFor();
  await page.locator("#clear").click();
  assert.equal(await page.locator("#list li").count(), 0);
});
