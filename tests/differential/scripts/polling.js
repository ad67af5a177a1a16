// E9-E12, E24, S5-S7: a long-polling session.
import { script } from "../harness.js";

script("a session by polling", { rows: "E9 E10 E12 P4" }, async (s) => {
  const session = await s.polling();
  await s.post("connect", session, "40");
  await s.http("connected", session.path);
  await s.post("event", session, '420["echo-ack","é€😀"]');
  await s.http("acknowledgement", session.path);
  await s.post("several packets", session, '421["echo-ack",1]\x1e422["echo-ack",2]\x1e423["echo-ack",3]');
  await s.http("their acknowledgements", session.path);
  await s.post("binary", session, '451-4["echo-ack",{"_placeholder":true,"num":0}]\x1ebAQIDBA==');
  await s.http("binary back", session.path);
  await s.post("other content types", session, '425["echo-ack",5]', { headers: { "content-type": "application/json" } });
  await s.http("acknowledgement", session.path);
  await s.post("no content type", session, '426["echo-ack",6]', { headers: {} });
  await s.http("acknowledgement", session.path);
  await s.post("chunked", session, '427["echo-ack",7]', { chunked: true });
  await s.http("acknowledgement", session.path);
});

script("a request that waits", { rows: "E9" }, async (s) => {
  const session = await s.joined();
  const waiting = s.request(session.path);
  await s.settle();
  await s.post("event", session, '42["echo","here"]');
  s.record("answer", await waiting);
});

script("a request that waits, old browser", { rows: "E9" }, async (s) => {
  const session = await s.joined();
  await s.post("event", session, '42["echo","here"]', { headers: { "user-agent": "Trident/7.0" } });
  await s.http("answer", session.path, { headers: { "user-agent": "Trident/7.0" } });
});

script("two requests wait", { rows: "E9 S7" }, async (s) => {
  const session = await s.joined();
  const first = s.request(session.path);
  await s.settle();
  await s.http("second", session.path);
  await s.observed({ type: "disconnect", id: session.id }, "reason");
  s.record("first", await first);
  await s.http("later", session.path);
});

script("two posts overlap", { rows: "E10 S7" }, async (s) => {
  const session = await s.joined();
  const head = `POST ${session.path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n`;
  // The first announces more than it sends, so that it is still going on. (Node cuts it then.)
  s.raw("first", `${head}Content-Length: 100\r\n\r\n42`, { quiet: true }).catch(() => {});
  await s.settle();
  await s.post("second", session, "3");
  await s.observed({ type: "disconnect", id: session.id }, "reason");
  await s.http("later", session.path);
});

script("a waiting request is given up by the client", { rows: "S7" }, async (s) => {
  const session = await s.joined();
  const waiting = s.request(session.path);
  await s.settle();
  waiting.abort();
  await s.observed({ type: "disconnect", id: session.id }, "reason");
  await s.http("later", session.path);
});

script("a post is given up by the client", { rows: "S7" }, async (s) => {
  const session = await s.joined();
  const request = s.request(session.path, { method: "POST", body: undefined, chunked: true, headers: { "content-length": 100 } });
  await s.settle();
  request.abort();
  await s.observed({ type: "disconnect", id: session.id }, "reason");
});

script("binary content is refused", { rows: "E10" }, async (s) => {
  const session = await s.joined();
  await s.post("post", session, "4x", { headers: { "content-type": "application/octet-stream" } });
  await s.observed({ type: "disconnect", id: session.id }, "reason");
  await s.http("later", session.path);
});

script("a body above the limit", { rows: "E10 E24", options: { maxHttpBufferSize: 1000 } }, async (s) => {
  const session = await s.joined();
  await s.post("at the limit", session, `42["silent","${"x".repeat(1000 - 14)}"]`);
  await s.post("by length", session, "4".repeat(1001));
  await s.post("the session lives on", session, '421["echo-ack","alive"]');
  await s.http("answer", session.path);
});

script("a chunked body above the limit", { rows: "E10 E24", options: { maxHttpBufferSize: 1000 } }, async (s) => {
  const session = await s.joined();
  await s.post("post", session, "4".repeat(5000), { chunked: true });
  await s.post("the session lives on", session, '421["echo-ack","alive"]');
  await s.http("answer", session.path);
});

for (const [name, body] of Object.entries({
  "empty": "",
  "unknown type": "9x",
  "a letter": "x",
  "only a separator": "\x1e",
  "a separator at the end": '421["echo-ack",1]\x1e',
  "a good packet, then garbage": '421["echo-ack",1]\x1ex',
  "open": "0",
  "close": "1",
  "close, then a message": '1\x1e421["echo-ack",1]',
  "ping": "2",
  "pong": "3",
  "pong with data": "3x",
  "upgrade": "5",
  "noop": "6",
  "empty message": "4",
  "base64 of nothing": "b",
  "unexpected binary": "bAQID",
  "bad base64": "b!!!!",
  "v3 payload": '6:42["x"]',
  "not UTF-8": Buffer.from([0x34, 0x32, 0xff, 0xfe]),
})) {
  script(`posted: ${name}`, { rows: "E12 S7 P7" }, async (s) => {
    const session = await s.joined();
    await s.post("post", session, body);
    const after = await s.post("after", session, '42777["echo-ack","alive"]');
    if (after.status === 200) await s.http("alive", session.path);
    else await s.observed({ type: "disconnect", id: session.id }, "reason");
  });
}

script("a session is used with another transport", { rows: "E7" }, async (s) => {
  const session = await s.joined();
  await s.http("get", `/socket.io/?EIO=4&transport=websocket&sid=${session.sid}`);
  await s.http("other protocol", `/socket.io/?EIO=3&transport=polling&sid=${session.sid}`);
  await s.post("alive", session, '421["echo-ack","alive"]');
  await s.http("answer", session.path);
});

script("the client says goodbye", { rows: "S6 S7 P4" }, async (s) => {
  const session = await s.joined();
  const waiting = s.request(session.path);
  await s.settle();
  await s.post("close", session, "1");
  s.record("the waiting request", await waiting);
  await s.observed({ type: "disconnect", id: session.id }, "reason");
  await s.http("later", session.path);
});

script("the client leaves the namespace", { rows: "P2 K10" }, async (s) => {
  const session = await s.joined();
  await s.post("leave", session, "41");
  await s.observed({ type: "disconnect", id: session.id }, "reason");
  await s.post("an event after that", session, '42["echo"]');
  await s.http("later", session.path);
});

script("the server kicks, waiting request", { rows: "S6 K8" }, async (s) => {
  const session = await s.joined();
  const waiting = s.request(session.path);
  await s.settle();
  await s.post("kick", session, '42["kick",false]');
  s.record("answer", await waiting);
  await s.observed({ type: "disconnect", id: session.id }, "reason");
});

script("the server closes, waiting request", { rows: "S6 K8" }, async (s) => {
  const session = await s.joined();
  const waiting = s.request(session.path);
  await s.settle();
  await s.post("kick", session, '42["kick",true]');
  s.record("answer", await waiting);
  await s.observed({ type: "disconnect", id: session.id }, "reason");
  await s.http("next", session.path);
  await s.http("after that", session.path);
});

script("the server closes, no request waits", { rows: "S6 K8" }, async (s) => {
  const session = await s.joined();
  await s.post("kick", session, '42["echo",1]\x1e42["kick",true]');
  await s.observed({ type: "disconnect", id: session.id }, "reason");
  await s.http("next", session.path);
  await s.http("after that", session.path);
});

script("heartbeat by polling", { rows: "S1", options: { pingInterval: 500, pingTimeout: 600 } }, async (s) => {
  const session = await s.joined();
  await s.http("ping", session.path);
  await s.post("pong", session, "3");
  await s.http("next ping", session.path);
  const waiting = s.request(session.path);
  await s.observed({ type: "disconnect", id: session.id }, "reason");
  s.record("the waiting request", await waiting);
});

script("nobody joins", { rows: "P8", options: { connectTimeout: 1000 } }, async (s) => {
  const session = await s.polling();
  await s.http("polling", session.path);
  await s.http("later", session.path);
});

script("large messages come in one body", { rows: "E9 S5" }, async (s) => {
  const session = await s.joined();
  await s.post("ask", session, '42["size",300000]\x1e42["size",5]\x1e42["blob",10]');
  await s.http("answer", session.path);
});

script("server shuts down with a waiting request", { rows: "A11", own: true }, async (s) => {
  const session = await s.joined();
  const waiting = s.request(session.path);
  await s.settle();
  s.fixture.signal("SIGTERM");
  s.record("answer", await waiting);
  await s.observed({ type: "disconnect", id: session.id }, "reason");
  const { code } = await s.fixture.stop("SIGTERM");
  s.note("exit code", code);
});

const compressed = { rows: "E22", needs: ["httpCompression"] };
for (const encoding of ["gzip", "deflate", "br", "gzip;q=0, deflate", "*", "identity", ""]) {
  script(`compressed answers, ${encoding || "none asked for"}`, compressed, async (s) => {
    const session = await s.joined();
    const headers = encoding ? { "accept-encoding": encoding } : {};
    await s.post("ask", session, '42["size",2000]');
    const { status, headers: answer } = await s.request(session.path, { headers });
    s.note("long", `${status} ${answer["content-encoding"]} ${answer["content-type"]}`);
    await s.post("ask", session, '42["size",10]');
    await s.http("short", session.path, { headers });
  });
}
