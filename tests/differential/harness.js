// Runs a script against the reference and against the server under test, and compares what came out.
import assert from "node:assert/strict";
import { once } from "node:events";
import { appendFileSync, readFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { after, test } from "node:test";
import { WebSocket } from "ws";
import { DEADLINE, Fixture, SERVER, features } from "../interop/lib/fixture.js";

const { reasons, differences: known } = JSON.parse(readFileSync(new URL("differences.json", import.meta.url)));
for (const { script, why } of known) assert.ok(why in reasons, `the difference in "${script}" has no reason`);
const available = await features();

/** Headers that are the HTTP library's business, or differ by chance. */
const IGNORED = new Set(["date", "keep-alive", "sec-websocket-accept"]);

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing for ${DEADLINE} ms`)), DEADLINE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function describeHeaders(headers) {
  return Object.entries(headers)
    .filter(([name, value]) => !IGNORED.has(name) && !(name === "connection" && /keep-alive|close/i.test(value)))
    .map(([name, value]) => `${name}: ${value}`).sort();
}

/** Text with invisible characters made visible, and long runs shortened. */
const visible = (text) => JSON.stringify(text).replace(/(.)\1{99,}/g, (run, char) => `${char}×${run.length}`);

/** One run of a script against one server: does what it is told and writes down what it sees. */
export class Script {
  lines = [];
  #sockets = 0;
  #cleanup = [];

  constructor(fixture) {
    this.fixture = fixture;
  }

  note(label, text) {
    this.lines.push(text === undefined ? label : `${label}: ${text}`);
  }

  /** Sends a request; resolves to the response, unrecorded. */
  request(path, { method = "GET", headers = {}, body, chunked = false } = {}) {
    const request = http.request({ port: this.fixture.port, host: "127.0.0.1", path, method, headers, agent: false });
    if (body !== undefined && !chunked) request.setHeader("content-length", Buffer.byteLength(body));
    request.flushHeaders();
    const response = new Promise((resolve) => {
      request.on("response", (message) => {
        const parts = [];
        message.on("data", (part) => parts.push(part));
        message.on("error", () => resolve({ broken: "in the body" }));
        message.on("end", () => resolve({
          status: message.statusCode, headers: message.headers, body: Buffer.concat(parts).toString(), bytes: Buffer.concat(parts),
        }));
      });
      request.on("error", () => resolve({ broken: "without an answer" }));
    });
    request.end(body);
    const promise = within(response, `${method} ${path}`);
    promise.abort = () => request.destroy();
    return promise;
  }

  record(label, { status, headers, body, bytes, broken }) {
    if (broken) return this.note(label, `connection ended ${broken}`);
    this.note(label, `${status}`);
    const shown = { ...headers };
    // Node sends what it did not measure in chunks; the length is there either way.
    if (shown["transfer-encoding"] === "chunked") {
      delete shown["transfer-encoding"];
      shown["content-length"] = Buffer.byteLength(body);
    }
    for (const header of describeHeaders(shown)) this.note(`${label}  `, header);
    this.note(`${label}  `, headers["content-type"] === "application/octet-stream" ? bytes.toString("hex") : visible(body));
  }

  /** Sends a request and writes down the answer. */
  async http(label, path, options) {
    const response = await this.request(path, options);
    this.record(label, response);
    return response;
  }

  /** Lets requests that were sent before this reach the server: two round trips of another connection. */
  async settle() {
    for (let i = 0; i < 2; i += 1) await this.request("/nothing-here");
  }

  /** Opens a polling session; resolves to its id and the path for further requests. */
  async polling(query = "") {
    const { body } = await this.request(`/socket.io/?EIO=4&transport=polling${query}`);
    const { sid } = JSON.parse(body.slice(1));
    return { sid, path: `/socket.io/?EIO=4&transport=polling&sid=${sid}` };
  }

  post(label, session, body, options = {}) {
    return this.http(label, session.path, { method: "POST", body, headers: { "content-type": "text/plain;charset=UTF-8" }, ...options });
  }

  /** A polling session in the main namespace; resolves to it with the public id in `id`. */
  async joined(query) {
    const session = await this.polling(query);
    await this.request(session.path, { method: "POST", body: "40" });
    const { body } = await this.request(session.path);
    return { ...session, id: JSON.parse(body.slice(2)).sid };
  }

  /** A raw WebSocket whose messages and end are written down. */
  async ws(label, path = "/socket.io/?EIO=4&transport=websocket", { headers, protocols = [], ...options } = {}) {
    const socket = new WebSocket(`ws://127.0.0.1:${this.fixture.port}${path}`, protocols, {
      perMessageDeflate: false, headers, handshakeTimeout: DEADLINE, ...options,
    });
    const peer = new Peer(this, label, socket);
    this.#cleanup.push(() => socket.terminate());
    await peer.opened;
    return peer;
  }

  /** A raw WebSocket in the main namespace, from where on it is written down. */
  async joinedWs(label = "ws") {
    const peer = await this.ws(label);
    await peer.next();
    peer.send("40");
    const text = await peer.next();
    peer.id = JSON.parse(text.slice(2)).sid;
    return peer;
  }

  /** Sends bytes over TCP and writes down everything until the server closes, or `until` matches. */
  async raw(label, text, { until, quiet = false } = {}) {
    const socket = net.connect(this.fixture.port, "127.0.0.1");
    this.#cleanup.push(() => socket.destroy());
    socket.on("error", () => {});
    socket.write(text);
    const parts = [];
    const end = new Promise((resolve) => {
      socket.on("data", (part) => {
        parts.push(part);
        if (until && until.test(Buffer.concat(parts).toString("latin1"))) resolve("stays open");
      });
      socket.on("close", () => resolve("closes"));
    });
    const how = await within(end, label);
    if (quiet) return;
    const answer = Buffer.concat(parts).toString("latin1");
    const [head, ...rest] = answer.split("\r\n\r\n");
    const [statusLine, ...fields] = head.split("\r\n");
    this.note(label, statusLine);
    const headers = Object.fromEntries(fields.map((field) => {
      const colon = field.indexOf(":");
      return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()];
    }));
    for (const header of describeHeaders(headers)) {
      if (!header.startsWith("content-length")) this.note(`${label}  `, header);
    }
    this.note(`${label}  `, visible(rest.join("\r\n\r\n")));
    this.note(label, how);
  }

  /** Waits for an observation of the server and writes down some members of it. */
  async observed(members, ...show) {
    const seen = await this.fixture.observed(members);
    this.note(`server ${members.type}`, show.map((name) => `${name}=${JSON.stringify(seen[name])}`).join(" "));
  }

  finish() {
    for (const clean of this.#cleanup) clean();
    // Ids are replaced by numbers in the order in which they appear.
    const ids = new Map();
    const learn = (line) => {
      for (const [, id] of line.matchAll(/"sid\\?":\\?"([\w-]{20})|io=([\w-]{20})/g)) if (id) ids.set(id, `<id ${ids.size + 1}>`);
    };
    this.lines.forEach(learn);
    return this.lines.map((line) => line.replace(/[\w-]{20}/g, (text) => ids.get(text) ?? text));
  }
}

class Peer {
  #script;
  #label;
  #socket;
  #queue = [];
  #wake = () => {};

  constructor(script, label, socket) {
    this.#script = script;
    this.#label = label;
    this.#socket = socket;
    const put = (entry) => {
      this.#queue.push(entry);
      this.#wake();
    };
    this.opened = within(new Promise((resolve) => {
      socket.on("upgrade", ({ headers }) => {
        script.note(label, `101 ${describeHeaders(headers).join(", ")}`);
      });
      socket.on("open", resolve);
      socket.on("unexpected-response", (_request, message) => {
        const parts = [];
        message.on("data", (part) => parts.push(part)).on("end", () => {
          script.record(label, { status: message.statusCode, headers: message.headers, body: Buffer.concat(parts).toString() });
          put({ end: "refused" });
          resolve();
        });
      });
      socket.on("error", resolve);
    }), label);
    socket.on("message", (data, binary) => put({ text: binary ? undefined : data.toString(), binary: binary ? data : undefined }));
    socket.on("ping", (data) => put({ control: `ping ${visible(data.toString())}` }));
    socket.on("pong", (data) => put({ control: `pong ${visible(data.toString())}` }));
    socket.on("error", () => {});
    socket.on("close", (code, reason) => put({ end: `close ${code} ${visible(reason.toString())}` }));
  }

  send(data) {
    this.#socket.send(data);
  }

  /** Writes bytes below the WebSocket layer. */
  bytes(data) {
    this.#socket._socket.write(data);
  }

  ping(data) {
    this.#socket.ping(data);
  }

  close(code, reason) {
    this.#socket.close(code, reason);
  }

  terminate() {
    this.#socket.terminate();
  }

  /** Takes the next text without writing it down. */
  async take() {
    const { length } = this.#script.lines;
    const text = await this.next();
    this.#script.lines.length = length;
    return text;
  }

  /** Writes down the next thing that arrives; resolves to its text, or undefined at the end. */
  async next() {
    while (this.#queue.length === 0) await within(new Promise((resolve) => (this.#wake = resolve)), `${this.#label}: next`);
    const { text, binary, control, end } = this.#queue.shift();
    if (end !== undefined) {
      this.ended = true;
      this.#script.note(this.#label, end);
      return undefined;
    }
    if (control !== undefined) this.#script.note(this.#label, control);
    else if (binary !== undefined) this.#script.note(this.#label, `binary ${binary.length > 64 ? `${binary.length} bytes` : binary.toString("hex")}`);
    else this.#script.note(this.#label, visible(text));
    return text ?? control ?? "";
  }

  /** Writes down all that arrives until a text matches, or the end. */
  async until(pattern) {
    for (;;) {
      const text = await this.next();
      if (text === undefined || pattern.test(text)) return text;
    }
  }

  /** Asks for an acknowledgement and writes down all until it comes or the connection ends. */
  async alive() {
    this.send('42777["echo-ack","alive"]');
    await this.until(/^43777/);
  }
}

const servers = new Map();
/** One server for all scripts with the same options, unless a script asks for its own. */
function shared(server, options) {
  const key = server + JSON.stringify(options);
  if (!servers.has(key)) servers.set(key, Fixture.start({ server, options }));
  return servers.get(key);
}
after(async () => {
  // Also if one of them did not start: this process would not end before the others do.
  const started = await Promise.allSettled(servers.values());
  await Promise.all(started.map(({ value }) => value?.stop("SIGKILL")));
});

async function transcript(server, { options = {}, own = false }, body) {
  const fixture = await (own ? Fixture.start({ server, options }) : shared(server, options));
  const script = new Script(fixture);
  try {
    await body(script);
  } catch (error) {
    script.note(`the script failed`, error.message.split("\n")[0]);
  } finally {
    if (own) await fixture.stop("SIGKILL");
  }
  return script.finish();
}

/** Applies the listed differences, which stand in the order of the transcript, to that of the reference. */
function expected(name, lines) {
  const result = [...lines];
  let from = 0;
  for (const { script, node, ours } of known) {
    if (script !== name) continue;
    const at = result.findIndex((_, i) => i >= from && node.every((line, j) => result[i + j] === line));
    assert.ok(at >= 0, `listed but not there: ${node.join("\n")}`);
    result.splice(at, node.length, ...ours);
    from = at + ours.length;
  }
  return result;
}

/** The differences of a comparison, as `differences.json` lists them: each with the line before it, to find its place. */
function hunks(lines) {
  const found = [];
  lines.forEach((line, i) => {
    if (line.startsWith(" ")) return;
    const previous = lines[i - 1];
    if (i === 0 || previous.startsWith(" ")) {
      const before = i === 0 ? [] : [previous.slice(2)];
      found.push({ node: [...before], ours: [...before] });
    }
    found.at(-1)[line.startsWith("-") ? "node" : "ours"].push(line.slice(2));
  });
  return found;
}

/** The lines of two transcripts, marked: `-` only the first has it, `+` only the second. */
function compare(before, after) {
  const width = after.length + 1;
  const common = new Uint32Array((before.length + 1) * width);
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      common[i * width + j] = before[i] === after[j]
        ? common[(i + 1) * width + j + 1] + 1 : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  const lines = [];
  for (let i = 0, j = 0; i < before.length || j < after.length;) {
    if (i < before.length && j < after.length && before[i] === after[j]) {
      lines.push(`  ${before[i++]}`);
      j += 1;
    } else if (j >= after.length || (i < before.length && common[(i + 1) * width + j] >= common[i * width + j + 1])) {
      lines.push(`- ${before[i++]}`);
    } else {
      lines.push(`+ ${after[j++]}`);
    }
  }
  return lines;
}

/** Declares a script. `rows` are the rows of docs/compatibility.md that it shows. */
export function script(name, { rows, needs = [], ...settings }, body) {
  const missing = needs.filter((feature) => !available.includes(feature));
  const skip = missing.length ? `the server has no ${missing.join(", ")}` : false;
  test(`${name} [${rows}]`, { skip }, async () => {
    const node = await transcript("node", settings, body);
    const broken = node.find((line) => line.startsWith("the script failed"));
    assert.ok(!broken, `against the reference, ${broken}\n${node.join("\n")}`);
    const ours = await transcript(SERVER, settings, body);
    if (process.env.SHOW) console.log([name, ...ours].join("\n  "));
    const lines = compare(SERVER === "node" ? node : expected(name, node), ours);
    if (process.env.HUNKS) {
      for (const hunk of hunks(lines)) appendFileSync(process.env.HUNKS, `${JSON.stringify({ script: name, ...hunk })}\n`);
    }
    assert.ok(lines.every((line) => line.startsWith(" ")), `- node, + ${SERVER}\n${lines.join("\n")}`);
  });
}

/** Waits for the exit of a fixture that a script told to stop. */
export const exited = (fixture) => fixture.stop("SIGTERM");
export { once };
