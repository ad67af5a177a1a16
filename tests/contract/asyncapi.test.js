// The official parser reads the AsyncAPI documents; a validator of JSON Schema and Rust judge samples alike.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { DiagnosticSeverity, Parser } from "@asyncapi/parser";
import { Ajv } from "ajv";
import formats from "ajv-formats";

const here = import.meta.dirname;
const root = join(here, "../..");
const everything = join(here, "generated/everything.asyncapi.json");
const read = (file) => readFileSync(file, "utf8");

for (const file of [everything, join(root, "examples/asyncapi.json")]) {
  test(`${file.slice(root.length + 1)} is an AsyncAPI 3 document`, async () => {
    const { document, diagnostics } = await new Parser().parse(read(file));
    const problems = diagnostics.filter(({ severity }) => severity <= DiagnosticSeverity.Warning);
    // A contract has no server, contact or licence.
    const advice = ["asyncapi-id", "asyncapi-info-contact", "asyncapi-info-license", "asyncapi-servers"];
    const left = problems.filter(({ code }) => !advice.some((one) => String(code).startsWith(one)));
    assert.deepEqual(left, []);
    assert.equal(document.version(), "3.0.0");
    assert.ok(document.operations().all().length > 0);
  });
}

test("operations, messages and replies are found", async () => {
  const { document } = await new Parser().parse(read(everything));
  const operation = (id) => document.operations().all().find((one) => one.id() === id);
  const say = operation("every--thing-.receive.say");
  assert.equal(say.action(), "receive");
  assert.equal(say.channels().all()[0].address(), "/every-{thing}");
  assert.deepEqual(say.messages().all().map((message) => message.name()), ["say"]);
  const replies = say.reply().messages().all().map((message) => message.title());
  assert.deepEqual(replies, ["Acknowledgement of say", "Rejection"]);
  assert.equal(operation("every--thing-.send.said").reply(), undefined);
});

test("samples are valid if and only if Rust accepts them", () => {
  const document = JSON.parse(read(everything));
  // The formats of Rust's numbers are annotations; `minimum` and `maximum` are the rules.
  const numbers = ["uint8", "uint32", "uint64", "int32", "int64", "double"];
  const notes = Object.fromEntries([...numbers, "binary"].map((name) => [name, true]));
  const ajv = new Ajv({ strict: false, allErrors: true, formats: notes });
  formats(ajv);
  ajv.addSchema(document, "document");
  const messages = document.channels["every--thing-"].messages;
  for (const { message, payload, valid } of JSON.parse(read(join(here, "generated/samples.json")))) {
    const reference = messages[message]?.$ref;
    assert.ok(reference, `${message} is among ${Object.keys(messages).join(", ")}`);
    const validate = ajv.compile({ $ref: `document${reference}/payload` });
    assert.equal(validate(payload), valid, `${message} ${JSON.stringify(payload)} ${ajv.errorsText(validate.errors)}`);
  }
});
