// S4, S5: from polling to WebSocket.
import { script } from "../harness.js";

const path = (session) => `/socket.io/?EIO=4&transport=websocket&sid=${session.sid}`;

script("an upgrade", { rows: "S4 S5" }, async (s) => {
  const session = await s.joined();
  const waiting = s.request(session.path);
  await s.settle();
  const ws = await s.ws("ws", path(session));
  ws.send("2probe");
  await ws.next();
  s.record("the waiting request", await waiting);
  ws.send("5");
  ws.send('420["echo-ack",1]');
  await ws.next();
  await s.http("polling after that", session.path);
  await s.post("a post after that", session, '42["echo"]');
  await ws.alive();
});

script("an upgrade while nothing waits", { rows: "S4 S5" }, async (s) => {
  const session = await s.joined();
  const ws = await s.ws("ws", path(session));
  ws.send("2probe");
  await ws.next();
  await s.post("event meanwhile", session, '42["echo","buffered 1"]\x1e42["echo","buffered 2"]');
  ws.send("5");
  await ws.next();
  await ws.next();
  await ws.alive();
});

script("events by polling while probing", { rows: "S4 S5" }, async (s) => {
  const session = await s.joined();
  const ws = await s.ws("ws", path(session));
  ws.send("2probe");
  await ws.next();
  await s.post("event", session, '42["echo","by polling"]');
  await s.http("answer", session.path);
  ws.send("5");
  await ws.alive();
});

script("the probe is something else", { rows: "S4" }, async (s) => {
  for (const first of ["2", "2other", "4hello", "x", "", "3probe"]) {
    const session = await s.joined();
    const ws = await s.ws(`probe ${first}`, path(session));
    ws.send(first);
    await ws.next();
    await s.post("the session lives on", session, '421["echo-ack","alive"]');
    await s.http("answer", session.path);
  }
});

script("an upgrade without a probe", { rows: "S4" }, async (s) => {
  const session = await s.joined();
  const ws = await s.ws("ws", path(session));
  ws.send("5");
  await ws.alive();
  await s.http("polling after that", session.path);
});

script("after the probe comes something else", { rows: "S4" }, async (s) => {
  for (const second of ["2probe", '42["echo",1]', "1", "9"]) {
    const session = await s.joined();
    const ws = await s.ws(`then ${second}`, path(session));
    ws.send("2probe");
    await ws.next();
    ws.send(second);
    await ws.next();
    if (!ws.ended) ws.terminate();
    await s.post("the session lives on", session, '421["echo-ack","alive"]');
    await s.http("answer", session.path);
  }
});

script("the probe goes away", { rows: "S4" }, async (s) => {
  const session = await s.joined();
  const ws = await s.ws("ws", path(session));
  ws.send("2probe");
  await ws.next();
  ws.close();
  await ws.next();
  await s.post("the session lives on", session, '421["echo-ack","alive"]');
  await s.http("answer", session.path);
  const again = await s.ws("a second probe", path(session));
  again.send("2probe");
  await again.next();
  again.send("5");
  await again.alive();
});

script("a second WebSocket while upgrading", { rows: "E8 S4" }, async (s) => {
  const session = await s.joined();
  const first = await s.ws("first", path(session));
  first.send("2probe");
  await first.next();
  const second = await s.ws("second", path(session));
  await second.next();
  first.send("5");
  await first.alive();
});

script("a second WebSocket after the upgrade", { rows: "E8 S4" }, async (s) => {
  const session = await s.joined();
  const first = await s.ws("first", path(session));
  first.send("2probe");
  await first.next();
  first.send("5");
  await first.alive();
  const second = await s.ws("second", path(session));
  await second.next();
  await first.alive();
});

script("the upgrade takes too long", { rows: "S4", options: { upgradeTimeout: 1000 } }, async (s) => {
  const session = await s.joined();
  const ws = await s.ws("ws", path(session));
  await ws.next();
  await s.post("the session lives on", session, '421["echo-ack","alive"]');
  await s.http("answer", session.path);
  const probed = await s.ws("probed", path(session));
  probed.send("2probe");
  await probed.next();
  await probed.next();
  await s.post("the session lives on", session, '421["echo-ack","alive"]');
  await s.http("answer", session.path);
});

script("the session closes while probing", { rows: "S4 S6" }, async (s) => {
  const session = await s.joined();
  const ws = await s.ws("ws", path(session));
  ws.send("2probe");
  await ws.next();
  await s.post("close", session, "1");
  await ws.next();
  await s.observed({ type: "disconnect", id: session.id }, "reason");
});

script("a WebSocket session is asked to upgrade", { rows: "E8 S4" }, async (s) => {
  const ws = await s.ws("ws");
  const { sid } = JSON.parse((await ws.next()).slice(1));
  const second = await s.ws("second", path({ sid }));
  second.send("2probe");
  await second.next();
  await s.http("polling", `/socket.io/?EIO=4&transport=polling&sid=${sid}`);
  ws.send("40");
  await ws.next();
});

script("upgrades are not allowed", { rows: "E3 S4", options: { allowUpgrades: false } }, async (s) => {
  const session = await s.joined();
  const ws = await s.ws("ws", path(session));
  ws.send("2probe");
  await ws.next();
});

script("a volley crosses the upgrade", { rows: "S4 S5 P11" }, async (s) => {
  const session = await s.joined();
  const ws = await s.ws("ws", path(session));
  ws.send("2probe");
  await ws.next();
  await s.post("before", session, Array.from({ length: 20 }, (_, i) => `42["echo",${i}]`).join("\x1e"));
  ws.send("5");
  for (let i = 20; i < 40; i += 1) ws.send(`42["echo",${i}]`);
  await ws.until(/,39\]/);
});
