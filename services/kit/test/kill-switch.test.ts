import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openKillSwitch, type SwitchState } from "@sotto/kit";
import fc from "fast-check";

/** A switch over content that the test sets; `next` lets it look once more. */
function stage(context: TestContext, first: string | undefined | Error) {
  context.mock.timers.enable({ apis: ["setInterval"] });
  let content = first;
  const changes: SwitchState[] = [];
  const read = (): string | undefined => {
    if (content instanceof Error) throw content;
    return content;
  };
  const killSwitch = openKillSwitch("/switch", (state) => changes.push(state), { read, pollMs: 100 });
  context.after(killSwitch.close);
  const next = (now: string | undefined | Error): SwitchState => {
    content = now;
    context.mock.timers.tick(100);
    return killSwitch.state();
  };
  return { killSwitch, changes, next };
}

test("without a file the switch is on, and stays on", (context) => {
  context.mock.timers.enable({ apis: ["setInterval"] });
  const killSwitch = openKillSwitch(undefined, () => assert.fail("changed"));
  context.mock.timers.tick(10_000);
  assert.equal(killSwitch.state(), "on");
  killSwitch.close();
});

test("audit 29: off is seen within one look, and each change is told once", (context) => {
  const { killSwitch, changes, next } = stage(context, "on\n");
  assert.equal(killSwitch.state(), "on");
  assert.equal(next("on\n"), "on");
  assert.equal(next("off\n"), "off");
  assert.equal(next("off\n"), "off");
  assert.equal(next("on\n"), "on");
  assert.deepEqual(changes, ["off", "on"]);
  killSwitch.close();
  assert.equal(next("off\n"), "on", "nobody looks any more");
});

test("audit 29: a file that was never there leaves it on; one that goes, turns it off until it is back", (context) => {
  const { changes, next } = stage(context, undefined);
  assert.equal(next(undefined), "on");
  assert.equal(next("on\n"), "on");
  assert.equal(next(undefined), "off");
  assert.equal(next("on\n"), "on");
  assert.deepEqual(changes, ["off", "on"]);
});

test("audit 29: a file that cannot be read turns it off, from the start or later", (context) => {
  const { killSwitch, next } = stage(context, new Error("canary"));
  assert.equal(killSwitch.state(), "off");
  assert.equal(next(undefined), "off");
  assert.equal(next("on\n"), "on");
  assert.equal(next(new Error("canary")), "off");
});

test("audit 29: whatever is not the word is off", (context) => {
  const { next } = stage(context, "on\n");
  const odd = fc.oneof(
    fc.string({ unit: "binary", maxLength: 10 }),
    fc.constantFrom(
      "on",
      "ON\n",
      "on\r\n",
      " on\n",
      "on\n\n",
      "on\noff\n",
      "\ufeffon\n",
      "1\n",
      "true\n",
      "",
    ),
  );
  fc.assert(
    fc.property(odd, (content) => {
      fc.pre(content !== "on\n");
      assert.equal(next("on\n"), "on");
      assert.equal(next(content), "off");
    }),
  );
});

test("audit 29: real files: gone, too long, a folder, a pipe, a link to nowhere", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "sotto-switch-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "switch");
  writeFileSync(path, "on\n");
  const changed: ((state: SwitchState) => void)[] = [];
  const killSwitch = openKillSwitch(path, (state) => changed.shift()?.(state), { pollMs: 2 });
  context.after(killSwitch.close);
  const keepAlive = setInterval(() => {}, 1000); // the switch alone keeps no process running
  context.after(() => clearInterval(keepAlive));
  const changes = async (change: () => void, expected: SwitchState): Promise<void> => {
    const seen = new Promise<SwitchState>((resolve) => changed.push(resolve));
    change();
    assert.equal(await seen, expected);
    assert.equal(killSwitch.state(), expected);
  };
  const replaceBy = (make: () => void) => () => {
    rmSync(path, { recursive: true });
    make();
  };
  const on = (): void => {
    rmSync(path, { recursive: true, force: true });
    writeFileSync(`${path}.new`, "on\n");
    renameSync(`${path}.new`, path);
  };
  const odd = [
    () => {},
    () => writeFileSync(path, "on\n".repeat(1_000_000)),
    () => mkdirSync(path),
    () => symlinkSync(join(folder, "absent"), path),
    () => symlinkSync("/dev/zero", path),
    ...(process.platform === "win32" ? [] : [() => void execFileSync("mkfifo", [path])]),
  ];
  assert.equal(killSwitch.state(), "on");
  for (const make of odd) {
    await changes(replaceBy(make), "off");
    await changes(on, "on");
  }
});
