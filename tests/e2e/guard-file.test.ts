// A stack whose questions are judged by a model file, in a sealed process with the engine in it.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { decodeBase64, decodeUtf8 } from "@sotto/base";
import { writeBabbleModel } from "../../tools/up/src/babble.ts";
import { type Stack, sotto, startStack } from "./stack.ts";

const folder = mkdtempSync(join(tmpdir(), "sotto-test-"));
// It says the same word to everything, if it is asked by a template that was taken to its end.
const template = `{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}
{% endfor %}Is that safe?`;
let stack: Stack;

before(async () => {
  const path = join(folder, "judge.gguf");
  writeBabbleModel(path, { words: ["safe"], template });
  stack = await startStack({ args: ["--guard-model", path] });
});

after(async () => {
  const code = await stack.stop();
  rmSync(folder, { recursive: true, force: true });
  assert.equal(code, 0);
});

test("it judges with its own template, and what it calls safe is answered", async () => {
  const response = await fetch(`${stack.endpoint}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: "default",
      messages: [{ role: "user", content: "How do apple trees grow?" }],
    }),
  });
  assert.equal(response.status, 200);
  const [choice] = JSON.parse(await response.text()).choices;
  // Babble may be cut by the guard over answers; that the question could not be judged would be another category.
  assert.notEqual(choice.content_filter?.category, "unjudged", choice.message.content);
  assert.ok(choice.message.content.length > 0);
});

test("its weights are in the log, and named in the release that clients are shown", async () => {
  const released = JSON.parse(readFileSync(join(stack.folder, "release.json"), "utf8"));
  const [release, weights] = [released.guard, released.guardWeights].map((text: string) =>
    JSON.parse(decodeUtf8(decodeBase64(text))),
  );
  assert.deepEqual([release.role, weights.name], ["guard", "judge"]);
  assert.deepEqual(
    release.weights,
    weights.files.map(({ digest }: { digest: string }) => digest),
  );
  const verify = await sotto(stack, ["verify", "--json"]);
  const { checks } = JSON.parse(verify.stdout);
  const role = checks.find(({ id }: { id: string }) => id === "peers.1.release.role");
  assert.equal(role?.detail, "released as guard", "nothing is said to be missing");
});
