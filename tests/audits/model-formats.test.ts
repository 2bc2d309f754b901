// Model files that bring code with them, as they are met in the wild, against the predictor's own check.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { CodedError } from "@sotto/base";
import { verifyModelFile } from "../../services/predictor/src/model-file.ts";
import { writeBabbleModel } from "../../tools/up/src/babble.ts";

const folder = mkdtempSync(join(tmpdir(), "sotto-models-"));
after(() => rmSync(folder, { recursive: true }));

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** Is refused although its digest is the one that was measured, under any name. */
async function refuses(content: Uint8Array | string, ...names: readonly string[]): Promise<void> {
  const bytes = Buffer.from(content);
  for (const name of names) {
    const path = join(folder, name);
    writeFileSync(path, bytes);
    await assert.rejects(verifyModelFile(path, digestOf(bytes)), isRefusal, name);
  }
}

function isRefusal(error: unknown): boolean {
  assert.ok(error instanceof CodedError);
  assert.equal(error.code, "model-refused");
  assert.ok(!error.message.includes(folder));
  return true;
}

/** Runs a command where it is loaded: `os.system("canary")`. */
const reduce = "cos\nsystem\n(S'canary'\ntR.";
const pickles = [
  Buffer.from(reduce),
  Buffer.concat([Buffer.from([0x80, 2]), Buffer.from(reduce)]),
  Buffer.concat([
    Buffer.from([0x80, 4, 0x95, 0x1d, 0, 0, 0, 0, 0, 0, 0]),
    Buffer.from("\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x06canary\x94\x85\x94R\x94.", "latin1"),
  ]),
  // The first number of PyTorch's own format from before it was a zip archive.
  Buffer.concat([
    Buffer.from([0x80, 2, 0x8a, 0x0a]),
    Buffer.from("6cfc9c46f9206aa85019", "hex"),
    Buffer.from("."),
  ]),
];

/** A zip archive of one stored file, without its directory: a loader looks no further than to the first entry. */
function zip(name: string, content: Uint8Array): Buffer {
  const head = Buffer.alloc(30);
  head.write("PK\x03\x04", "latin1");
  head.writeUInt32LE(content.length, 18);
  head.writeUInt32LE(content.length, 22);
  head.writeUInt16LE(name.length, 26);
  return Buffer.concat([head, Buffer.from(name), content]);
}

/** A safetensors file: length of the header, JSON, no tensors. */
function safetensors(header: object): Buffer {
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json]);
}

test("15: a pickle is refused, of every protocol and under every name", async () => {
  for (const pickle of pickles)
    await refuses(pickle, "m.pkl", "m.pickle", "m.pt", "m.pth", "m.bin", "m.ckpt", "m.gguf", "m.safetensors");
});

test("15: PyTorch's archives, NumPy's objects and Keras' and ONNX's files are refused", async () => {
  for (const pickle of pickles) {
    await refuses(zip("archive/data.pkl", pickle), "m.pt", "m.bin", "m.gguf");
    await refuses(Buffer.concat([Buffer.from("\x93NUMPY\x01\x00", "latin1"), pickle]), "m.npy", "m.gguf");
  }
  await refuses(zip("config.json", Buffer.from('{"class_name":"Lambda"}')), "m.keras");
  await refuses(Buffer.from("\x89HDF\r\n\x1a\n", "latin1"), "m.h5", "m.gguf");
  await refuses(Buffer.from([0x08, 0x07, 0x12, 0x07, ...Buffer.from("pytorch")]), "m.onnx");
  await refuses(Buffer.from("\x80\x02}q\x00.PK\x05\x06", "latin1"), "m.ckpt");
});

test("15: code is refused, as a script, as a library, and as what a safetensors file tells a loader to run", async () => {
  await refuses("import os\nos.system('canary')\n", "modeling_x.py", "m.gguf");
  await refuses("#!/bin/sh\ncanary\n", "m.sh", "m.gguf");
  await refuses(Buffer.from("\x7fELF\x02\x01\x01", "latin1"), "m.so", "m.gguf");
  await refuses("export default () => {};\n", "m.mjs", "m.gguf");
  await refuses('{"auto_map":{"AutoModel":"modeling_x.Model"}}', "config.json", "m.gguf");
  const metadata = { auto_map: "modeling_x.Model", code: "import os" };
  await refuses(safetensors({ __metadata__: metadata }), "m.safetensors", "m.gguf");
});

test("15: what only nearly begins like an inert format is refused", async () => {
  const heads = [
    "",
    "G",
    "GGU",
    "gguf",
    "GGUf",
    "GGML",
    "GGJT",
    "FUGG",
    " GGUF",
    "\ufeffGGUF",
    "GG\0UF",
    "\0GGUF",
  ];
  for (const head of heads) await refuses(head.padEnd(16, "\0"), "m.gguf");
  await refuses("GGU", "short.gguf");
  await refuses("", "empty.gguf");
  for (const pickle of pickles) await refuses(Buffer.concat([pickle, Buffer.from("GGUF")]), "m.gguf");
});

test("15: a file of the right format that is not the measured one is refused, and so is none", async () => {
  const path = join(folder, "babble.gguf");
  writeBabbleModel(path);
  const bytes = readFileSync(path);
  const digest = digestOf(bytes);
  await verifyModelFile(path, digest);
  for (const other of [digest.toUpperCase(), digest.slice(7), "", `sha256:${"0".repeat(64)}`, `${digest}0`])
    await assert.rejects(verifyModelFile(path, other), isRefusal, other);
  for (const tail of [pickles[0] ?? Buffer.of(), zip("data.pkl", Buffer.from(reduce))]) {
    // Archives are found from their end, so a model may well have one behind it: then it is another file.
    writeFileSync(path, Buffer.concat([bytes, tail]));
    await assert.rejects(verifyModelFile(path, digest), isRefusal);
  }
  writeFileSync(path, bytes.subarray(0, -1));
  await assert.rejects(verifyModelFile(path, digest), isRefusal);
  mkdirSync(join(folder, "folder.gguf"));
  symlinkSync("nowhere", join(folder, "link.gguf"));
  for (const name of ["absent.gguf", "folder.gguf", "link.gguf", "a\0b.gguf"])
    await assert.rejects(verifyModelFile(join(folder, name), digest), isRefusal, name);
});
