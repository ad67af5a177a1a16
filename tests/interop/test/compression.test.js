// E22, E23: the official clients with compression on both transports.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, collect, event, matrix, supports } from "../lib/suite.js";

for (const [name, perMessageDeflate] of [
  ["with context takeover", { threshold: 0 }],
  ["each message by itself", { threshold: 100, serverNoContextTakeover: true, clientNoContextTakeover: true }],
  ["small windows", { threshold: 0, serverMaxWindowBits: 10, clientMaxWindowBits: 10 }],
]) {
  if (!supports("deflate")) {
    test(name, { skip: "the server has no deflate" }, () => {});
    continue;
  }
  matrix(`compression, ${name}`, { clients: ["v4", "v3", "v2"], options: { perMessageDeflate, httpCompression: { threshold: 100 } } }, (kind) => {
    test("texts, blobs and broadcasts come as they went", async (t) => {
      const offer = { perMessageDeflate: { threshold: 100 } };
      const [socket, other] = [await kind.open(t, "/", offer), await kind.open(t, "/", offer)];
      if (kind.transport === "websocket") {
        const { extensions } = socket.io.engine.transport.ws;
        const agreed = typeof extensions === "object" ? Object.keys(extensions).join() : extensions;
        assert.match(agreed, /permessage-deflate/);
      }
      const text = "täglich grüßt das Murmeltier ".repeat(200);
      for (let i = 0; i < 3; i += 1) {
        assert.equal(await ask(socket, "echo-ack", text), text);
        assert.equal(await ask(socket, "length", Buffer.alloc(5000, i)), 5000);
      }
      const blob = event(socket, "blob");
      socket.emit("blob", 3000);
      assert.equal((await blob)[0].length, 3000);
      const news = [socket, other].map((peer) => collect(peer, "news"));
      for (const compress of [true, false, true]) await ask(socket, "emit", { compress }, "news", [text]);
      for (const list of news) assert.deepEqual([...await list.until(3)], [[text], [text], [text]]);
      await ask(socket, "emit", { via: "self", compress: false }, "news", ["x"]);
      assert.deepEqual((await news[0].until(4))[3], ["x"]);
    });
  });
}
