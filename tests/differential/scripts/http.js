// E1, E4, E16-E23, E25, E29: what an operator decides about requests, and the form of answers.
import { createHash } from "node:crypto";
import http from "node:http";
import { brotliDecompressSync, gunzipSync, inflateSync } from "node:zlib";
import { script } from "../harness.js";

const PATH = "/socket.io/";
const OK = `${PATH}?EIO=4&transport=polling`;
const WS = `${PATH}?EIO=4&transport=websocket`;
const upgrade = (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\nOrigin: http://a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;

const hooks = { needs: ["hooks"], options: { hooks: true } };

script("allowRequest refuses", { ...hooks, rows: "E16 E21", own: true }, async (s) => {
  await s.http("polling", `${OK}&deny=not%20today`);
  await s.http("without a message", `${OK}&deny=`);
  await s.raw("websocket", upgrade(`${WS}&deny=not%20%22today%22`));
  await s.observed({ type: "connection_error", code: 4 }, "code", "message", "name");
  const { sid } = await s.polling();
  await s.http("not asked again", `${OK}&sid=${sid}&deny=x`, { method: "POST", body: "40" });
});

script("ids of the application", { ...hooks, rows: "E4 E7 E21", own: true }, async (s) => {
  const answer = await s.http("polling", `${OK}&id=node-7.a`);
  s.note("sid", JSON.parse(answer.body.slice(1)).sid);
  await s.http("post", `${OK}&sid=node-7.a`, { method: "POST", body: "40" });
  await s.http("failed", `${OK}&id=fail`);
  await s.observed({ type: "connection_error", code: 3 }, "code", "message", "name");
});

script("header hooks", { ...hooks, rows: "E20" }, async (s) => {
  const { sid } = JSON.parse((await s.http("first", OK)).body.slice(1));
  await s.http("post", `${OK}&sid=${sid}`, { method: "POST", body: "40" });
  await s.http("get", `${OK}&sid=${sid}`);
  await s.http("refused", `${PATH}?EIO=4&transport=x`);
  await s.raw("websocket", upgrade(WS), { until: /\}$/ });
  await s.raw("upgrade", upgrade(`${WS}&sid=${sid}`), { until: /\r\n\r\n/ });
});

script("namespaces that come into being", { ...hooks, rows: "A2 A3", own: true }, async (s) => {
  const ws = await s.joinedWs();
  ws.send("40/dynamic-7,");
  await ws.next();
  await s.observed({ type: "new_namespace", nsp: "/dynamic-7" }, "nsp");
});

script("events of a connection", { needs: ["hooks"], options: { hooks: true, pingInterval: 100 }, rows: "S8", own: true }, async (s) => {
  const { sid } = await s.polling();
  const ws = await s.ws("ws", `${WS}&sid=${sid}`);
  ws.send("2probe");
  await ws.next();
  ws.send("5");
  await s.observed({ type: "conn", event: "upgrade" }, "event");
  while ((await ws.take()) !== "2");
  ws.send("3");
  await s.observed({ type: "conn", event: "heartbeat" }, "event");
  ws.terminate();
  await s.observed({ type: "conn", event: "close" }, "event", "reason");
});

script("a first message", { rows: "E25", needs: ["hooks"], options: { initialPacket: "2[\"first\"]" } }, async (s) => {
  await s.http("polling", OK);
  const ws = await s.ws("ws");
  await ws.next();
  await ws.next();
});

script("no slash behind the path", { rows: "E1", needs: ["hooks"], options: { path: "/here/", addTrailingSlash: false } }, async (s) => {
  await s.http("without", "/here?EIO=4&transport=polling");
  await s.http("with", "/here/?EIO=4&transport=polling");
  await s.http("another", "/her?EIO=4&transport=polling");
  await s.raw("websocket", upgrade("/here?EIO=4&transport=websocket"), { until: /\}$/ });
});

const cors = { rows: "E17", needs: ["cors"] };
script("cors, preflight goes on", { ...cors, options: { cors: { origin: "http://a.example", preflightContinue: true } } }, (s) => s.http("preflight", OK, {
  method: "OPTIONS", headers: { origin: "http://a.example", "access-control-request-method": "POST" },
}));

script("cors, on a WebSocket", { ...cors, options: { cors: { origin: ["http://a.example"], credentials: true } } }, async (s) => {
  await s.raw("accepted", upgrade(WS), { until: /\}$/ });
  await s.raw("refused", upgrade(`${WS}&sid=unknown`));
});

script("cors, on refusals of a session", { ...cors, options: { cors: { origin: true }, maxHttpBufferSize: 100 } }, async (s) => {
  const headers = { origin: "http://a.example", "content-type": "text/plain;charset=UTF-8" };
  const session = await s.joined();
  await s.http("too long", session.path, { method: "POST", body: "x".repeat(101), headers });
  await s.http("unknown", `${OK}&sid=unknown`, { headers });
  await s.http("binary", session.path, { method: "POST", body: "x", headers: { ...headers, "content-type": "application/octet-stream" } });
});

/** A request whose body is kept as bytes. */
function bytes(s, path, headers) {
  return new Promise((resolve, reject) => {
    http.get({ port: s.fixture.port, host: "127.0.0.1", path, headers, agent: false }, (message) => {
      const parts = [];
      message.on("data", (part) => parts.push(part)).on("error", reject)
        .on("end", () => resolve({ status: message.statusCode, headers: message.headers, body: Buffer.concat(parts) }));
    }).on("error", reject);
  });
}

const DECODE = { gzip: gunzipSync, deflate: inflateSync, br: brotliDecompressSync };
const decode = ({ headers, body }) => (DECODE[headers["content-encoding"]] ?? ((plain) => plain))(body);

script("compressed answers, decoded", { rows: "E22", needs: ["httpCompression"] }, async (s) => {
  const session = await s.joined();
  for (const [how, encoding] of [[{}, "gzip"], [{}, "deflate"], [{ compress: false }, "gzip"], [{ compress: true }, "gzip, deflate"]]) {
    await s.post("ask", session, `42["emit",${JSON.stringify({ via: "self", ...how })},"long",["${"x".repeat(2000)}"]]`);
    const answer = await bytes(s, session.path, { "accept-encoding": encoding });
    s.note(encoding, `${answer.headers["content-encoding"]} ${decode(answer).length}`);
    s.note(encoding, answer.body.length < 500 ? "short" : "long");
  }
  await s.post("ask", session, `42["emit",{"compress":false},"long",["${"x".repeat(2000)}"]]`);
  const answer = await bytes(s, session.path, { "accept-encoding": "gzip" });
  s.note("broadcast", `${answer.headers["content-encoding"]} ${decode(answer).length}`);
});

script("compression switched off, or from another length on", { rows: "E22", needs: ["httpCompression"], options: { httpCompression: { threshold: 100 } } }, async (s) => {
  const session = await s.joined();
  for (const n of [50, 300]) {
    await s.post("ask", session, `42["size",${n}]`);
    const answer = await bytes(s, session.path, { "accept-encoding": "gzip" });
    s.note(`${n}`, `${answer.headers["content-encoding"]} ${decode(answer).length}`);
  }
});

script("no compression", { rows: "E22", needs: ["httpCompression"], options: { httpCompression: false } }, async (s) => {
  const session = await s.joined();
  await s.post("ask", session, '42["size",2000]');
  await s.http("long", session.path, { headers: { "accept-encoding": "gzip" } });
});

const files = { rows: "E29", needs: ["serveClient"], options: { serveClient: true, cors: { origin: ["http://a.example"] } } };
script("the client's files", files, async (s) => {
  for (const [name, headers] of [
    ["socket.io.js", {}], ["socket.io.min.js", { "accept-encoding": "gzip" }], ["socket.io.esm.min.js", { "accept-encoding": "deflate" }],
    ["socket.io.msgpack.min.js", { "accept-encoding": "br" }], ["socket.io.min.js.map", { origin: "http://a.example" }],
    ["socket.io.js?x=1", { "if-none-match": '"0.0.1"' }],
  ]) {
    const answer = await bytes(s, `${PATH}${name}`, headers);
    const { "content-length": _, "transfer-encoding": __, ...shown } = answer.headers;
    s.record(name, { status: answer.status, headers: shown, body: createHash("sha256").update(decode(answer)).digest("hex") });
    const known = await s.request(`${PATH}${name}`, { headers: { ...headers, "if-none-match": `W/${answer.headers.etag}` } });
    s.note(`${name} known`, `${known.status} ${known.body.length}`);
  }
  await s.http("preflight", `${PATH}socket.io.js`, { method: "OPTIONS", headers: { origin: "http://a.example", "access-control-request-method": "GET" } });
  await s.http("another file", `${PATH}package.json`);
});

script("two requests on one connection", { rows: "E9 E30" }, async (s) => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const ports = new Set();
  for (let i = 0; i < 3; i += 1) {
    const status = await new Promise((resolve, reject) => {
      http.get({ port: s.fixture.port, host: "127.0.0.1", path: OK, agent }, (message) => {
        ports.add(message.socket.localPort);
        message.resume().on("end", () => resolve(message.statusCode));
      }).on("error", reject);
    });
    s.note("get", status);
  }
  s.note("connections", ports.size);
  agent.destroy();
});
