import assert from "node:assert/strict";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { encodeHex, encodeUtf8 } from "@sotto/base";
import { leafHash, verifyLoggedEntry } from "@sotto/log";
import { type LogStore, openFileStore } from "../src/file-store.ts";
import type { Sequencer } from "../src/sequencer.ts";
import { clock, createFakeWitness, createFolder, entryOf, openLog, policy } from "./stage.ts";

async function isProved(sequencer: Sequencer, index: number): Promise<boolean> {
  const entry = entryOf(index);
  const proof = sequencer.prove(encodeHex(leafHash(entry)));
  if (proof === undefined) return false;
  await verifyLoggedEntry({ entry, proof, policy, nowMs: clock(), maxAgeMs: 60_000 });
  return true;
}

test("entries that arrive together get an index each, and a proof that clients accept", async () => {
  const { sequencer, store } = openLog(createFolder(), createFakeWitness().cosign);
  const indexes = await Promise.all(Array.from({ length: 600 }, (_, index) => sequencer.add(entryOf(index))));
  assert.deepEqual(
    [...new Set(indexes)].sort((a, b) => a - b),
    indexes.map((_, index) => index),
  );
  for (const index of [0, 255, 256, 599]) assert.ok(await isProved(sequencer, index));
  assert.equal(await sequencer.add(entryOf(7)), indexes[7], "an entry is there once");
  store.close();
});

test("wherever it stops, no size has two trees, and what was acknowledged is there", async () => {
  const batches = [1, 3, 260];
  let stops = 0;
  for (let stopAt = 1; ; stopAt += 1) {
    const folder = createFolder();
    const witnessed = createFakeWitness();
    const acknowledged: number[] = [];
    let writes = 0;
    let stopped = false;
    const failing = (store: LogStore): LogStore => ({
      ...store,
      write: (path, bytes) => {
        writes += 1;
        if (stopped || writes === stopAt) {
          stopped = true;
          throw new Error("power cut");
        }
        store.write(path, bytes);
      },
    });
    const first = openLog(folder, witnessed.cosign, failing);
    let next = 0;
    for (const size of batches) {
      const batch = Array.from({ length: size }, () => next++);
      const results = await Promise.allSettled(batch.map((index) => first.sequencer.add(entryOf(index))));
      results.forEach((result, at) => {
        if (result.status === "fulfilled") acknowledged.push(batch[at] ?? -1);
      });
      if (stopped) break; // the machine is off: nothing after this was asked of it
    }
    first.store.close();
    const { sequencer, store } = openLog(folder, witnessed.cosign);
    await sequencer.refresh();
    for (const index of acknowledged.filter((_, at) => at % 50 === 0))
      assert.ok(await isProved(sequencer, index));
    // It goes on, with other entries than those that were lost.
    await sequencer.add(entryOf(10_000 + stopAt));
    assert.ok(await isProved(sequencer, 10_000 + stopAt));
    store.close();
    for (const [size, roots] of witnessed.roots)
      assert.equal(roots.size, 1, `size ${size}, stopped at ${stopAt}`);
    if (!stopped) break;
    stops += 1;
  }
  assert.ok(stops >= 12, `only ${stops} places to stop at`);
});

test("a process that goes on after a failed write signs no second tree either", async () => {
  const witnessed = createFakeWitness();
  let broken = false;
  const { sequencer, store } = openLog(createFolder(), witnessed.cosign, (files) => ({
    ...files,
    write: (path, bytes) => {
      if (broken) throw new Error("disk full");
      files.write(path, bytes);
    },
  }));
  await sequencer.add(entryOf(0));
  broken = true;
  await assert.rejects(sequencer.add(entryOf(1)));
  broken = false;
  await sequencer.add(entryOf(2));
  await sequencer.add(entryOf(1));
  for (const index of [0, 1, 2]) assert.ok(await isProved(sequencer, index));
  for (const [size, roots] of witnessed.roots) assert.equal(roots.size, 1, `size ${size}`);
  store.close();
});

test("without its witnesses nothing is published, and with them again everything is", async () => {
  const witnessed = createFakeWitness();
  let present = false;
  const { sequencer, store } = openLog(createFolder(), async (...claim) =>
    present ? witnessed.cosign(...claim) : [],
  );
  await assert.rejects(sequencer.add(entryOf(0)), { code: "quorum-not-met" });
  assert.equal(sequencer.checkpoint(), undefined);
  assert.equal(await isProved(sequencer, 0), false);
  present = true;
  await sequencer.refresh();
  assert.ok(await isProved(sequencer, 0));
  store.close();
});

test("a folder has one writer; one whose writer died is taken over", () => {
  const folder = createFolder();
  const store = openFileStore(folder);
  writeFileSync(join(folder, "lock"), "1"); // a process that certainly runs
  assert.throws(() => openFileStore(folder), /in use/);
  writeFileSync(join(folder, "lock"), "4194303");
  openFileStore(folder).close();
  store.close();
});

test("what was stored and has changed is refused at the start", async () => {
  const changes: readonly [string, (path: string) => void][] = [
    ["tile/entries/000.p/3", (path) => truncateSync(path, 5)],
    [
      "tile/entries/000.p/3",
      (path) =>
        writeFileSync(
          path,
          readFileSync(path).map((byte, at) => (at === 4 ? byte ^ 1 : byte)),
        ),
    ],
    ["state", (path) => writeFileSync(path, readFileSync(path, "utf8").replace("3\n", "2\n"))],
    ["state", (path) => writeFileSync(path, "")],
    ["checkpoint", (path) => writeFileSync(path, encodeUtf8("x"))],
  ];
  for (const [file, change] of changes) {
    const folder = createFolder();
    const witnessed = createFakeWitness();
    const { sequencer, store } = openLog(folder, witnessed.cosign);
    await Promise.all([0, 1, 2].map((index) => sequencer.add(entryOf(index))));
    store.close();
    change(join(folder, file));
    assert.throws(() => openLog(folder, witnessed.cosign), Error, file);
  }
});
