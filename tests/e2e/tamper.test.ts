import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { root, type Stack, sotto, startStack } from "./stack.ts";

let clone: string;
let folder: string;

/** A second clone with everything installed; large files are shared where the file system can. */
function copyClone(): string {
  const target = mkdtempSync(join(tmpdir(), "sotto-clone-"));
  if (process.platform === "linux") execFileSync("cp", ["-a", "--link", `${root}/.`, target]);
  else cpSync(root, target, { recursive: true, verbatimSymlinks: true });
  return target;
}

/** Replaces a file by a changed copy, so that a shared original stays as it is. */
function change(path: string, edit: (path: string) => void): () => void {
  const kept = `${path}.kept`;
  renameSync(path, kept);
  copyFileSync(kept, path);
  edit(path);
  return () => renameSync(kept, path);
}

before(async () => {
  clone = copyClone();
  folder = mkdtempSync(join(tmpdir(), "sotto-test-"));
  const stack = await startStack({ root: clone, folder });
  const verified = await sotto(stack, ["verify", "--json"]);
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  assert.equal(await stack.stop(), 0);
});

after(() => {
  rmSync(clone, { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
});

/** What a client says of a stack that is not what was released. */
async function refusal(args: readonly string[] = []) {
  const stack: Stack = await startStack({ root: clone, folder, args });
  try {
    const verify = await sotto(stack, ["verify", "--json"]);
    const chat = await sotto(stack, ["chat", "a question that must stay at home"]);
    return { verify, chat };
  } finally {
    await stack.stop();
  }
}

test("one byte changed in a source file of the orchestrator, after release", async () => {
  const undo = change(join(clone, "services/orchestrator/src/sealed/orchestrator.ts"), (path) =>
    appendFileSync(path, "\n"),
  );
  const { verify, chat } = await refusal();
  undo();
  assert.equal(verify.code, 10);
  const verification = JSON.parse(verify.stdout);
  assert.equal(verification.overall, "refused");
  assert.equal(verification.code, "measurement-mismatch");
  const failed = verification.checks.filter(({ status }: { status: string }) => status === "fail");
  assert.deepEqual(
    failed.map(({ id }: { id: string }) => id),
    ["release.measurement"],
  );
  assert.match(failed[0].detail, /not what was released/);
  assert.equal(chat.code, 10);
  assert.equal(chat.stdout, "");
  assert.match(chat.stderr, /not what was released/);
});

test("a file added to the orchestrator, after release", async () => {
  const added = join(clone, "services/orchestrator/src/added.ts");
  writeFileSync(added, "export {};\n");
  const { verify, chat } = await refusal();
  rmSync(added);
  assert.equal(verify.code, 10);
  assert.equal(JSON.parse(verify.stdout).code, "measurement-mismatch");
  assert.equal(chat.code, 10);
});

test("the model swapped, after release", async () => {
  const model = join(folder, "data", "sotto-babble.gguf");
  const undo = change(model, (path) => {
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
    writeFileSync(path, bytes);
  });
  const { verify, chat } = await refusal();
  undo();
  assert.equal(verify.code, 10);
  assert.equal(JSON.parse(verify.stdout).code, "predictor-refused");
  assert.equal(chat.code, 10);
  assert.match(chat.stderr, /predictor/);
});

test("put back as it was, it is accepted again", async () => {
  const stack = await startStack({ root: clone, folder });
  const verify = await sotto(stack, ["verify"]);
  assert.equal(await stack.stop(), 0);
  assert.equal(verify.code, 0, verify.stdout);
  assert.match(verify.stdout, /SIMULATED/);
});
