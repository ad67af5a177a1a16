// The files in deploy/ that need no server: systemd's own check, and what manifests promise each other.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse, parseAllDocuments } from "yaml";

import { configured, installed, root, workspace } from "./programs.js";

const file = (name) => readFileSync(join(root, "deploy", name), "utf8");

function verify(context, text) {
  const { folder } = workspace(context);
  const unit = join(folder, "chat.service");
  writeFileSync(unit, text);
  return spawnSync("systemd-analyze", ["verify", unit], { encoding: "utf8" });
}

const systemd = { skip: installed("systemd-analyze", "--version") ? false : "systemd-analyze is not installed" };

test("systemd accepts the unit", systemd, (context) => {
  const { status, stderr } = verify(context, configured("systemd/chat.service", [["/usr/local/bin/chat", "/bin/true"]]));
  assert.equal(status, 0, stderr);
  // Warnings do not change the exit code.
  assert.ok(!stderr.includes("chat.service"), stderr);
});

test("systemd's check finds a wrong option", systemd, (context) => {
  const { stderr } = verify(context, configured("systemd/chat.service", [["/usr/local/bin/chat", "/bin/true"], ["ProtectHome=", "ProtectHouse="]]));
  assert.match(stderr, /ProtectHouse/);
});

test("settings of the kernel exist", { skip: process.platform === "linux" ? false : "this is not Linux" }, () => {
  for (const line of file("systemd/99-chat.conf").split("\n").filter((line) => line && !line.startsWith("#"))) {
    const name = line.split("=")[0].trim();
    readFileSync(join("/proc/sys", ...name.split(".")));
  }
});

/** Documents of the manifest, by kind. */
function manifest() {
  const documents = parseAllDocuments(file("kubernetes/chat.yaml"), { uniqueKeys: true, strict: true });
  for (const document of documents) assert.deepEqual(document.errors, []);
  return Object.fromEntries(documents.map((document) => document.toJS()).map((object) => [object.kind, object]));
}

test("objects of Kubernetes refer to each other", () => {
  const { Deployment, Service, Ingress, PodDisruptionBudget, HorizontalPodAutoscaler } = manifest();
  const labels = Deployment.spec.template.metadata.labels;
  for (const selector of [Deployment.spec.selector.matchLabels, Service.spec.selector, PodDisruptionBudget.spec.selector.matchLabels]) {
    assert.deepEqual(selector, labels);
  }
  const [container] = Deployment.spec.template.spec.containers;
  const ports = container.ports.map(({ name }) => name);
  assert.ok(ports.includes(Service.spec.ports[0].targetPort));
  assert.ok(ports.includes(container.readinessProbe.httpGet.port));
  const { backend } = Ingress.spec.rules[0].http.paths[0];
  assert.equal(backend.service.name, Service.metadata.name);
  assert.equal(backend.service.port.name, Service.spec.ports[0].name);
  assert.equal(HorizontalPodAutoscaler.spec.scaleTargetRef.name, Deployment.metadata.name);
  assert.ok(HorizontalPodAutoscaler.spec.minReplicas > PodDisruptionBudget.spec.minAvailable);
});

test("files of Traefik and Compose are YAML, and name what exists", () => {
  const dynamic = parse(file("traefik/dynamic.yml"), { strict: true });
  const fixed = parse(file("traefik/traefik.yml"), { strict: true });
  const { service, entryPoints, tls } = dynamic.http.routers.fanfare;
  assert.ok(dynamic.http.services[service]);
  assert.ok(entryPoints.every((name) => fixed.entryPoints[name]));
  assert.ok(fixed.certificatesResolvers[tls.certResolver]);
  const compose = parse(file("docker/compose.yaml"), { strict: true });
  for (const { depends_on: needs = [] } of Object.values(compose.services)) {
    for (const name of needs) assert.ok(compose.services[name], name);
  }
});
