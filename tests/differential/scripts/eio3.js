// V1-V6, S3: clients of Engine.IO v3 and Socket.IO v2.
import { script } from "../harness.js";

const options = { allowEIO3: true };
const old = (rows, more = {}) => ({ rows, needs: ["eio3"], options: { ...options, ...more } });

/** Packets as a text body: lengths in UTF-16 units. */
const text = (...packets) => packets.map((packet) => `${packet.length}:${packet}`).join("");

/** Packets as a binary body: strings and buffers (with their type byte). */
const binary = (...packets) => Buffer.concat(packets.map((packet) => {
  const data = Buffer.from(packet);
  const digits = [...String(data.length)].map(Number);
  return Buffer.concat([Buffer.from([typeof packet === "string" ? 0 : 1, ...digits, 255]), data]);
}));

const octets = { headers: { "content-type": "application/octet-stream" } };

/** Everything that waits in a polling session, whatever the number of answers. */
async function drained(s, session, marker = '43777["alive"]') {
  await s.request(session.path, { method: "POST", body: text('42777["echo-ack","alive"]') });
  let all = "";
  for (let i = 0; i < 10 && !all.includes(marker); i += 1) {
    const { status, body } = await s.request(session.path);
    if (status !== 200) return `${status} ${body}`;
    all += body;
  }
  return all;
}

/** A polling session that is in the main namespace. */
async function opened(s, query = "&b64=1") {
  const { body } = await s.request(`/socket.io/?EIO=3&transport=polling${query}`);
  const { sid } = JSON.parse(body.slice(body.indexOf("{"), body.indexOf("}") + 1));
  const session = { sid, path: `/socket.io/?EIO=3&transport=polling&sid=${sid}`, id: sid };
  await drained(s, session);
  return session;
}

/** A WebSocket that is in the main namespace, from where on it is written down. */
async function openedWs(s, query = "") {
  const ws = await s.ws("ws", `/socket.io/?EIO=3&transport=websocket${query}`);
  const open = await ws.next();
  ws.id = JSON.parse(open.slice(1)).sid;
  await ws.next();
  return ws;
}

/** Writes down what the server holds for the `auth` of a client. */
async function auth(s, ws, prefix) {
  ws.send(`42${prefix}776["handshake"]`);
  const text = await ws.take();
  const [seen] = JSON.parse(text.slice(text.indexOf("[")));
  s.note("auth", JSON.stringify(Object.entries(seen.auth).sort()));
  s.note("protocol", seen.protocol);
}

for (const query of ["EIO=3&b64=1", "EIO=3", "b64=1", "EIO=5&b64=1", "EIO=&b64=1"]) {
  script(`eio3: polling handshake ${query}`, old("V1 V3 V5"), async (s) => {
    const { status, headers, body } = await s.request(`/socket.io/?transport=polling&${query}`);
    s.note("handshake", `${status} ${headers["content-type"]}`);
    // The CONNECT packet comes in the same body or in the next one.
    const { sid } = JSON.parse(body.slice(body.indexOf("{"), body.indexOf("}") + 1));
    const rest = body.includes("40") && body.endsWith("2:40") ? "" : (await s.request(`/socket.io/?EIO=3&transport=polling&sid=${sid}`)).body;
    s.note("packets", JSON.stringify(body + rest));
  });
}

script("eio3: WebSocket handshake", old("V1 V3"), async (s) => {
  const ws = await openedWs(s);
  await auth(s, ws, "");
  ws.close();
  await s.observed({ type: "disconnect", id: ws.id }, "reason");
});

script("eio3: not let in", { rows: "V6 E6", needs: ["eio3"] }, async (s) => {
  await s.http("polling", "/socket.io/?EIO=3&transport=polling");
  await s.http("no version", "/socket.io/?transport=polling");
  await s.http("another version", "/socket.io/?EIO=5&transport=polling");
});

script("eio3: not let in, WebSocket", { rows: "V6 E8", needs: ["eio3"] }, async (s) => {
  await s.raw("upgrade", "GET /socket.io/?EIO=3&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
});

script("eio3: a session by polling", old("V1 V3 S3"), async (s) => {
  const session = await opened(s);
  await s.post("event", session, text('420["echo-ack","é€😀"]'));
  await s.http("acknowledgement", session.path);
  await s.post("several packets", session, text('421["echo-ack",1]', '422["echo-ack","😀"]', "2", '423["echo-ack",3]'));
  s.note("their answers", JSON.stringify(await drained(s, session)));
  await s.post("ping with data", session, text("2abc"));
  await s.http("pong", session.path);
  const waiting = s.request(session.path);
  await s.settle();
  await s.post("event", session, text('42["echo","here"]'));
  s.record("answer", await waiting);
});

script("eio3: binary as base64", old("V1"), async (s) => {
  const session = await opened(s);
  await s.post("event", session, text('451-4["echo-ack",{"_placeholder":true,"num":0}]', "b4AQL/"));
  await s.http("acknowledgement", session.path);
  await s.post("in a binary body", session, binary('451-5["echo-ack",{"_placeholder":true,"num":0}]', Buffer.from([4, 9, 8])), octets);
  await s.http("acknowledgement", session.path);
});

script("eio3: binary bodies", old("V1"), async (s) => {
  const session = await opened(s, "");
  await s.post("event", session, binary('451-4["echo-ack",{"_placeholder":true,"num":0},"é😀"]', Buffer.from([4, 1, 2, 255])), octets);
  await s.http("acknowledgement", session.path);
  await s.post("text in a binary body", session, binary('425["echo-ack","é€😀"]'), octets);
  await s.http("acknowledgement", session.path);
  await s.post("a longer one", session, text('426["echo",1]', '42["blob",300]'));
  const { headers, bytes } = await s.request(session.path);
  s.note("answer", `${headers["content-type"]} ${bytes.subarray(0, 200).toString("hex")}`);
});

script("eio3: binary over WebSocket", old("V1"), async (s) => {
  const ws = await openedWs(s);
  ws.send('451-4["echo-ack",{"_placeholder":true,"num":0}]');
  ws.send(Buffer.from([4, 1, 2, 255]));
  await ws.next();
  await ws.next();
  ws.send('451-5["echo-ack",{"_placeholder":true,"num":0}]');
  ws.send("b4AQL/");
  await ws.next();
  await ws.next();
  ws.send('42["emit",{},"news",["text",1]]');
  await ws.next();
});

script("eio3: binary over WebSocket, base64 asked for", old("V1"), async (s) => {
  const ws = await openedWs(s, "&b64=1");
  ws.send('451-4["echo-ack",{"_placeholder":true,"num":0}]');
  ws.send(Buffer.from([4, 1, 2, 255]));
  await ws.next();
  await ws.next();
  ws.send('42["blob",3]');
  await ws.next();
  await ws.next();
});

script("eio3: after an upgrade, the WebSocket's request says whether base64 is asked for", old("V1"), async (s) => {
  for (const [polling, websocket] of [["&b64=1", ""], ["", "&b64=1"], ["&b64=1", "&b64="]]) {
    const session = await opened(s, polling);
    await s.post("event", session, text('42["blob",3]'));
    const { bytes } = await s.request(session.path);
    s.note("polling", bytes.toString("hex"));
    const ws = await s.ws("ws", `/socket.io/?EIO=3&transport=websocket&sid=${session.sid}${websocket}`);
    ws.send("2probe");
    await ws.next();
    ws.send("5");
    ws.send('42["blob",3]');
    await ws.next();
    await ws.next();
    // Of a broadcast as well, beside a client that takes bytes.
    const other = await openedWs(s);
    ws.send('451-["emit",{},"news",[{"_placeholder":true,"num":0}]]');
    ws.send("b4AQL/");
    for (const peer of [ws, other]) {
      await peer.next();
      await peer.next();
    }
  }
});

const joins = {
  "a namespace": "40/chat",
  "a namespace, comma": "40/chat,",
  "a query": "40/chat?token=a%20b&x=1&x=2&y=é&=z&+",
  "a query, comma": "40/auth?token=secret,",
  "an empty query": "40/chat?",
  "a payload": '40/chat,{"token":"x"}',
  "a payload and a query": '40/chat?a=1,{"token":"x"}',
  "an unknown namespace": "40/nowhere",
  "an unknown namespace with a query": "40/nowhere?x=1",
  "refused with data": "40/auth?token=wrong",
  "refused with text": "40/mw?fail=a",
  "a dynamic namespace": "40/dynamic-7?x=1",
  "the main namespace again": "40",
  "the main namespace again, with a slash": "40/",
  "the main namespace again, with a query": "40/?x=1",
};
for (const [name, packet] of Object.entries(joins)) {
  script(`eio3 joins: ${name}`, old("V3 V4"), async (s) => {
    const ws = await openedWs(s);
    ws.send(packet);
    const nsp = packet.slice(2).replace(/[?,].*/, "");
    const answer = await ws.next();
    if (answer === undefined) return s.observed({ type: "disconnect", id: ws.id }, "reason");
    if (answer.startsWith("44")) return ws.alive();
    if (nsp === "/chat") await ws.next();
    await auth(s, ws, `${nsp},`);
    ws.send(`42${nsp}?x=1,777["echo-ack"]`);
    await ws.until(/777\[/);
    ws.send(`41${nsp}`);
    await s.observed({ type: "disconnect", id: `${nsp}#${ws.id}` }, "nsp", "reason");
    await ws.alive();
  });
}

const bodies = {
  "empty": "",
  "no length": "x",
  "a version 4 body": '42["echo"]',
  "a length of nothing": "0:",
  "a length of nothing, then a packet": '0:17:421["echo-ack",1]',
  "a short packet": "9:42[]",
  "cut in a character": "2:4€😀",
  "half a character": "3:4€😀",
  "a letter in the length": "1x:42",
  "a sign in the length": "-1:42",
  "a space in the length": ' 17:421["echo-ack",1]',
  "leading zeros": '0017:421["echo-ack",1]',
  "no packet behind the length": "5",
  "an unknown type": "1:9",
  "a letter as type": "1:x",
  "rest behind a packet": '17:421["echo-ack",1]xx',
  "a good packet, then garbage": '17:421["echo-ack",1]1:x',
  "open": "1:0",
  "close": "1:1",
  "close, then a message": '1:117:421["echo-ack",1]',
  "ping": "1:2",
  "probe": "6:2probe",
  "pong": "1:3",
  "upgrade": "1:5",
  "noop": "1:6",
  "empty message": "1:4",
  "base64 of nothing": "2:b4",
  "base64 without a type": "1:b",
  "base64 with an unknown type": "3:b9A",
  "unexpected binary": "6:b4AQID",
  "bad base64": "6:b4!!!!",
  "not UTF-8": Buffer.from([0x34, 0x3a, 0x34, 0x32, 0xff, 0xfe]),
};
for (const [name, body] of Object.entries(bodies)) {
  script(`eio3 posted: ${name}`, old("V1 S7"), async (s) => {
    const session = await opened(s);
    await s.post("post", session, body);
    const all = await drained(s, session);
    s.note("then", JSON.stringify(all));
    if (all.startsWith("400")) await s.observed({ type: "disconnect", id: session.id }, "reason");
  });
}

const binaryBodies = {
  "text": Buffer.from("hello"),
  "no length": Buffer.from([0, 255]),
  "a short packet": Buffer.from([0, 9, 255, 0x34]),
  "no end of the length": Buffer.from([0, 1, 2, 3, 4]),
  "a bad digit": Buffer.from([0, 11, 255, 0x34]),
  "an unknown kind": Buffer.from([7, 1, 255, 0x36]),
  "an unknown type": Buffer.from([1, 2, 255, 9, 1]),
  "noop": Buffer.from([1, 1, 255, 6]),
  "ping as bytes": Buffer.from([1, 1, 255, 2]),
  "not UTF-8": Buffer.from([0, 3, 255, 0x34, 0xff, 0xfe]),
};
for (const [name, body] of Object.entries(binaryBodies)) {
  script(`eio3 posted as bytes: ${name}`, old("V1 S7"), async (s) => {
    const session = await opened(s);
    await s.post("post", session, body, octets);
    const all = await drained(s, session);
    s.note("then", JSON.stringify(all));
    if (all.startsWith("400")) await s.observed({ type: "disconnect", id: session.id }, "reason");
  });
}

const frames = {
  "ping": "2",
  "ping with data": "2x",
  "pong": "3",
  "open": "0",
  "close": "1",
  "upgrade": "5",
  "noop": "6",
  "unknown": "9",
  "empty": "",
  "empty message": "4",
  "base64 with an unknown type": "b9A",
  "bytes without type": Buffer.alloc(0),
  "bytes of an unknown type": Buffer.from([9, 1]),
  "unexpected bytes": Buffer.from([4, 1]),
  "an event as bytes": Buffer.from([4, ...Buffer.from('2777["echo-ack","alive"]')]),
  "ping as bytes": Buffer.from([2]),
};
for (const [name, data] of Object.entries(frames)) {
  script(`eio3 over WebSocket: ${name}`, old("V1 V2 S7"), async (s) => {
    const ws = await openedWs(s);
    ws.send(data);
    await ws.alive();
    if (ws.ended) await s.observed({ type: "disconnect", id: ws.id }, "reason");
  });
}

script("eio3: an upgrade", old("V1 S4"), async (s) => {
  const session = await opened(s);
  const ws = await s.ws("ws", `/socket.io/?EIO=3&transport=websocket&sid=${session.sid}`);
  const waiting = s.request(session.path);
  await s.settle();
  ws.send("2probe");
  await ws.next();
  s.record("noop", await waiting);
  ws.send("5");
  ws.send("2");
  await ws.next();
  ws.send('451-4["echo-ack",{"_placeholder":true,"num":0}]');
  ws.send(Buffer.from([4, 1, 2, 255]));
  await ws.next();
  await ws.next();
  await s.http("polling afterwards", session.path);
  ws.close();
  await s.observed({ type: "disconnect", id: session.id }, "reason");
});

script("eio3: another version on the same session", old("V6 E7"), async (s) => {
  const session = await opened(s);
  await s.http("version 4", session.path.replace("EIO=3", "EIO=4"));
  await s.http("no version", session.path.replace("EIO=3&", ""), { method: "POST", body: text('42["echo",1]') });
  await s.http("echo", session.path);
});

script("eio3: who does not ping is gone, polling", old("S3", { pingInterval: 400, pingTimeout: 600 }), async (s) => {
  const session = await opened(s);
  const waiting = s.request(session.path);
  await s.observed({ type: "disconnect", id: session.id }, "reason");
  s.record("the waiting request", await waiting);
});

script("eio3: who does not ping is gone, WebSocket", old("S3", { pingInterval: 400, pingTimeout: 600 }), async (s) => {
  const ws = await openedWs(s);
  await s.observed({ type: "disconnect", id: ws.id }, "reason");
  await ws.next();
});

script("eio3: events are no pings", old("S3", { pingInterval: 400, pingTimeout: 600 }), async (s) => {
  const ws = await openedWs(s);
  const timer = setInterval(() => ws.send('42["silent"]'), 50);
  await s.observed({ type: "disconnect", id: ws.id }, "reason");
  clearInterval(timer);
  await ws.next();
});

script("eio3: the server kicks", old("K8 S6"), async (s) => {
  const ws = await openedWs(s);
  ws.send("40/chat");
  await ws.until(/welcome/);
  ws.send('42["kick",false]');
  await ws.next();
  await s.observed({ type: "disconnect", nsp: "/", id: ws.id }, "reason");
  ws.send('42/chat,["kick",true]');
  await ws.until(/nothing/);
  await s.observed({ type: "disconnect", nsp: "/chat", id: `/chat#${ws.id}` }, "reason");
});

script("eio3: the server closes, waiting request", old("K8 S6"), async (s) => {
  const session = await opened(s);
  const waiting = s.request(session.path);
  await s.settle();
  await s.post("kick", session, text('42["kick",true]'));
  s.record("answer", await waiting);
  await s.observed({ type: "disconnect", id: session.id }, "reason");
  await s.http("next", session.path);
  await s.http("after that", session.path);
});

script("eio3: the client says goodbye", old("S6"), async (s) => {
  const session = await opened(s);
  const waiting = s.request(session.path);
  await s.settle();
  await s.post("close", session, text("1"));
  s.record("the waiting request", await waiting);
  await s.observed({ type: "disconnect", id: session.id }, "reason");
});

script("eio3: a body above the limit", old("E10 E24", { maxHttpBufferSize: 1000 }), async (s) => {
  const session = await opened(s);
  await s.post("text", session, text("4".repeat(1100)));
  await s.post("bytes", session, Buffer.alloc(1100), octets);
  s.note("the session lives on", JSON.stringify(await drained(s, session)));
});

script("eio3: a mixed audience", old("V1 B8"), async (s) => {
  const [ws, b64, newer] = [await openedWs(s), await openedWs(s, "&b64=1"), await s.joinedWs("v4")];
  newer.send('42["emit",{},"news",["é😀",1]]');
  for (const peer of [ws, b64, newer]) await peer.next();
  newer.send('451-["emit",{},"news",[{"_placeholder":true,"num":0}]]');
  newer.send(Buffer.from([1, 2, 3]));
  for (const peer of [ws, b64, newer]) {
    await peer.next();
    await peer.next();
  }
});
