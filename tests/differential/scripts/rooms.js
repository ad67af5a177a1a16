// B1-B7, A7, A8, C4: broadcasting, seen on the wire.
import { script } from "../harness.js";

script("who receives what", { rows: "B1 B2 B3 K4" }, async (s) => {
  const peers = {};
  for (const name of ["a", "b", "c"]) peers[name] = await s.joinedWs(name);
  const { a, b, c } = peers;
  a.send('421["join",["x"]]');
  await a.next();
  b.send('421["join",["x","y"]]');
  await b.next();
  c.send('421["join",["y"]]');
  await c.next();
  const hows = [
    {}, { to: ["x"] }, { to: ["y"] }, { to: ["x", "y"] }, { to: ["x"], except: ["y"] }, { except: ["x"] }, { except: ["x", "y"] },
    { via: "socket" }, { via: "socket", to: ["x"] }, { via: "socket", except: ["y"] }, { via: "self" }, { local: true, to: ["y"] },
    { to: ["nobody"] }, { to: ["x", "x"] }, { volatile: true }, { compress: false },
  ];
  for (const how of hows) {
    s.note(JSON.stringify(how));
    a.send(`42["emit",${JSON.stringify(how)},"news",[1]]`);
    a.send('42["emit",{},"marker",[]]');
    for (const peer of [a, b, c]) await peer.until(/marker/);
  }
  s.note("the id of a socket is a room");
  a.send(`42["emit",{"to":["${b.id}"]},"news",[2]]`);
  a.send(`42["emit",{"via":"socket","to":["${a.id}"]},"news",[3]]`);
  a.send('42["emit",{},"marker",[]]');
  for (const peer of [a, b, c]) await peer.until(/marker/);
});

script("acknowledgements of a broadcast", { rows: "B7 C4", own: true }, async (s) => {
  const [a, b] = [await s.joinedWs("a"), await s.joinedWs("b")];
  for (const peer of [a, b]) {
    peer.send('421["join",["jury"]]');
    await peer.next();
  }
  a.send('422["ask",{"to":["jury"],"timeout":5000},"vote",["?"]]');
  const ids = [];
  for (const peer of [a, b]) ids.push((await peer.next()).match(/^42(\d+)/)[1]);
  s.note("same id", ids[0] === ids[1]);
  b.send(`43${ids[1]}["yes","ignored"]`);
  await b.alive();
  a.send(`43${ids[0]}["no"]`);
  await a.next();
  a.send('423["ask",{"to":["jury"],"timeout":2000},"vote",["again"]]');
  const id = (await a.next()).match(/^42(\d+)/)[1];
  await b.next();
  a.send(`43${id}["only me"]`);
  await a.next();
});

script("bulk operations", { rows: "A7 A8", needs: ["fetchSockets"] }, async (s) => {
  const [a, b] = [await s.joinedWs("a"), await s.joinedWs("b")];
  const room = `r${a.id.length}`;
  a.send(`421["sockets-join",{"to":["${b.id}"]},["${room}"]]`);
  await a.next();
  b.send('421["rooms"]');
  const rooms = JSON.parse((await b.take()).slice(3))[0];
  s.note("rooms", rooms.filter((name) => name !== b.id));
  a.send(`422["kick-all",{"to":["${room}"]},true]`);
  await b.until(/never/);
  await s.observed({ type: "disconnect", id: b.id }, "reason");
  await a.alive();
});

script("a binary broadcast over both transports", { rows: "B8 P3" }, async (s) => {
  const ws = await s.joinedWs();
  const session = await s.joined();
  const waiting = s.request(session.path);
  await s.settle();
  ws.send('451-["emit",{},"picture",[{"data":{"_placeholder":true,"num":0},"name":"p"}]]');
  ws.send(Buffer.from([1, 2, 3, 4, 5]));
  await ws.next();
  await ws.next();
  s.record("polling", await waiting);
});
