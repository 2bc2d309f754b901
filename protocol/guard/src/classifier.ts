// The classifier: linear heads over hashed features, with eight-bit weights.
//
//   struct {
//     uint8  magic[8] = "SottoGC1";
//     uint32 lexicon;                  // fingerprint of the policy's words
//     Head   harm, answer;             // one row each
//     Head   hazards;                  // a row for each hazard
//     uint32 vocabulary<4..2^18>;      // hashes of known words, ascending
//   } Classifier;
//   struct { uint8 bits; uint8 rows; uint32 scale; int8 weights[rows * 2^bits]; uint32 bias[rows]; } Head;
//
// `scale` counts millionths; `bias` counts thousandths from -2^31. Nothing here guards against changed weights: whoever
// loads the file has its digest from the log.
import { ByteReader, type Bytes, ByteWriter, EncodingError, encodeUtf8, equalBytes } from "@sotto/base";
import { GuardError } from "./guard-error.ts";
import { hazardIds } from "./verdict.ts";
import { hashText } from "./word-hash.ts";

/** One linear head: weights by feature, the rows of one feature side by side. */
export type Head = {
  readonly bits: number;
  readonly rows: number;
  readonly scale: number;
  readonly weights: Int8Array;
  readonly bias: readonly number[];
};

export type Classifier = {
  readonly lexicon: number;
  readonly harm: Head;
  readonly answer: Head;
  readonly hazards: Head;
  readonly vocabulary: Uint32Array;
};

const magic = "SottoGC1";
const biasOrigin: number = 2 ** 31;
const maxClassifierBytes = 1024 * 1024;
const maxBits = 19;
const maxVocabulary = 65_536;

/** Reads a classifier of at most 1 MiB; throws `GuardError`. */
export function parseClassifier(bytes: Uint8Array): Classifier {
  if (bytes.length > maxClassifierBytes) {
    throw new GuardError("classifier-too-large", "classifier: larger than 1 MiB");
  }
  const reader = new ByteReader(bytes);
  try {
    if (!equalBytes(reader.bytes(magic.length), encodeUtf8(magic))) throw malformed();
    const lexicon = reader.u32();
    const harm = readHead(reader, 1);
    const answer = readHead(reader, 1);
    const hazards = readHead(reader, hazardIds.length);
    const vocabulary = readVocabulary(reader);
    reader.end();
    return { lexicon, harm, answer, hazards, vocabulary };
  } catch (cause) {
    if (cause instanceof EncodingError) throw malformed(cause);
    throw cause;
  }
}

function readHead(reader: ByteReader, wantedRows: number): Head {
  const bits = reader.u8();
  const rows = reader.u8();
  const scale = reader.u32();
  if (bits > maxBits || rows !== wantedRows || scale === 0) throw malformed();
  const { buffer, byteOffset, byteLength } = reader.view(rows * 2 ** bits);
  const bias: number[] = [];
  for (let row = 0; row < rows; row += 1) bias.push((reader.u32() - biasOrigin) / 1000);
  return { bits, rows, scale: scale / 1e6, weights: new Int8Array(buffer, byteOffset, byteLength), bias };
}

function readVocabulary(reader: ByteReader): Uint32Array {
  const count = reader.u32();
  if (count > maxVocabulary || count * 4 !== reader.remaining) throw malformed();
  const vocabulary = new Uint32Array(count);
  const { buffer, byteOffset, byteLength } = reader.view(reader.remaining);
  const view = new DataView(buffer, byteOffset, byteLength);
  let last = -1;
  for (let index = 0; index < count; index += 1) {
    const hash = view.getUint32(4 * index);
    if (hash <= last) throw malformed();
    vocabulary[index] = hash;
    last = hash;
  }
  return vocabulary;
}

function malformed(cause?: unknown): GuardError {
  return new GuardError("classifier-malformed", "classifier: malformed", { cause });
}

/** Writes a classifier as `parseClassifier` reads it. */
export function serializeClassifier({ lexicon, harm, answer, hazards, vocabulary }: Classifier): Bytes {
  const writer = new ByteWriter().bytes(encodeUtf8(magic)).u32(lexicon);
  for (const head of [harm, answer, hazards]) {
    const { buffer, byteOffset, byteLength } = head.weights;
    writer
      .u8(head.bits)
      .u8(head.rows)
      .u32(Math.round(head.scale * 1e6));
    writer.bytes(new Uint8Array(buffer, byteOffset, byteLength));
    for (const bias of head.bias) writer.u32(Math.round(bias * 1000) + biasOrigin);
  }
  writer.u32(vocabulary.length);
  for (const hash of vocabulary) writer.u32(hash);
  return writer.finish();
}

/** Tells whether a word stood in the text that the classifier was trained with. */
export function isInVocabulary(vocabulary: Uint32Array, word: string): boolean {
  const wanted = hashText(word);
  let low = 0;
  let high = vocabulary.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const found = vocabulary[middle] ?? 0;
    if (found === wanted) return true;
    if (found < wanted) low = middle + 1;
    else high = middle - 1;
  }
  return false;
}

/** The row of a head's weights that a feature falls to. */
export function slotOf(head: { readonly bits: number }, hash: number): number {
  return head.bits === 0 ? 0 : hash >>> (32 - head.bits);
}

/** A score between 0 and 1. */
export function squash(sum: number): number {
  return 1 / (1 + Math.exp(-sum));
}
