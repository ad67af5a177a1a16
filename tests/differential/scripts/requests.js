// E30: HTTP/1 below Engine.IO: what is a request, where it ends, and what becomes of the connection.
import net from "node:net";
import { script } from "../harness.js";

const OPEN = "/socket.io/?EIO=4&transport=polling";
const get = (target, headers = "") => `GET ${target} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;
const last = get("/nothing-here", "Connection: close\r\n");
const many = (n) => Array.from({ length: n }, (_, i) => `X-${i}: y\r\n`).join("");

/** The status lines that come until the server ends the connection. */
async function statuses(s, label, input) {
  const text = await new Promise((resolve) => {
    const socket = net.connect(s.fixture.port, "127.0.0.1");
    const parts = [];
    socket.on("error", () => {}).on("data", (part) => parts.push(part)).on("close", () => resolve(Buffer.concat(parts).toString("latin1")));
    socket.write(input);
  });
  s.note(label, [...text.matchAll(/HTTP\/1\.1 (\d\d\d)/g)].map(([, status]) => status).join(" "));
}

const goesOn = {
  "quotes in a query": get(`${OPEN}&a="b"`),
  "angle brackets in a query": get(`${OPEN}&a=<b>`),
  "braces in a query": get(`${OPEN}&a={b|c}\\^\``),
  "quotes in the path": get('/socket.io/"<>?EIO=4&transport=polling'),
  "101 headers": get(OPEN, many(101)),
  "500 headers": get(OPEN, many(500)),
  "an empty upgrade": get(OPEN, "Connection: upgrade\r\nUpgrade:\r\n"),
  "an upgrade without its token": get(OPEN, "Upgrade: websocket\r\n"),
  "empty lines before a request": `\r\n\r\n${get(OPEN)}`,
  "a chunked GET": get(OPEN, "Transfer-Encoding: chunked\r\n") + "2;a=b\r\nab\r\n0\r\nA: b\r\n\r\n",
  "a GET with a body": get(OPEN, "Content-Length: 3\r\n") + "abc",
  "HTTP/1.0 that stays": `GET ${OPEN} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n`,
  "a header in Latin-1": Buffer.from(get(OPEN, "A: \xe9\r\n"), "latin1"),
  "two at once": get(OPEN).repeat(2),
};
for (const [name, input] of Object.entries(goesOn)) {
  script(`requests: ${name}`, { rows: "E30" }, (s) => statuses(s, name, Buffer.concat([Buffer.from(input), Buffer.from(last)])));
}

const ends = {
  "LF for CRLF": `GET ${OPEN} HTTP/1.1\nHost: x\n\n`,
  "LF for one CRLF": get(OPEN, "A: b\n"),
  "CR for one CRLF": get(OPEN, "A: b\rC: d\r\n"),
  "no host": `GET ${OPEN} HTTP/1.1\r\n\r\n`,
  "bytes in a query": get(`${OPEN}&a=é`),
  "a space in a query": get(`${OPEN}&a=b c`),
  "two lengths": get(OPEN, "Content-Length: 1\r\nContent-Length: 1\r\n") + "a",
  "a list of lengths": get(OPEN, "Content-Length: 1, 1\r\n") + "a",
  "no digits": get(OPEN, "Content-Length: +1\r\n") + "a",
  "a length and chunks": get(OPEN, "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
  "a folded header": get(OPEN, "A: b\r\n c\r\n"),
  "a space before the colon": get(OPEN, "A : b\r\n"),
  "a NUL": get(OPEN, "A: b\0c\r\n"),
  "HTTP/1.0": `GET ${OPEN} HTTP/1.0\r\n\r\n`,
  "close": get(OPEN, "Connection: close\r\n"),
  "too long": get(OPEN, `A: ${"y".repeat(20_000)}\r\n`),
};
for (const [name, input] of Object.entries(ends)) {
  script(`requests: ${name}`, { rows: "E30" }, (s) => statuses(s, name, input));
}

script("requests: a post behind a poll on one connection", { rows: "E9 E30" }, async (s) => {
  const session = await s.polling();
  const post = `POST ${session.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n40`;
  await statuses(s, "both", get(session.path) + post + last);
});
