"use strict";
// Writes what the official JavaScript packages make of packets, for the Rust tests to compare with.
// Usage: npm ci && npm run generate. The output is committed, so the Rust build needs no Node.

const fs = require("fs");
const path = require("path");
const socketParser = require("socket.io-parser");
const msgpackParser = require("socket.io-msgpack-parser");
const engineV4 = require("engine.io-parser");
const engineV3 = require("engine.io-parser-v3");

// Bytes in JSON: {"$bytes": "<base64>"}.
function describe(value) {
  if (value === undefined) return null;
  // JSON text with lone surrogates is not for every reader.
  if (typeof value === "string") return value.toWellFormed();
  if (Buffer.isBuffer(value)) return { $bytes: value.toString("base64") };
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return { $bytes: Buffer.from(value.buffer || value).toString("base64") };
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(describe);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, describe(v)]));
  return value;
}

// As ASCII, for the eyes' sake.
function save(name, value) {
  const json = JSON.stringify(value, null, 1).replace(/[\u007f-\uffff]/g, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
  fs.writeFileSync(path.join(__dirname, name), json + "\n");
}

// Always the same numbers.
let seed = 20240229;
function random(below) {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 4294967296) * below);
}

const bytes = (...list) => Buffer.from(list);
const big = { a: Array.from({ length: 40 }, (_, i) => i * 7), s: "x".repeat(300) };

const args = [
  [],
  [1],
  ["text"],
  [null, true, false],
  [0, -1, 1.5, -0.25, 123456.789, 255, 256, 65535, 65536, 4294967295, 4294967296, 9007199254740991],
  [-32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649, -9007199254740991],
  ["é€😀\u0000\u001f\"\\/\u2028\u007f", "\n\r\t\b\f"],
  [{ a: { b: [{ c: "d" }], e: {} }, f: [] }],
  ["x".repeat(31), "x".repeat(32), "é".repeat(128), "y".repeat(300)],
  [big],
  Array.from({ length: 20 }, (_, i) => i),
  [bytes(1, 2, 3)],
  [{ a: bytes(), b: [bytes(255), { c: bytes(0, 128) }] }, "tail", bytes(9)],
  [[bytes(...Array(300).keys())]],
];

function packets() {
  const list = [];
  args.forEach((data, i) => {
    const nsp = ["/", "/admin", "/a-b/ü"][i % 3];
    list.push({ type: 2, nsp, data: ["event " + i, ...data] });
    list.push({ type: 2, nsp, id: i * 1000, data: ["e\u00e9\"", ...data] });
    list.push({ type: 3, nsp, id: i, data });
  });
  list.push({ type: 2, nsp: "/", data: [42, "a number as name"] });
  return list;
}

const controls = [
  { type: 0, nsp: "/" },
  { type: 0, nsp: "/admin" },
  { type: 0, nsp: "/", data: { sid: "abc" } },
  { type: 0, nsp: "/admin", data: { sid: "abc", pid: "def" } },
  { type: 0, nsp: "/admin", data: { token: "é\"" } },
  { type: 1, nsp: "/" },
  { type: 1, nsp: "/admin" },
  { type: 4, nsp: "/", data: { message: "Invalid namespace" } },
  { type: 4, nsp: "/admin", data: { message: "no", data: { code: 5 } } },
];

// Socket.IO, JSON: what the encoder writes.
function socketEncoded() {
  return [...packets(), ...controls].map((packet) => {
    const described = describe(packet);
    const encoded = new socketParser.Encoder().encode(structuredCloneKeepingBuffers(packet));
    return { packet: described, encoded: encoded.map(describe) };
  });
}

function structuredCloneKeepingBuffers(value) {
  if (Buffer.isBuffer(value)) return value;
  if (Array.isArray(value)) return value.map(structuredCloneKeepingBuffers);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, structuredCloneKeepingBuffers(v)]));
  return value;
}

// Socket.IO, JSON: what the decoder says about good and bad text. `packet` is missing if it throws, null if it waits.
function socketDecoded() {
  const inputs = [
    "", "0", "1", "2", "3", "4", "5", "6", "7", "-", "a", "0{}", "0/a", "0/a,", "0/a,{}", "0[]", "0null", "0\"a\"", "1{}", "1/a", "1/a,",
    "2[]", "2[\"a\"]", "2[1]", "2[1.5]", "2[1e3]", "2[null]", "2[true]", "2[[]]", "2[{}]", "2{}", "2\"a\"", "20[\"a\"]", "2007[\"a\"]",
    "2/a,1[\"a\"]", "2/a[\"a\"]", "2/a?b=c,[\"a\"]", "2/,[\"a\"]", "2[\"connect\"]", "2[\"disconnect\"]", "2[\"connect_error\"]",
    "2[\"disconnecting\"]", "2[\"newListener\"]", "2[\"removeListener\"]", "2[\"connection\"]", "2[\"message\"]", "2[\"\"]",
    "31[]", "31[1]", "31{}", "31", "31null", "4", "4\"a\"", "4{}", "4[]", "4null", "41", "4{\"message\":\"a\"}",
    "50-[\"a\"]", "5-[\"a\"]", "51-[\"a\",{\"_placeholder\":true,\"num\":0}]", "510-[\"a\"]", "511-[\"a\"]", "5[\"a\"]", "51[\"a\"]",
    "5x-[\"a\"]", "5-1-[\"a\"]", "51.5-[\"a\"]", "51-/a,2[\"a\"]", "60-/a,2[]", "61-/a,2[]", "6-2[]",
    "2[\"a\",\"\\ud800\"]", "2[\"a\",\"\\udc00\\ud800\"]", "2[\"\\ud83d\\ude00\"]", "2[\"a\",\"\\ud83d\"]", "2[\"a\",1e999]", "2[\"a\",-1e999]",
    "2[\"a\",1e-999]", "2[\"a\",-0]", "2[\"a\",00]", "2[\"a\",01]", "2[\"a\",-]", "2[\"a\",1.]", "2[\"a\",.1]", "2[\"a\",1e]", "2[\"a\",1e+]",
    "2[\"a\",1E+2]", "2[\"a\",+1]", "2[\"a\",0x1]", "2[\"a\",123456789012345678901234567890]", "2[\"a\",{\"__proto__\":1}]",
    "2[\"a\",{\"a\":1,\"a\":2}]", "2 [\"a\"]", "2\t[\"a\"]", "2[\"a\"]\n", "2[\"a\"] x", "2[ \"a\" , 1 ]", "2[\"a\",]", "2[,\"a\"]", "2[\"a\"",
    "2[\"a\",\"\u0001\"]", "2[\"a\",\"\u007f\u2028\"]", "2[\"a\",\"\\u0000\"]", "2[\"a\",\"\\x41\"]", "2[\"a\",\"\\'\"]", "2[\"a\",'b']",
    "2[\"a\",nul]", "2[\"a\",truee]", "2[\"a\",NaN]", "2[\"a\",Infinity]", "2[\"a\",[1,[2,[3]],{\"b\":{}}]]", "2[\"a\",{]", "2[\"a\",[}]",
    "2[\"a\",{\"b\"}]", "2[\"a\",{\"b\":}]", "2[\"a\",{\"b\":1,}]", "2[\"a\",{b:1}]", "2[\"a\",{1:1}]", "2[\"a\",\"\\u00e\"]", "2[\"a\",\"\\u00eg\"]",
    "2[\"a\"]]", "2\ufeff[\"a\"]", "2\u00a0[\"a\"]",
  ];
  // Good packets, spoilt.
  const good = inputs.filter((text) => text.length > 6);
  const spoil = "[]{}\",:0123456789-/\\utrfalsen e.E+_é\ud83d\ude00";
  for (let i = 0; i < 1500; i++) {
    const units = Array.from(good[random(good.length)]);
    for (let n = random(3); n >= 0; n--) {
      const at = random(units.length + 1);
      const with_ = Array.from(spoil)[random(Array.from(spoil).length)];
      const how = random(3);
      if (how === 0) units.splice(at, 1);
      else if (how === 1) units.splice(at, 0, with_);
      else units.splice(at, 1, with_);
    }
    inputs.push(units.join(""));
  }
  return [...new Set(inputs)].map((input) => {
    const decoder = new socketParser.Decoder();
    let packet = null;
    decoder.on("decoded", (decoded) => (packet = decoded));
    try {
      decoder.add(input);
    } catch (error) {
      return { input, error: error.message };
    }
    return { input, packet: packet && describe(packet) };
  });
}

// msgpack: what the encoder writes, and what else a client could send.
function msgpack() {
  const list = [...packets(), ...controls].map((packet) => ({
    packet: describe(packet),
    encoded: describe(new msgpackParser.Encoder().encode(packet)[0]),
  }));
  const extra = [
    { type: 2, data: ["date", new Date(951782400123), new Date(-1)], options: { compress: true }, nsp: "/" },
    { type: 2, data: ["undefined", undefined, 1], id: undefined, nsp: "/" },
    { type: 2, data: ["typed", new Uint8Array([1, 2, 3]), new Uint8Array(8).buffer, new Uint8Array(1).buffer], nsp: "/" },
    { type: 0, data: undefined, nsp: "/" },
    { type: 2, data: ["float", 1.5, -1.5e-7], nsp: "/", id: 4294967296 },
  ];
  return list.concat(
    extra.map((packet) => {
      const described = describe(packet);
      delete described.options;
      if (packet.id === undefined) delete described.id;
      if (packet.data === undefined) delete described.data;
      return { packet: described, encoded: describe(new msgpackParser.Encoder().encode(packet)[0]) };
    })
  );
}

function msgpackBad() {
  const { encode } = require("notepack.io");
  return [
    1, "text", null, [], {}, { type: 2 }, { type: 2, nsp: "/" }, { type: 2, nsp: "/", data: {} }, { type: 2, nsp: "/", data: "a" },
    { type: 5, nsp: "/", data: ["a"] }, { type: -1, nsp: "/", data: ["a"] }, { type: "2", nsp: "/", data: ["a"] }, { type: 2, nsp: 1, data: ["a"] },
    { type: 2, nsp: "/", data: ["a"], id: "1" }, { type: 2, nsp: "/", data: ["a"], id: 1.5 }, { type: 2, nsp: "/", data: ["a"], id: null },
    { type: 0, nsp: "/", data: "a" }, { type: 0, nsp: "/", data: [] }, { type: 1, nsp: "/", data: {} }, { type: 4, nsp: "/" }, { type: 4, nsp: "/", data: 1 },
    { type: 3, nsp: "/", id: 1, data: {} }, { type: 2.5, nsp: "/", data: ["a"] },
  ].map((value) => {
    const encoded = encode(value);
    let ok = true;
    try {
      new msgpackParser.Decoder().add(encoded);
    } catch {
      ok = false;
    }
    return { value: describe(value), encoded: describe(encoded), ok };
  });
}

const enginePackets = [
  [{ type: "message", data: "hello" }],
  [{ type: "message", data: "" }],
  [{ type: "open", data: "{\"sid\":\"x\"}" }, { type: "message", data: "0" }],
  [{ type: "ping" }, { type: "pong", data: "probe" }, { type: "close" }, { type: "noop" }, { type: "upgrade" }],
  [{ type: "message", data: "€é😀 text" }, { type: "message", data: "b" }],
  [{ type: "message", data: bytes(1, 2, 3, 4) }],
  [{ type: "message", data: bytes() }, { type: "message", data: "after" }],
  [{ type: "message", data: "before" }, { type: "message", data: bytes(0, 255, 30, 128) }, { type: "message", data: "€" }],
  [{ type: "message", data: Buffer.from([...Array(300).keys()]) }],
];

const describePackets = (list) => list.map((packet) => ({ type: packet.type, data: describe(packet.data === undefined ? "" : packet.data) }));

function engineDecoded(inputs, decode) {
  return inputs.map((input) => ({ input: describe(input), packets: describePackets(decode(input)) }));
}

function engine4() {
  const encoded = enginePackets.map((list) => {
    const entry = { packets: describePackets(list) };
    engineV4.encodePayload(list, (payload) => (entry.payload = payload));
    entry.frames = [];
    list.forEach((packet) => engineV4.encodePacket(packet, true, (frame) => entry.frames.push(describe(frame))));
    return entry;
  });
  const inputs = ["", "4", "4a\x1e", "\x1e4a", "4a\x1e\x1e4b", "7", "9abc", "x", "é", "bAQID", "bAQI=", "bAQI", "b", "4a\x1ebAQIDBA==\x1e2", "6\x1e6\x1e6", "4a\x1e8\x1e4b", "0{}", "2probe"];
  return { encoded, decoded: engineDecoded(inputs, (input) => engineV4.decodePayload(input, "nodebuffer")) };
}

function engine3() {
  const encoded = enginePackets.map((list) => {
    const entry = { packets: describePackets(list) };
    engineV3.encodePayload(list, false, (payload) => (entry.text = payload));
    engineV3.encodePayloadAsBinary(list, (payload) => (entry.binary = describe(payload)));
    entry.frames = [];
    list.forEach((packet) => engineV3.encodePacket(packet, true, (frame) => entry.frames.push(describe(frame))));
    return entry;
  });
  const decode = (input) => {
    const list = [];
    engineV3.decodePayload(input, "nodebuffer", (packet) => {
      list.push(packet);
      return packet.type !== "error";
    });
    return list;
  };
  const inputs = [
    "", "1", "1:", "1:4", "2:4a1:2", "0:", "1:9", "x:4a", "2:4", "3:4€€", "3:4😀", "2:4😀", "10:b4AQIDBA==", "2:b4", "-1:4", "1.5:4", "1:2:4", "2:4a3",
    bytes(), bytes(0), bytes(0, 1, 255), bytes(0, 1, 255, 52), bytes(0, 2, 255, 52, 97, 1, 3, 255, 4, 1, 2), bytes(1, 1, 255, 4), bytes(0, 4, 255, 52, 0xe2, 0x82, 0xac),
    bytes(0, 1, 0, 255, 52, 97, 97, 97, 97, 97, 97, 97, 97, 97),
  ];
  return { encoded, decoded: engineDecoded(inputs, decode) };
}

save("socket-encoded.json", socketEncoded());
save("socket-decoded.json", socketDecoded());
save("msgpack.json", { packets: msgpack(), bad: msgpackBad() });
save("engine-v4.json", engine4());
save("engine-v3.json", engine3());
