// Runs the tests of clusters with Node's socket.io and Fanfare: `node run.js [part of a file's name...]`.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";

process.chdir(import.meta.dirname);
const wanted = process.argv.slice(2);
const files = readdirSync("test").filter((name) => name.endsWith(".test.js"))
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  .map((name) => `test/${name}`);
const { status } = spawnSync(
  process.execPath,
  ["--test", `--test-reporter=${process.env.REPORTER || "spec"}`, "--test-reporter-destination=stdout", "--test-concurrency=2", ...files],
  { stdio: "inherit" },
);
process.exit(status ?? 1);
