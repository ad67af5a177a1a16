import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { built, repository, until } from "../harness.mjs";
import { assertShown, connected, logged, step } from "./step.mjs";

const here = step("13-deploying", { PROXIES: "127.0.0.1" });
const file = (name) => readFileSync(resolve(repository, "examples/course/13-deploying", name), "utf8");
const has = (program) => spawnSync(program, ["--version"], { stdio: "ignore" }).error === undefined;
const served = (page) => page.locator("#process").textContent().then(Number);

test("a server that is replaced: it empties itself, and its page goes on with the next", async () => {
  const page = await here.visit();
  await until("a process", () => served(page));
  const first = await served(page);
  assert.equal(await (await fetch(`${here.server.url}/health`)).text(), "ready\n");
  const { code } = await here.server.stop("SIGTERM");
  assert.equal(code, 0, "it ends without an error");
  const printed = here.server.output;
  assert.match(printed, /left: 1 connections closed/);
  await here.server.restart();
  await connected(page);
  await until("another process", async () => ![0, first].includes(await served(page)));
  assertShown("13-deploying", "leaving:", printed, [
    [/^\d{4}-\S+Z/gm, "<time>"], [/id=[\w-]{20}/g, "id=<id>"], [/reason="[^"]+"/g, "reason=<reason>"],
  ]);
});

test("the configuration of nginx passes on WebSockets, and the visitor's address", async (t) => {
  if (!has("nginx")) return t.skip("nginx is missing (Debian: `apt-get install nginx-light`)");
  const folder = mkdtempSync(join(tmpdir(), "course-nginx-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const port = await new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
  const site = file("nginx.conf").replace("listen 80", `listen 127.0.0.1:${port}`).replace("http://127.0.0.1:3000", here.server.url);
  writeFileSync(join(folder, "nginx.conf"), `daemon off; pid ${folder}/pid; error_log stderr; events {} http { access_log off;
    ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`).join(" ")}
    ${site} }`);
  const nginx = spawn("nginx", ["-p", folder, "-c", join(folder, "nginx.conf")], { stdio: ["ignore", "inherit", "inherit"] });
  t.after(async () => {
    nginx.kill();
    await new Promise((done) => (nginx.exitCode === null ? nginx.once("exit", done) : done()));
  });
  const url = `http://127.0.0.1:${port}`;
  await until("nginx answers", async () => (await fetch(`${url}/health`)).ok);
  const page = await here.visit();
  await page.setExtraHTTPHeaders({ "X-Forwarded-For": "203.0.113.7" });
  await page.goto(url);
  await connected(page);
  await page.locator("#transport", { hasText: "websocket" }).waitFor();
  await here.printed(/connected .*address=Some\(203\.0\.113\.7\)/);
});

test("the unit of systemd is valid", (t) => {
  if (!has("systemd-analyze")) return t.skip("systemd-analyze is missing (Debian: `apt-get install systemd`)");
  const folder = mkdtempSync(join(tmpdir(), "course-unit-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const unit = join(folder, "course.service");
  writeFileSync(unit, file("course.service").replace("/usr/local/bin/13-deploying", built("13-deploying")));
  const { status, stderr } = spawnSync("systemd-analyze", ["verify", unit], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  assert.doesNotMatch(stderr, /course\.service/, "no warnings");
});

test("settings that make no sense are refused at the start", () => {
  for (const [name, value] of [["PORT", "many"], ["PROXIES", "here"], ["DRAIN", "-1"]]) {
    const { status, stderr } = spawnSync(built("13-deploying"), [], { env: { ...process.env, PORT: "0", [name]: value }, encoding: "utf8", timeout: 20_000 });
    assert.equal(status, 1, `${name}=${value}: ${stderr}`);
    assert.match(stderr, /Error: /);
  }
});

test("the page is accessible on phones and desktops", () =>
  here.audit((page) => logged(page, "served by process"), { controls: false }));
