// The compiler of TypeScript reads the declarations and code that uses them.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const here = import.meta.dirname;

function tsc(folder) {
  const script = join(here, "node_modules/typescript/bin/tsc");
  const { status, stdout } = spawnSync(process.execPath, [script, "-p", folder], { encoding: "utf8" });
  return { status, stdout };
}

test("front ends compile, and their errors are found", () => {
  const { status, stdout } = tsc(here);
  assert.equal(status, 0, stdout);
});

/** Compiles with a change of the declarations that a change of the contract in Rust makes. */
function changed(from, to) {
  const folder = mkdtempSync(join(here, "node_modules", ".changed-"));
  try {
    for (const name of ["client.ts", "node.ts", "tsconfig.json", "generated"]) {
      cpSync(join(here, name), join(folder, name), { recursive: true });
    }
    symlinkSync(join(here, "node_modules"), join(folder, "node_modules"));
    const file = join(folder, "generated/everything.d.ts");
    const before = readFileSync(file, "utf8");
    const after = before.replaceAll(from, to);
    assert.notEqual(after, before, `${from} is not there`);
    writeFileSync(file, after);
    return tsc(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

for (const [what, from, to, complaint] of [
  ["a field has another name", "roomName:", "room:", "Property 'room' is missing"],
  ["a field has another type", "roomName: string", "roomName: number", "'string' is not assignable to type 'number'"],
  ["an event has another name", "refresh: ", "reload: ", "'\"refresh\"' is not assignable"],
  ["a value of an enum is gone", ' | "warning"', "", "Argument of type 'true' is not assignable"],
]) {
  test(`the compiler complains when ${what}`, () => {
    const { status, stdout } = changed(from, to);
    assert.notEqual(status, 0);
    assert.match(stdout, new RegExp(complaint.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")), stdout);
  });
}
