// E13, E24, S1, S6, S7: a session over WebSocket.
import { script } from "../harness.js";

/** A masked client frame. */
function frame(first, payload, { masked = true, length } = {}) {
  const data = Buffer.from(payload);
  const n = length ?? data.length;
  const head = n < 126 ? [first, n] : n < 65536 ? [first, 126, n >> 8, n & 255]
    : [first, 127, 0, 0, 0, 0, (n >>> 24) & 255, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];
  if (!masked) return Buffer.concat([Buffer.from(head), data]);
  head[1] |= 0x80;
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), data]);
}

script("a session over WebSocket", { rows: "E13 P4 P6" }, async (s) => {
  const ws = await s.ws("ws");
  await ws.next();
  ws.send("40");
  await ws.next();
  ws.send('420["echo-ack","é€😀"]');
  await ws.next();
  ws.send('451-1["echo-ack",{"_placeholder":true,"num":0}]');
  ws.send(Buffer.from([1, 2, 3]));
  await ws.next();
  await ws.next();
  ws.send('42["count",3]');
  await ws.until(/2\]$/);
  ws.ping("are you there");
  await ws.next();
  await ws.alive();
});

for (const [name, act] of Object.entries({
  "without a code": (ws) => ws.close(),
  "1000": (ws) => ws.close(1000),
  "1000 with a reason": (ws) => ws.close(1000, "bye"),
  "4000": (ws) => ws.close(4000, "mine"),
  "the TCP connection": (ws) => ws.terminate(),
})) {
  script(`the client closes, ${name}`, { rows: "S6 S7" }, async (s) => {
    const ws = await s.joinedWs();
    act(ws);
    await ws.next();
    await s.observed({ type: "disconnect", id: ws.id }, "reason");
  });
}

for (const [name, bytes] of Object.entries({
  "unmasked": frame(0x81, "42", { masked: false }),
  "reserved bit": frame(0xc1, "42"),
  "reserved opcode": frame(0x83, "42"),
  "reserved control opcode": frame(0x8b, "42"),
  "continuation of nothing": frame(0x80, "42"),
  "a new message inside a fragmented one": Buffer.concat([frame(0x01, "42"), frame(0x81, "42")]),
  "fragmented ping": frame(0x09, "x"),
  "long ping": frame(0x89, "x".repeat(126)),
  "not UTF-8": frame(0x81, [0x34, 0xff]),
  "close code 1005": frame(0x88, [0x03, 0xed]),
  "close code 999": frame(0x88, [0x03, 0xe7]),
  "close with one byte": frame(0x88, [0x03]),
  "close reason not UTF-8": frame(0x88, [0x03, 0xe8, 0xff]),
})) {
  script(`bad frame: ${name}`, { rows: "E13 S7" }, async (s) => {
    const ws = await s.joinedWs();
    ws.bytes(bytes);
    await ws.until(/never/);
    await s.observed({ type: "disconnect", id: ws.id }, "reason");
  });
}

script("fragments make one message", { rows: "E13" }, async (s) => {
  const ws = await s.joinedWs();
  ws.bytes(Buffer.concat([frame(0x01, '420["echo'), frame(0x89, "between"), frame(0x00, "-ack\",\"\u00e9"), frame(0x80, '"]')]));
  await ws.next();
  await ws.next();
});

script("a message above the limit", { rows: "E24 S7", options: { maxHttpBufferSize: 1000 } }, async (s) => {
  const ws = await s.joinedWs();
  ws.send(`420["length","${"x".repeat(980)}"]`);
  await ws.next();
  ws.send("4".repeat(1001));
  await ws.next();
  await s.observed({ type: "disconnect", id: ws.id }, "reason");
});

script("a fragmented message above the limit", { rows: "E24 S7", options: { maxHttpBufferSize: 1000 } }, async (s) => {
  const ws = await s.joinedWs();
  ws.bytes(Buffer.concat([frame(0x01, "4".repeat(600)), frame(0x00, "4".repeat(600))]));
  await ws.next();
  await s.observed({ type: "disconnect", id: ws.id }, "reason");
});

script("only the head of a message above the limit", { rows: "E24 S7", options: { maxHttpBufferSize: 1000 } }, async (s) => {
  const ws = await s.joinedWs();
  ws.bytes(frame(0x81, "4", { length: 100000 }));
  await ws.next();
  await s.observed({ type: "disconnect", id: ws.id }, "reason");
});

for (const [name, data] of Object.entries({
  "empty text": "",
  "unknown type": "9x",
  "a letter": "hello",
  "open": "0",
  "close": "1",
  "ping": "2",
  "ping probe": "2probe",
  "pong unasked": "3",
  "upgrade": "5",
  "noop": "6",
  "empty message": "4",
  "unexpected binary": Buffer.from([1, 2, 3]),
  "empty binary": Buffer.alloc(0),
})) {
  script(`packet over WebSocket: ${name}`, { rows: "S1 S7 P7" }, async (s) => {
    const ws = await s.joinedWs();
    ws.send(data);
    await ws.alive();
    if (ws.ended) await s.observed({ type: "disconnect", id: ws.id }, "reason");
  });
}

script("heartbeat", { rows: "S1", options: { pingInterval: 500, pingTimeout: 600 } }, async (s) => {
  const ws = await s.joinedWs();
  for (let i = 0; i < 3; i += 1) {
    await ws.next();
    ws.send("3");
  }
  await ws.next();
  // Other packets are no answer.
  ws.send('42["silent"]');
  await ws.next();
  await s.observed({ type: "disconnect", id: ws.id }, "reason");
});

script("nobody joins", { rows: "P8", options: { connectTimeout: 1000 } }, async (s) => {
  const ws = await s.ws("ws");
  await ws.next();
  await ws.next();
  const stuck = await s.ws("stuck");
  await stuck.next();
  stuck.send("40/stuck,");
  await stuck.next();
  const nowhere = await s.ws("nowhere");
  await nowhere.next();
  nowhere.send("40/nowhere,");
  await nowhere.next();
  await nowhere.next();
});

script("the server kicks", { rows: "K8 S6" }, async (s) => {
  const ws = await s.joinedWs();
  ws.send('42["kick",false]');
  await ws.next();
  await s.observed({ type: "disconnect", id: ws.id }, "reason");
  ws.send('42["echo","after"]');
  ws.send("40");
  await ws.next();
});

script("the server closes", { rows: "K8 S6" }, async (s) => {
  const ws = await s.joinedWs();
  ws.send('42["emit",{"via":"self"},"bye",["now"]]');
  ws.send('42["kick",true]');
  await ws.until(/never/);
  await s.observed({ type: "disconnecting", id: ws.id }, "reason");
  await s.observed({ type: "disconnect", id: ws.id }, "reason");
});

script("server shuts down", { rows: "A11", own: true }, async (s) => {
  const ws = await s.joinedWs();
  s.fixture.signal("SIGTERM");
  await ws.until(/never/);
  await s.observed({ type: "disconnecting", id: ws.id }, "reason");
  await s.observed({ type: "disconnect", id: ws.id }, "reason");
  const { code } = await s.fixture.stop("SIGTERM");
  s.note("exit code", code);
});

script("deflate", { rows: "E23", needs: ["deflate"], options: { perMessageDeflate: true } }, async (s) => {
  for (const offer of [true, { serverMaxWindowBits: 10 }, { clientMaxWindowBits: 10 }, { serverNoContextTakeover: true, clientNoContextTakeover: true }]) {
    const ws = await s.ws(JSON.stringify(offer), undefined, { perMessageDeflate: offer });
    await ws.next();
    ws.send("40");
    await ws.next();
    ws.send('42["size",5000]');
    await ws.next();
    ws.send(`420["length","${"x".repeat(5000)}"]`);
    await ws.next();
  }
});
