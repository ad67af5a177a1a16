// nginx, HAProxy and Caddy with the files in deploy/, in front of two servers, with TLS.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import http2 from "node:http2";
import { join } from "node:path";
import { test } from "node:test";
import { io } from "socket.io-client";

import { configured, demo, fanfare, freePort, installed, listening, run, start, workspace } from "./programs.js";

/** How each proxy is configured and started: the file, the values replaced in it, the command. */
const proxies = {
  nginx: {
    version: ["-v"],
    file: "nginx/fanfare.conf",
    values: ({ port, redirect, one, two, key, certificate }) => [
      ["listen 443 ssl", `listen 127.0.0.1:${port} ssl`],
      ["    listen [::]:443 ssl http2;\n", ""],
      ["listen 80;", `listen 127.0.0.1:${redirect};`],
      ["    listen [::]:80;\n", ""],
      ["127.0.0.1:3000", `127.0.0.1:${one}`],
      ["127.0.0.1:3001", `127.0.0.1:${two}`],
      ["/etc/letsencrypt/live/chat.example.org/fullchain.pem", certificate],
      ["/etc/letsencrypt/live/chat.example.org/privkey.pem", key],
      ["chat.example.org", "localhost"],
    ],
    command: ({ folder, file }) => {
      // What the system's nginx.conf has around conf.d.
      const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`);
      // As another user it could not write into the folder of the test.
      const user = process.getuid() === 0 ? "user root;" : "";
      const main = `${user} daemon off; error_log stderr; pid ${folder}/pid; worker_processes 1; events {}\nhttp { access_log off; ${temporary.join(" ")}\ninclude ${file};\n}\n`;
      writeFileSync(join(folder, "nginx.conf"), main);
      return ["nginx", ["-c", join(folder, "nginx.conf")]];
    },
  },
  haproxy: {
    version: ["-v"],
    file: "haproxy/haproxy.cfg",
    values: ({ port, one, two, both }) => [
      ["bind :443", `bind 127.0.0.1:${port}`],
      ["/etc/haproxy/certs/chat.example.org.pem", both],
      ["127.0.0.1:3000", `127.0.0.1:${one}`],
      ["127.0.0.1:3001", `127.0.0.1:${two}`],
      ["maxconn 100000", "maxconn 200"],
    ],
    command: ({ file }) => ["haproxy", ["-db", "-f", file]],
  },
  caddy: {
    version: ["version"],
    file: "caddy/Caddyfile",
    values: ({ port, one, two, key, certificate }) => [
      ["chat.example.org {", `{\n\tadmin off\n\tauto_https disable_redirects\n}\nhttps://localhost:${port}, https://127.0.0.1:${port} {\n\ttls ${certificate} ${key}`],
      ["127.0.0.1:3000", `127.0.0.1:${one}`],
      ["127.0.0.1:3001", `127.0.0.1:${two}`],
    ],
    command: ({ file, folder }) => ["caddy", ["run", "--adapter", "caddyfile", "--config", file], { env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder } }],
  },
};

/** Connects the official client, and asks the server for its status. */
async function asks(url, ca, transports) {
  const socket = io(url, { transports, ca, reconnection: false, forceNew: true, timeout: 10_000 });
  try {
    const [outcome] = await Promise.race([
      once(socket, "connect").then(() => ["connected"]),
      once(socket, "connect_error"),
    ]);
    assert.equal(outcome, "connected", String(outcome));
    if (transports.length > 1) {
      if (socket.io.engine.transport.name !== "websocket") {
        await Promise.race([once(socket.io.engine, "upgrade"), once(socket.io.engine, "upgradeError").then(([error]) => { throw error; })]);
      }
      assert.equal(socket.io.engine.transport.name, "websocket");
    }
    const status = await socket.timeout(5000).emitWithAck("status");
    assert.equal(typeof status.uptime, "number");
  } finally {
    socket.disconnect();
  }
}

for (const [name, proxy] of Object.entries(proxies)) {
  test(name, { skip: installed(name, ...proxy.version) ? false : `${name} is not installed`, timeout: 120_000 }, async (context) => {
    const files = workspace(context);
    const [one, two, port, redirect] = [await demo(context), await demo(context), await freePort(), await freePort()];
    const file = join(files.folder, "configuration");
    writeFileSync(file, configured(proxy.file, proxy.values({ ...files, one, two, port, redirect })));
    const program = start(context, ...proxy.command({ ...files, file }));
    await listening(port, program);
    const url = `https://localhost:${port}`;
    const ca = readFileSync(files.certificate, "utf8");

    for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
      await context.test(transports.join(", then "), () => asks(url, ca, transports));
    }

    await context.test("HTTP/2", async () => {
      const session = http2.connect(url, { ca });
      try {
        const request = session.request({ ":path": "/socket.io/?EIO=4&transport=polling" });
        const [headers] = await once(request, "response");
        assert.equal(session.alpnProtocol, "h2");
        assert.equal(headers[":status"], 200);
        const body = (await request.toArray()).join("");
        assert.match(body, /^0\{"sid":/);
      } finally {
        session.close();
      }
    });

    if (name === "nginx") {
      await context.test("plain HTTP is redirected", async () => {
        const answer = await fetch(`http://127.0.0.1:${redirect}/a?b=c`, { redirect: "manual", headers: { host: "localhost" } });
        assert.equal(answer.status, 308);
        assert.match(answer.headers.get("location"), /^https:\/\/.+\/a\?b=c$/);
      });
    }

    await context.test("the doctor finds nothing", async () => {
      const { status, output } = await run(fanfare, ["doctor", url, "--ca", files.certificate]);
      assert.equal(status, 0, output);
      for (const check of ["polling", "websocket", "upgrade", "affinity", "payload", "idle"]) {
        assert.match(output, new RegExp(`^ok +${check} `, "m"), output);
      }
    });
  });
}

test("a wrong file is noticed", { skip: installed("nginx", "-v") ? false : "nginx is not installed", timeout: 60_000 }, async (context) => {
  const files = workspace(context);
  const [one, port, redirect] = [await demo(context), await freePort(), await freePort()];
  const file = join(files.folder, "configuration");
  const text = configured(proxies.nginx.file, proxies.nginx.values({ ...files, one, two: one, port, redirect }));
  writeFileSync(file, text.replace(/.*set_header Upgrade.*\n/, ""));
  const program = start(context, ...proxies.nginx.command({ ...files, file }));
  await listening(port, program);
  const { status, output } = await run(fanfare, ["doctor", `https://localhost:${port}`, "--quick", "--ca", files.certificate]);
  assert.equal(status, 1, output);
  assert.match(output, /PROBLEM websocket/);
});
