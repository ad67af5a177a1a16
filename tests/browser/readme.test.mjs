// What the readme shows: its server, as `cargo` built it, and its browser client, as it stands there.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer, connect } from "node:net";
import { resolve } from "node:path";
import { test } from "node:test";
import { built, launch, repository, until, visitor } from "./harness.mjs";

const PORT = 3000; // the readme's
const read = (path) => readFileSync(resolve(repository, path), "utf8");
const block = (language) => read("README.md").match(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "ms"))[1];

const free = (port) =>
  new Promise((done) => {
    const server = createServer().once("error", () => done(false));
    server.listen(port, "127.0.0.1", () => server.close(() => done(true)));
  });
const listens = (port) =>
  new Promise((done) => {
    const socket = connect(port, "127.0.0.1", () => done(socket.destroy() && true)).once("error", () => done(false));
  });

test("the server and the browser client of the readme understand each other", async (t) => {
  assert.ok(read("crates/fanfare/examples/readme.rs").endsWith(block("rust,no_run")), "the example is the readme's server");
  if (!(await free(PORT))) return t.skip(`port ${PORT}, which the readme's server listens on, is in use`);
  const server = spawn(built("examples/readme"), { stdio: "inherit" });
  t.after(() => server.kill());
  await until("the server listens", () => {
    assert.equal(server.exitCode, null, "the server runs");
    return listens(PORT);
  });
  const browser = await launch();
  t.after(() => browser.close());
  const open = async () => {
    const page = await visitor(browser);
    const lines = [];
    page.on("console", (message) => lines.push(message.text()));
    // The same file from npm; tests use no network.
    const body = read("web/node_modules/socket.io-client/dist/socket.io.esm.min.js");
    await page.route("https://cdn.socket.io/**", (route) => route.fulfill({ contentType: "text/javascript", headers: { "access-control-allow-origin": "*" }, body }));
    await page.setContent(block("html"));
    await until("the acknowledgement", () => lines.includes("delivered"));
    return { page, lines };
  };
  const first = await open();
  const second = await open();
  await until("what the other said", () => first.lines.some((line) => /^[\w-]{20} hello$/.test(line)));
  for (const { page } of [first, second]) page.check();
});
