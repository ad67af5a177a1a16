// Runs the interop tests: FIXTURE=rust (default) or FIXTURE=node, the reference.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { SERVER, features } from "./lib/fixture.js";

process.chdir(import.meta.dirname);
const available = await features();
const wanted = process.argv.slice(2);
const files = readdirSync("test").filter((name) => name.endsWith(".test.js"))
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  .map((name) => `test/${name}`);
console.log(`fixture server: ${SERVER}; features: ${available.join(", ") || "none"}`);
const reporter = process.env.REPORTER || "spec";
const { status } = spawnSync(
  process.execPath,
  ["--test", `--test-reporter=${reporter}`, "--test-reporter-destination=stdout", "--test-concurrency=2", ...files],
  { stdio: "inherit", env: { ...process.env, FEATURES: available.join(",") } },
);
process.exit(status ?? 1);
