// Runs the differential tests: FIXTURE=rust (default), or FIXTURE=node to prove the scripts (Node against Node).
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";

process.chdir(import.meta.dirname);
if (!existsSync("../interop/node_modules")) {
  // The reference server lives there.
  spawnSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd: "../interop", stdio: "inherit" });
}
const { SERVER, features } = await import("../interop/lib/fixture.js");
const available = await features();
const wanted = process.argv.slice(2);
const files = readdirSync("scripts").filter((name) => name.endsWith(".js"))
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  .map((name) => `scripts/${name}`);
console.log(`node compared with ${SERVER}; features: ${available.join(", ") || "none"}`);
const { status } = spawnSync(
  process.execPath,
  ["--test", `--test-reporter=${process.env.REPORTER || "spec"}`, "--test-reporter-destination=stdout",
    "--test-concurrency=2", ...files],
  // With one thread our server reads what came first before what came later on another connection, as Node does:
  // `settle` relies on it.
  { stdio: "inherit", env: { ...process.env, FEATURES: available.join(","), TOKIO_WORKER_THREADS: "1" } },
);
process.exit(status ?? 1);
