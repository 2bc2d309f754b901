import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { test } from "node:test";
import { type Bytes, concatBytes, decodeBase64, encodeUtf8, equalBytes } from "@sotto/base";
import {
  changedTiles,
  consistencyProof,
  HashTree,
  inclusionProof,
  LogError,
  leafHash,
  nodeHash,
  parseCheckpoint,
  parseEntryBundle,
  parseNote,
  parseTile,
  parseTilePath,
  parseVerifier,
  serializeEntryBundle,
  serializeNote,
  tilePath,
  verifyConsistency,
  verifyInclusion,
  verifyNote,
} from "@sotto/log";
import { readJsonVector, readVector, vectorPath, vectorsMissing } from "../../../tests/vectors.ts";

const merkleFolder = ["tlog", "transparency-dev-merkle-testdata"];

type InclusionVector = {
  leafIdx: number;
  treeSize: number;
  root: string | null;
  leafHash: string | null;
  proof: string[] | null;
  wantErr: boolean;
};
type ConsistencyVector = {
  size1: number;
  size2: number;
  root1: string | null;
  root2: string | null;
  proof: string[] | null;
  wantErr: boolean;
};

/** Root by the definition, without cleverness. */
function naiveRoot(leaves: readonly Bytes[]): Bytes {
  const [only] = leaves;
  if (leaves.length === 1 && only !== undefined) return only;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return nodeHash(naiveRoot(leaves.slice(0, split)), naiveRoot(leaves.slice(split)));
}

function outcome(verify: () => void): boolean {
  try {
    verify();
    return false;
  } catch (error) {
    assert.ok(error instanceof LogError, String(error));
    return true;
  }
}

const bytesOf = (text: string | null): Bytes => decodeBase64(text ?? "");

test("inclusion vectors, the must-reject ones included", { skip: vectorsMissing }, () => {
  const files = globSync("inclusion/**/*.json", { cwd: vectorPath(...merkleFolder) });
  assert.equal(files.length, 98);
  for (const file of files) {
    const v = readJsonVector<InclusionVector>(...merkleFolder, file);
    const refused = outcome(() =>
      verifyInclusion({
        index: v.leafIdx,
        size: v.treeSize,
        leaf: bytesOf(v.leafHash),
        proof: (v.proof ?? []).map(bytesOf),
        root: bytesOf(v.root),
      }),
    );
    assert.equal(refused, v.wantErr, file);
  }
});

test("consistency vectors, the must-reject ones included", { skip: vectorsMissing }, () => {
  const files = globSync("consistency/**/*.json", { cwd: vectorPath(...merkleFolder) });
  assert.equal(files.length, 98);
  for (const file of files) {
    const v = readJsonVector<ConsistencyVector>(...merkleFolder, file);
    const refused = outcome(() =>
      verifyConsistency({
        oldSize: v.size1,
        newSize: v.size2,
        oldRoot: bytesOf(v.root1),
        newRoot: bytesOf(v.root2),
        proof: (v.proof ?? []).map(bytesOf),
      }),
    );
    assert.equal(refused, v.wantErr, file);
  }
});

test("every size from 1 to 257: roots by definition, all proofs verify, none verifies elsewhere", () => {
  const tree = new HashTree();
  const leaves: Bytes[] = [];
  const roots: Bytes[] = [tree.root()];
  for (let size = 1; size <= 257; size += 1) {
    const leaf = leafHash(encodeUtf8(`entry ${size}`));
    leaves.push(leaf);
    tree.append(leaf);
    const root = tree.root();
    roots.push(root);
    assert.ok(equalBytes(root, naiveRoot(leaves)), `size ${size}`);
    for (const index of new Set([0, 1, size >> 1, size - 2, size - 1].filter((i) => i >= 0 && i < size))) {
      const proof = inclusionProof(index, size, tree.read);
      const claim = { index, size, leaf: leaves[index] ?? leaf, proof, root };
      verifyInclusion(claim);
      assert.ok(outcome(() => verifyInclusion({ ...claim, index: index + 1 })));
      assert.ok(outcome(() => verifyInclusion({ ...claim, proof: [...proof, root] })));
      if (size > 1) assert.ok(outcome(() => verifyInclusion({ ...claim, proof: proof.slice(1) })));
    }
    for (let oldSize = 1; oldSize <= size; oldSize += size < 40 ? 1 : 17) {
      const proof = consistencyProof(oldSize, size, tree.read);
      const oldRoot = roots[oldSize] ?? root;
      verifyConsistency({ oldSize, newSize: size, oldRoot, newRoot: root, proof });
      if (oldSize > 0 && oldSize < size) {
        const claim = { oldSize, newSize: size, oldRoot: root, newRoot: root, proof };
        assert.ok(outcome(() => verifyConsistency(claim)));
        assert.ok(outcome(() => verifyConsistency({ ...claim, oldRoot, proof: proof.slice(1) })));
      }
    }
  }
});

test("a node is never taken for a leaf", () => {
  const left = leafHash(encodeUtf8("a"));
  const right = leafHash(encodeUtf8("b"));
  const root = nodeHash(left, right);
  assert.ok(
    outcome(() =>
      verifyInclusion({ index: 0, size: 1, leaf: leafHash(concatBytes(left, right)), proof: [], root }),
    ),
  );
});

test("a real tiled log: every checkpoint, every tile, every bundle", { skip: vectorsMissing }, async () => {
  const folder = ["tlog", "tessera-testdata-log"];
  const verifier = parseVerifier(
    "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx",
  );
  for (let size = 1; size <= 15; size += 1) {
    const text = new TextDecoder().decode(readVector(...folder, `checkpoint.${size}`));
    const note = parseNote(text);
    assert.equal(serializeNote(note), text);
    assert.equal((await verifyNote(note, [verifier])).length, 1);
    const checkpoint = parseCheckpoint(note.text);
    assert.equal(checkpoint.size, size);
    const hashes = parseTile(readVector(...folder, tilePath({ level: 0, index: 0, width: size })));
    const entries = parseEntryBundle(
      readVector(...folder, tilePath({ level: "entries", index: 0, width: size })),
    );
    const tree = new HashTree();
    for (const [index, entry] of entries.entries()) {
      const hash = leafHash(entry);
      assert.deepEqual(hash, hashes[index]);
      tree.append(hash);
    }
    assert.deepEqual(tree.root(), checkpoint.root);
    assert.deepEqual(serializeEntryBundle(entries), readVector(...folder, `tile/entries/000.p/${size}`));
    await assert.rejects(verifyNote({ ...note, text: `${note.text}x\n` }, [verifier]), {
      code: "bad-signature",
    });
  }
});

test("tile paths have one form", () => {
  assert.equal(tilePath({ level: 0, index: 1234067, width: 256 }), "tile/0/x001/x234/067");
  assert.equal(tilePath({ level: "entries", index: 0, width: 3 }), "tile/entries/000.p/3");
  for (const path of ["tile/0/x001/x234/067", "tile/entries/000.p/3", "tile/63/255"]) {
    assert.equal(tilePath(parseTilePath(path)), path);
  }
  const refused = [
    "tile/0/67",
    "tile/0/x000/067",
    "tile/0/000.p/0",
    "tile/0/000.p/256",
    "tile/00/000",
    "../tile/0/000",
  ];
  for (const path of refused) assert.throws(() => parseTilePath(path), LogError, path);
  const names = changedTiles(255, 258).map(tilePath);
  assert.deepEqual(names, [
    "tile/entries/000",
    "tile/entries/001.p/2",
    "tile/0/000",
    "tile/0/001.p/2",
    "tile/1/000.p/1",
  ]);
});
