// P1-P8: Socket.IO packets, good and bad.
import { script } from "../harness.js";

/** Sends packets over a fresh WebSocket that has joined nothing, and sees whether it survives. */
const fresh = (rows, name, ...packets) => script(`fresh: ${name}`, { rows }, async (s) => {
  const ws = await s.ws("ws");
  await ws.next();
  for (const packet of packets) ws.send(packet);
  // Joining the main namespace works if and only if the connection is still good.
  ws.send("40/chat,");
  await ws.until(/^4[04]\/chat/);
});

fresh("P4", "connect", "40");
fresh("P4", "connect with an empty object", "40{}");
fresh("P4", "connect with auth", '40{"token":"x"}');
fresh("P4", "connect with an array", "40[]");
fresh("P4", "connect with a string", '40"x"');
fresh("P4", "connect with null", "40null");
fresh("P4", "connect with a number", "401");
fresh("P4", "connect with bad JSON", "40{");
fresh("P4", "connect with a bare word", "40abc");
fresh("P4", "connect with trailing garbage", "40{}x");
fresh("P2 P4", "connect to a namespace without a comma", "40/auth");
fresh("P2 P4", "connect to a namespace with a query", "40/auth?token=secret,");
fresh("P2 P5", "connect to the empty namespace", "40/,");
fresh("P5", "connect to a namespace that is not there", "40/nowhere,");
fresh("P5", "refused by a middleware", '40/auth,{"token":"x"}');
fresh("P4", "let in by a middleware", '40/auth,{"token":"secret"}');
fresh("P4", "an event before connect", '42["echo",1]');
fresh("P4", "a disconnect before connect", "41");
fresh("P4", "an acknowledgement before connect", "431[]");
fresh("P3 P4", "binary before connect", '451-["echo",{"_placeholder":true,"num":0}]', Buffer.from([1]));

/** Sends packets after joining the main namespace, and sees whether the connection survives. */
const joined = (rows, name, ...packets) => script(`joined: ${name}`, { rows }, async (s) => {
  const ws = await s.joinedWs();
  for (const packet of packets) ws.send(packet);
  await ws.alive();
  if (ws.ended) await s.observed({ type: "disconnect", id: ws.id }, "reason");
});

for (const data of [
  '["echo"]', '["echo",1,"two",{"three":[3]},null]', "[]", "{}", '"echo"', "", "null", "[null]", "[1]", "[1.5,2]", "[{}]",
  "[[]]", "[true]", '[""]', '["connect"]', '["connect_error"]', '["disconnect"]', '["disconnecting"]', '["newListener"]',
  '["removeListener"]', '["message",1]', '["connection"]', '["error",1]', "[", '["echo"', '["echo"]x', '["echo"] ', ' ["echo"]',
  '["echo",]', "['echo']", '["echo",undefined]', '["echo",NaN]', '["echo",01]', '["echo",1e999]', '["echo","\\x"]',
  '["echo","\t"]', '["echo",{"a":1,"a":2}]', '["echo",{"__proto__":{"x":1}}]', '["echo","\\u00e9\\ud83d\\ude00\\/"]',
  '["echo",123456789012345678901234567890]', '["echo",-0]', '["echo",1.0]', '["echo",1E2]', '["unknown event",1]',
]) joined("P6 P7", `event ${data || "without data"}`, `42${data}`);
joined("P6", "an event with spaces", '42 [ "echo" , 1 ]');
joined("P6", "an event with spaces inside", '42[ "echo" , 1 ]');
joined("P6", "a lone surrogate", '42["echo","\\ud800"]');
joined("P6", "a line separator", '42["echo","\u2028\u0000"]');
joined("P6", "nesting of 100", `42["echo",${"[".repeat(100)}${"]".repeat(100)}]`);

for (const id of ["0", "1", "007", "9007199254740993", "99999999999999999999", "-1", "1.5", "1e3"]) {
  joined("P6 C1", `acknowledgement id ${id}`, `42${id}["echo-ack","x"]`);
}
for (const data of ["43", "43[]", "431", "431[]", "431{}", '431"x"', "431[", "43-1[]", "4399999999999999999999[]", "431null"]) {
  joined("P6 C1", `acknowledgement ${data}`, data);
}
joined("P2 P7", "disconnect 41[", "41[");
joined("P2 P4", "disconnect 41/chat,", "41/chat,");
for (const data of ['44{"message":"x"}', "44", '44"x"', "44[", "44null"]) joined("P5 P7", `connect error ${data}`, data);
for (const data of ["47", "48[]", "49", "4x", "4-", "4 ", "4/", '42/chat["echo"]', '42/,["echo",1]', "4\u00e9"]) joined("P1 P7", `packet ${data}`, data);

const one = Buffer.from([1]);
const two = Buffer.from([2, 2]);
const place = (n) => `{"_placeholder":true,"num":${n}}`;
joined("P3", "one attachment", `451-["echo",${place(0)}]`, one);
joined("P3", "two attachments, swapped", `452-["echo",${place(1)},${place(0)}]`, one, two);
joined("P3", "an attachment used twice", `451-["echo",${place(0)},${place(0)}]`, one);
joined("P3", "an attachment not used", '451-["echo","nothing"]', one);
joined("P3", "a number out of range", `451-["echo",${place(1)}]`, one);
joined("P3", "a negative number", `451-["echo",${place(-1)}]`, one);
joined("P3", "a number that is none", '451-["echo",{"_placeholder":true,"num":"0"}]', one);
joined("P3", "a placeholder without number", '451-["echo",{"_placeholder":true}]', one);
joined("P3", "a placeholder with more members", '451-["echo",{"_placeholder":true,"num":0,"more":1}]', one);
joined("P3", "a placeholder that is not true", '451-["echo",{"_placeholder":1,"num":0}]', one);
joined("P3", "a placeholder in a text event", `42["echo",${place(0)}]`);
joined("P3", "a placeholder as event name", `451-[${place(0)}]`, one);
joined("P3", "no attachments", '450-["echo","x"]');
joined("P3", "no count", '45["echo"]');
joined("P3", "an empty count", '45-["echo"]');
joined("P3", "a count that is none", '45x-["echo"]');
joined("P3", "a negative count", '45-1-["echo"]');
joined("P3", "a count with a fraction", '451.5-["echo"]');
joined("P3", "a count without a dash", '451["echo"]');
joined("P3", "a count in other notation", `4501-["echo",${place(0)}]`, one);
joined("P3", "ten attachments", `4510-["echo",${place(9)}]`, ...Array(10).fill(one));
joined("P3", "eleven attachments", `4511-["echo",${place(10)}]`, ...Array(11).fill(one));
joined("P3", "a huge count", '4599999999999-["echo"]');
joined("P3", "text while attachments are missing", `451-["echo",${place(0)}]`, '42["echo","x"]');
joined("P3", "an empty attachment", `451-["echo",${place(0)}]`, Buffer.alloc(0));
joined("P3", "heartbeat while attachments are missing", `451-["echo",${place(0)}]`, "3", one);
joined("P3", "bad JSON with attachments", "451-[", one);
joined("P3", "a reserved event with attachments", `451-["connect",${place(0)}]`, one);
joined("P3", "a binary acknowledgement nobody asked for", `461-5[${place(0)}]`, one);
joined("P3", "an attachment to another namespace", `451-/chat,["echo",${place(0)}]`, one);

script("refused without data", { rows: "P5" }, async (s) => {
  const ws = await s.ws("ws");
  await ws.next();
  ws.send('40/mw,{"fail":"b"}');
  await ws.next();
  ws.send("40/mw,{}");
  await ws.next();
});

// What comes after a disconnect may overtake it inside Node's server, so these wait for what it has observed.
for (const data of ["41", '41{}', '41"bye"', "41/", "41/,"]) {
  script(`disconnect ${data}`, { rows: "P2 K10" }, async (s) => {
    const ws = await s.joinedWs();
    ws.send(data);
    if (data === '41"bye"' || data === "41{}") await ws.next();
    await s.observed({ type: "disconnect", id: ws.id }, "reason");
    if (ws.ended) return;
    ws.send("40");
    await ws.next();
    await ws.alive();
  });
}

// In these the server closes the connection after something that it may or may not have answered before.
for (const [name, first, answers, second] of [
  ["connect twice", "40/chat,", 2, "40/chat,"],
  ["an event for a namespace that was not joined", "40/chat,", 2, '42/auth,["echo",1]'],
  ["a disconnect of a namespace that was not joined", "40/chat,", 2, "41/auth,"],
  ["an acknowledgement for a namespace that was not joined", "40/chat,", 2, "43/auth,1[]"],
]) {
  script(name, { rows: "P4" }, async (s) => {
    const ws = await s.joinedWs();
    ws.send(first);
    for (let i = 0; i < answers; i += 1) await ws.next();
    ws.send(second);
    await ws.alive();
    if (ws.ended) await s.observed({ type: "disconnect", id: ws.id }, "reason");
  });
}

script("one attachment too many", { rows: "P3" }, async (s) => {
  const ws = await s.joinedWs();
  ws.send(`451-["echo",${place(0)}]`);
  ws.send(one);
  await ws.next();
  await ws.next();
  ws.send(two);
  await ws.next();
  await s.observed({ type: "disconnect", id: ws.id }, "reason");
});

// Ids of the server's acknowledgements count from 0 in every namespace.
script("the client acknowledges with binary", { rows: "P3 C1", own: true }, async (s) => {
  const ws = await s.joinedWs();
  ws.send('421["call-me",5000,"question",[]]');
  await ws.next();
  ws.send(`461-0[${place(0)}]`);
  ws.send(one);
  await ws.next();
  await ws.next();
});

script("a bad packet ends all namespaces", { rows: "P7 K10" }, async (s) => {
  const ws = await s.joinedWs();
  ws.send("40/chat,");
  const chat = JSON.parse((await ws.next()).slice(8)).sid;
  await ws.next();
  ws.send("42[");
  await ws.until(/never/);
  await s.observed({ type: "disconnect", id: ws.id }, "nsp", "reason");
  await s.observed({ type: "disconnect", id: chat }, "nsp", "reason");
});

script("several namespaces", { rows: "P2 P4 A2" }, async (s) => {
  const ws = await s.joinedWs();
  ws.send("40/chat,");
  const chat = JSON.parse((await ws.next()).slice(8)).sid;
  await ws.next();
  ws.send('42/chat,12["echo-ack","in chat"]');
  await ws.next();
  ws.send('42["emit",{},"news",["root only"]]');
  await ws.next();
  ws.send('42/chat,["emit",{},"news",["chat only"]]');
  await ws.next();
  ws.send("41/chat,");
  await s.observed({ type: "disconnect", id: chat }, "nsp", "reason");
  ws.send("40/chat,");
  await ws.next();
  await ws.next();
  await ws.alive();
});

script("what the server sends", { rows: "P1 P2 P3 C1", own: true }, async (s) => {
  const ws = await s.joinedWs();
  ws.send('42["call-me",5000,"question",["a",{"b":1}]]');
  await ws.next();
  ws.send('430["the answer","more"]');
  ws.send('421["call-me",50,"unanswered",[]]');
  await ws.next();
  await ws.next();
  ws.send('42["blob",3]');
  await ws.next();
  await ws.next();
  ws.send('422["ask",{"timeout":5000,"to":["nobody"]},"vote",[]]');
  await ws.next();
  ws.send('423["rooms"]');
  await ws.next();
  ws.send('424["join",["a","b"]]');
  await ws.next();
  ws.send('425["emit",{"to":["a","b"],"via":"namespace"},"x",["once"]]');
  await ws.next();
  await ws.next();
});
