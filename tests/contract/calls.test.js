// The cheat sheet of the book has every member of socket.io and socket.io-client, and no other.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const here = import.meta.dirname;
const table = readFileSync(join(here, "../../book/node/calls.tsv"), "utf8");

/** The types of the table, as the packages export them. */
const types = {
  Server: "server.Server",
  Namespace: "server.Namespace",
  BroadcastOperator: "server.BroadcastOperator<any, any>",
  ServerSocket: "server.Socket",
  RemoteSocket: "server.RemoteSocket<any, any>",
  ServerOptions: "server.ServerOptions",
  ClientSocket: "client.Socket",
  Manager: "client.Manager",
  ManagerOptions: "client.ManagerOptions",
  SocketOptions: "client.SocketOptions",
};

/** The members that the table lists, by type. */
function listed(text) {
  const members = new Map(Object.keys(types).map((name) => [name, []]));
  for (const line of text.split("\n").filter((line) => line && !line.startsWith("#"))) {
    const [type, names] = line.split("\t");
    assert.ok(members.has(type), `unknown type ${type}`);
    members.get(type).push(...names.split(" "));
  }
  return members;
}

/** Compiles a program that assigns each list of members to the type's keys, and the other way round. */
function compile(text) {
  const lines = [
    'import type * as server from "socket.io";',
    'import type * as client from "socket.io-client";',
    // Names with an underscore are private by convention.
    "type Keys<T> = Exclude<{ [K in keyof T]-?: K }[keyof T], `_${string}` | symbol>;",
  ];
  for (const [name, members] of listed(text)) {
    const union = members.map((member) => JSON.stringify(member)).join(" | ");
    lines.push(`export const none${name}: [Exclude<Keys<${types[name]}>, ${union}>] extends [never] ? true : Exclude<Keys<${types[name]}>, ${union}> = true;`);
    lines.push(`export const known${name}: [Exclude<${union}, Keys<${types[name]}>>] extends [never] ? true : Exclude<${union}, Keys<${types[name]}>> = true;`);
  }
  // Inside this folder, so that the packages are found.
  const folder = mkdtempSync(join(here, "node_modules", ".calls-"));
  try {
    const file = join(folder, "calls.ts");
    writeFileSync(file, lines.join("\n"));
    const options = ["--ignoreConfig", "--noEmit", "--noErrorTruncation", "--skipLibCheck", "--strict", "--module", "nodenext", "--target", "es2023"];
    const script = join(here, "node_modules/typescript/bin/tsc");
    const { status, stdout } = spawnSync(process.execPath, [script, ...options, file], { encoding: "utf8" });
    return { status, stdout };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("no member is missing, and none is invented", () => {
  const { status, stdout } = compile(table);
  assert.equal(status, 0, stdout);
});

test("every member is listed once", () => {
  for (const [name, members] of listed(table)) {
    const twice = members.filter((member, index) => members.indexOf(member) !== index);
    assert.deepEqual(twice, [], name);
  }
});

test("a member that is missing or invented is found", () => {
  assert.match(compile(table.replace("fetchSockets\t", "allSocket\t")).stdout, /'"fetchSockets"'/);
  assert.match(compile(table.replace("Server\tuse\t", "Server\tuse useAll\t")).stdout, /'"useAll"'/);
});
