// A WebSocket over HTTP/2 and TLS (RFC 8441): what browsers choose once a server has announced it.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { DEADLINE, built, launch } from "./harness.mjs";

let browser;
let server;
let folder;
let origin;

const freePort = () => new Promise((done) => {
  const probe = createServer().listen(0, "127.0.0.1", () => {
    const { port } = probe.address();
    probe.close(() => done(port));
  });
});

/** Waits until somebody listens. */
async function listening(port) {
  const end = Date.now() + DEADLINE;
  for (;;) {
    const open = await new Promise((done) => {
      const socket = connect(port, "127.0.0.1", () => done(true)).on("error", () => done(false));
      socket.on("connect", () => socket.destroy());
    });
    if (open) return;
    if (Date.now() > end) throw new Error("the server does not listen");
    await new Promise((done) => { setTimeout(done, 20); });
  }
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "fanfare-"));
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  execFileSync("openssl", [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
    "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert,
  ], { stdio: "ignore" });
  const port = await freePort();
  server = spawn(built("examples/bench_server"), {
    env: { ...process.env, PORT: String(port), TLS_CERT: cert, TLS_KEY: key }, stdio: "inherit",
  });
  origin = `https://localhost:${port}`;
  await listening(port);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  server?.kill();
  if (folder) rmSync(folder, { recursive: true });
});

test("a browser opens a WebSocket over HTTP/2 and upgrades a session to it", async () => {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const inspector = await context.newCDPSession(page);
  const answers = [];
  inspector.on("Network.webSocketHandshakeResponseReceived", ({ response }) => answers.push(response.status));
  await inspector.send("Network.enable");
  // From here on the browser has a connection of HTTP/2, and knows what the server takes.
  await page.goto(`${origin}/socket.io/?EIO=4&transport=polling`);
  const protocol = await page.evaluate(() => performance.getEntriesByType("navigation")[0].nextHopProtocol);
  assert.equal(protocol, "h2");
  const heard = await page.evaluate(async () => {
    document.cookie = "one=1";
    document.cookie = "two=2";
    const path = "/socket.io/?EIO=4&transport=";
    const open = async (query, first) => {
      const socket = new WebSocket(`${location.origin.replace("http", "ws")}${path}websocket${query}`);
      const texts = [];
      let wake = () => {};
      socket.onmessage = ({ data }) => { texts.push(data); wake(); };
      socket.onclose = ({ code }) => { texts.push(`closed ${code}`); wake(); };
      const next = async () => {
        while (texts.length === 0) await new Promise((done) => { wake = done; });
        return texts.shift();
      };
      await new Promise((done, fail) => { socket.onopen = done; socket.onerror = () => fail(new Error("no WebSocket")); });
      if (first) socket.send(first);
      return { socket, next };
    };
    const heard = [];
    const direct = await open("");
    heard.push((await direct.next())[0]);
    direct.socket.send("40");
    heard.push((await direct.next()).slice(0, 3));
    direct.socket.send('421["echo","over HTTP/2"]');
    heard.push(await direct.next());

    const session = JSON.parse((await (await fetch(`${path}polling`)).text()).slice(1));
    const own = `${path}polling&sid=${session.sid}`;
    await fetch(own, { method: "POST", body: "40" });
    heard.push((await (await fetch(own)).text()).slice(0, 3));
    const poll = fetch(own).then((answer) => answer.text());
    const upgraded = await open(`&sid=${session.sid}`, "2probe");
    heard.push(await upgraded.next());
    heard.push(await poll);
    upgraded.socket.send("5");
    upgraded.socket.send('422["echo","upgraded"]');
    heard.push(await upgraded.next());
    return heard;
  });
  assert.deepEqual(heard, ["0", "40{", '431["over HTTP/2"]', "40{", "3probe", "6", '432["upgraded"]']);
  // 101 is the answer of HTTP/1.
  assert.deepEqual(answers, [200, 200]);
  await context.close();
});
