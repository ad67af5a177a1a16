// E1-E8, E11: requests without a session, and how they are refused.
import { script } from "../harness.js";

const PATH = "/socket.io/";
const OK = `${PATH}?EIO=4&transport=polling`;

script("polling handshake", { rows: "E2 E3 E4 E9" }, async (s) => {
  await s.http("plain", OK);
  await s.http("cache buster", `${OK}&t=abc123`);
  await s.http("b64", `${OK}&b64=1`);
  await s.http("repeated parameters", `${OK}&EIO=4&x=1&x=2`);
  await s.http("encoded", `${PATH}?EIO=%34&transport=p%6Flling`);
  await s.http("old browser", OK, { headers: { "user-agent": "Mozilla/5.0 (compatible; MSIE 10.0; Trident/6.0)" } });
  await s.http("origin without cors", OK, { headers: { origin: "http://example.com" } });
});

script("handshake shows the options", { rows: "E3 E24", options: { pingInterval: 1234, pingTimeout: 567, maxHttpBufferSize: 8901 } }, async (s) => {
  await s.http("polling", OK);
  const ws = await s.ws("ws");
  await ws.next();
});

script("handshake without upgrades", { rows: "E3", options: { allowUpgrades: false } }, (s) => s.http("polling", OK));

script("path", { rows: "E1" }, async (s) => {
  for (const path of ["/socket.io", "/socket.io/", "/socket.io/any/where", "/socket.iox/", "/SOCKET.IO/", "/engine.io/", "/", "//socket.io/", "/socket.io/%00"]) {
    await s.http(path, `${path}?EIO=4&transport=polling`);
  }
});

script("another path", { rows: "E1", options: { path: "/my/path/" } }, async (s) => {
  for (const path of ["/my/path", "/my/path/", "/socket.io/"]) await s.http(path, `${path}?EIO=4&transport=polling`);
});

script("refused handshakes", { rows: "E2 E5 E6 E7" }, async (s) => {
  const queries = [
    "", "EIO=4", "transport=polling", "EIO=3&transport=polling", "EIO=5&transport=polling", "EIO=&transport=polling",
    "EIO=04&transport=polling", "EIO=4&transport=", "EIO=4&transport=tin-can", "EIO=4&transport=websocket",
    "EIO=4&transport=webtransport", "EIO=4&transport=__proto__", "EIO=4&transport=constructor",
    "EIO=4&transport=polling&sid=unknown", "EIO=4&transport=polling&sid=__proto__",
    "EIO=4&transport=websocket&sid=unknown", "EIO=3&transport=polling&sid=unknown",
    "EIO=4&transport=POLLING", "eio=4&transport=polling", "EIO=4&EIO=3&transport=polling", "EIO=4&transport=%ff",
  ];
  for (const query of queries) await s.http(query || "no query", `${PATH}?${query}`);
  await s.http("no question mark", PATH);
});

script("methods", { rows: "E6 E11" }, async (s) => {
  for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"]) {
    await s.http(`${method} without sid`, OK, { method });
    await s.http(`${method} unknown sid`, `${OK}&sid=unknown`, { method });
  }
  for (const method of ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"]) {
    const session = await s.polling();
    await s.http(`${method} with sid`, session.path, { method });
  }
});

script("a server without polling", { rows: "E15", options: { transports: ["websocket"] } }, async (s) => {
  await s.http("polling", OK);
  const ws = await s.ws("ws");
  await ws.next();
});

script("a server without WebSocket", { rows: "E15", options: { transports: ["polling"] } }, async (s) => {
  await s.http("polling", OK);
  await s.ws("ws");
});

script("websocket handshake", { rows: "E3 E13" }, async (s) => {
  const ws = await s.ws("ws");
  await ws.next();
  const offer = await s.ws("with an offer of deflate", undefined, { perMessageDeflate: true });
  await offer.next();
  const protocols = await s.ws("with sub-protocols", undefined, { protocols: ["one", "two"] });
  await protocols.next();
  const origin = await s.ws("with an origin", undefined, { headers: { origin: "http://elsewhere.example" } });
  await origin.next();
});

const upgrade = (path, headers = {}, method = "GET") => {
  const all = {
    Host: "localhost", Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", ...headers,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${value}`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
};
const WS = `${PATH}?EIO=4&transport=websocket`;

script("refused upgrades", { rows: "E8" }, async (s) => {
  const queries = [
    "", "EIO=4", "EIO=3&transport=websocket", "EIO=4&transport=tin-can", "EIO=4&transport=websocket&sid=unknown",
    "EIO=4&transport=__proto__",
  ];
  for (const query of queries) await s.raw(query || "no query", upgrade(`${PATH}?${query}`));
});

script("WebSocket handshake errors", { rows: "E8" }, async (s) => {
  await s.raw("no key", upgrade(WS, { "Sec-WebSocket-Key": null }));
  await s.raw("bad key", upgrade(WS, { "Sec-WebSocket-Key": "short" }));
  await s.raw("version 7", upgrade(WS, { "Sec-WebSocket-Version": "7" }));
  await s.raw("no version", upgrade(WS, { "Sec-WebSocket-Version": null }));
  await s.raw("POST", upgrade(WS, {}, "POST"));
});

script("WebSocket handshake accepted", { rows: "E8 E13" }, async (s) => {
  await s.raw("plain", upgrade(WS), { until: /\}$/ });
  await s.raw("several connection tokens, other case", upgrade(WS, { Connection: "keep-alive, UPGRADE", Upgrade: "WebSocket" }), { until: /\}$/ });
});

script("upgrade of another path", { rows: "E1 E26", options: { path: "/here" } }, (s) => s.raw("ws", upgrade(WS), { until: /\r\n\r\n/ }));

script("cookie", { rows: "E18", needs: ["cookie"], options: { cookie: true } }, async (s) => {
  const session = await s.http("polling", OK);
  const { sid } = JSON.parse(session.body.slice(1));
  await s.http("later", `${OK}&sid=${sid}`, { method: "POST", body: "40" });
  await s.ws("ws");
});

script("cookie with options", { rows: "E18", needs: ["cookie"], options: { cookie: { name: "node", path: "/x", httpOnly: false, sameSite: "strict", secure: true, maxAge: 60 } } }, (s) => s.http("polling", OK));

const cors = { rows: "E17", needs: ["cors"] };
const from = (origin, headers = {}) => ({ headers: { origin, ...headers } });
const preflight = (origin, headers = {}) => ({
  method: "OPTIONS",
  headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "x-one, x-two", ...headers },
});
for (const [name, options] of Object.entries({
  "any origin": { origin: "*" },
  "reflected origin": { origin: true, credentials: true },
  "no origin": { origin: false },
  "one origin": { origin: "http://a.example" },
  "several origins": { origin: ["http://a.example", "http://b.example"], methods: ["GET", "POST"] },
  "everything": { origin: "http://a.example", allowedHeaders: ["x-one"], exposedHeaders: ["x-out", "x-more"], credentials: true, maxAge: 3600, optionsSuccessStatus: 200 },
})) {
  script(`cors, ${name}`, { ...cors, options: { cors: options } }, async (s) => {
    await s.http("same", OK, from("http://a.example"));
    await s.http("other", OK, from("http://other.example"));
    await s.http("none", OK);
    await s.http("preflight", OK, preflight("http://a.example"));
    await s.http("preflight other", OK, preflight("http://other.example"));
    await s.http("error", `${PATH}?EIO=4&transport=nope`, from("http://a.example"));
  });
}

script("connection errors are told", { rows: "E7 E21", needs: ["connectionError"], own: true }, async (s) => {
  for (const query of ["EIO=4&transport=x", "EIO=4&transport=polling&sid=x", "EIO=4&transport=websocket", "EIO=3&transport=polling"]) {
    await s.request(`${PATH}?${query}`);
  }
  await s.request(OK, { method: "POST", body: "" });
  const session = await s.polling();
  await s.request(`${PATH}?EIO=4&transport=websocket&sid=${session.sid}`);
  for (const code of [0, 1, 5, 2]) await s.observed({ type: "connection_error", code }, "code", "message");
  for (const name of ["TRANSPORT_HANDSHAKE_ERROR", "TRANSPORT_MISMATCH"]) {
    await s.observed({ type: "connection_error", name }, "code", "message", "name");
  }
});
