// A tiny model that the project makes itself: right in form, random in content. It babbles in English words,
// so that the whole path can be tried without a model file. GGUF version 3, llama architecture, seeded.
import { writeFileSync } from "node:fs";

const width = 64;
const feedForward = 128;
const heads = 2;
const context = 4096;
const seed = 0x50770;
const endLikelihood = 1.2; // ends an answer after some twenty words
const words =
  "the a and of to in it is you that he was for on are with as his they at be this have from or one had by word but not what all were we when your can said there use an each which she do how their if will up other about out many then them these so some her would make like him into time has look two more write go see number no way could people my than first water been call who oil its now find long down day did get come made may part over new sound take only little work know place year live me back give most very after thing our just name good sentence man think say great where help through much before line right too mean old any same tell boy follow came want show also around form three small set put end does another well large must big even such because turn here why ask went men read need land different home us move try kind hand picture again change off play spell air away animal house point page letter mother answer found study still learn should world high every near add food between own below country plant last school father keep tree never start city earth eye light thought head under story saw left few while along might close something seem next hard open example begin life always those both paper together got group often run".split(
    " ",
  );

/** Other words than those above, and the chat template of the file. */
export type BabbleOptions = { readonly words?: readonly string[]; readonly template?: string };

/** Writes the model file, about 0.6 MB, the same bytes every time. */
export function writeBabbleModel(path: string, options: BabbleOptions = {}): void {
  const vocabulary = createVocabulary(options.words ?? words);
  const tensors = createTensors(vocabulary.tokens.length, vocabulary.firstWord);
  writeFileSync(path, serializeGguf(vocabulary, tensors, options.template));
}

type Vocabulary = { tokens: string[]; scores: number[]; kinds: number[]; firstWord: number };
type Tensor = { name: string; dimensions: number[]; values: Float32Array };

const tokenKind = { normal: 1, unknown: 2, control: 3, byte: 6 } as const;
const endOfText = 2;

function createVocabulary(spoken: readonly string[]): Vocabulary {
  const tokens = ["<unk>", "<s>", "</s>"];
  const kinds: number[] = [tokenKind.unknown, tokenKind.control, tokenKind.control];
  for (let byte = 0; byte < 256; byte += 1) {
    tokens.push(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
    kinds.push(tokenKind.byte);
  }
  // The tokenizer joins pieces pair by pair, so a word is only found if each of its beginnings is a piece as well.
  const whole = new Set(spoken.map((word) => `\u2581${word}`));
  const beginnings = new Set(
    [...whole].flatMap((word) => [...word].map((_, index) => word.slice(0, index + 1))),
  );
  for (const beginning of beginnings) {
    if (whole.has(beginning)) continue;
    tokens.push(beginning);
    kinds.push(tokenKind.normal);
  }
  const firstWord = tokens.length;
  for (const word of whole) {
    tokens.push(word);
    kinds.push(tokenKind.normal);
  }
  return { tokens, kinds, scores: tokens.map((_, index) => -index), firstWord };
}

/** Seeded numbers, nearly normal: a sum of four uniform ones, which every machine computes to the same bits. */
function createNormal(): () => number {
  let state = seed;
  const uniform = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return ((state >>> 0) + 0.5) / 2 ** 32;
  };
  return () => (uniform() + uniform() + uniform() + uniform() - 2) * Math.sqrt(3);
}

function createTensors(vocabularySize: number, firstWord: number): Tensor[] {
  const normal = createNormal();
  const matrix = (name: string, columns: number, rows: number, scale: number): Tensor => ({
    name,
    dimensions: [columns, rows],
    values: Float32Array.from({ length: columns * rows }, () => normal() * scale),
  });
  const ones = (name: string): Tensor => ({
    name,
    dimensions: [width],
    values: new Float32Array(width).fill(1),
  });
  const embedding = matrix("token_embd.weight", width, vocabularySize, 1);
  const output = matrix("output.weight", width, vocabularySize, 2.5 / Math.sqrt(width));
  for (let token = 0; token < vocabularySize; token += 1) {
    // Dimension 0 is the same for every token, which gives the output something constant to lean on:
    // words are likely, raw bytes and pieces are not, and an end comes after a few dozen words.
    embedding.values[token * width] = 4;
    // Dimension 1 tells words from the rest: questions end in a space, and no answer ends before its first word.
    embedding.values[token * width + 1] = token < firstWord ? -4 : 0;
    if (token < firstWord) output.values.fill(0, token * width, (token + 1) * width);
    output.values[token * width] = token === endOfText ? endLikelihood : token < firstWord ? -4 : 0;
    output.values[token * width + 1] = token === endOfText ? 4 : 0;
  }
  const small = 0.05;
  return [
    embedding,
    ones("blk.0.attn_norm.weight"),
    matrix("blk.0.attn_q.weight", width, width, small),
    matrix("blk.0.attn_k.weight", width, width, small),
    matrix("blk.0.attn_v.weight", width, width, small),
    matrix("blk.0.attn_output.weight", width, width, small),
    ones("blk.0.ffn_norm.weight"),
    matrix("blk.0.ffn_gate.weight", width, feedForward, small),
    matrix("blk.0.ffn_up.weight", width, feedForward, small),
    matrix("blk.0.ffn_down.weight", feedForward, width, small),
    ones("output_norm.weight"),
    output,
  ];
}

const ggufType = { uint32: 4, int32: 5, float32: 6, boolean: 7, string: 8, array: 9 } as const;
const alignment = 32;

function serializeGguf(
  vocabulary: Vocabulary,
  tensors: readonly Tensor[],
  template: string | undefined,
): Uint8Array {
  const parts: Buffer[] = [];
  const u32 = (value: number): void => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value >>> 0);
    parts.push(bytes);
  };
  const u64 = (value: number): void => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    parts.push(bytes);
  };
  const f32 = (value: number): void => {
    const bytes = Buffer.alloc(4);
    bytes.writeFloatLE(value);
    parts.push(bytes);
  };
  const text = (value: string): void => {
    const bytes = Buffer.from(value, "utf8");
    u64(bytes.length);
    parts.push(bytes);
  };
  const string = (value: string) => (): void => {
    u32(ggufType.string);
    text(value);
  };
  const number = (value: number) => (): void => {
    u32(ggufType.uint32);
    u32(value);
  };
  const epsilon = (): void => {
    u32(ggufType.float32);
    f32(1e-5);
  };
  const list =
    <T>(type: number, values: readonly T[], write: (value: T) => void) =>
    (): void => {
      u32(ggufType.array);
      u32(type);
      u64(values.length);
      for (const value of values) write(value);
    };
  const metadata: [string, () => void][] = [
    ["general.architecture", string("llama")],
    ["general.name", string("sotto-babble")],
    ["llama.context_length", number(context)],
    ["llama.embedding_length", number(width)],
    ["llama.block_count", number(1)],
    ["llama.feed_forward_length", number(feedForward)],
    ["llama.attention.head_count", number(heads)],
    ["llama.attention.head_count_kv", number(heads)],
    ["llama.attention.layer_norm_rms_epsilon", epsilon],
    ["llama.rope.dimension_count", number(width / heads)],
    ["llama.vocab_size", number(vocabulary.tokens.length)],
    ["tokenizer.ggml.model", string("llama")],
    ["tokenizer.ggml.tokens", list(ggufType.string, vocabulary.tokens, text)],
    ["tokenizer.ggml.scores", list(ggufType.float32, vocabulary.scores, f32)],
    ["tokenizer.ggml.token_type", list(ggufType.int32, vocabulary.kinds, u32)],
    ["tokenizer.ggml.unknown_token_id", number(0)],
    ["tokenizer.ggml.bos_token_id", number(1)],
    ["tokenizer.ggml.eos_token_id", number(endOfText)],
  ];
  if (template !== undefined) metadata.push(["tokenizer.chat_template", string(template)]);
  parts.push(Buffer.from("GGUF", "latin1"));
  u32(3);
  u64(tensors.length);
  u64(metadata.length);
  for (const [key, write] of metadata) {
    text(key);
    write();
  }
  let offset = 0;
  for (const { name, dimensions, values } of tensors) {
    text(name);
    u32(dimensions.length);
    for (const dimension of dimensions) u64(dimension);
    u32(0); // float32
    u64(offset);
    offset += Math.ceil(values.byteLength / alignment) * alignment;
  }
  const head = Buffer.concat(parts);
  const pad = (length: number): Buffer => Buffer.alloc((alignment - (length % alignment)) % alignment);
  const data = tensors.flatMap(({ values }) => {
    const bytes = Buffer.from(values.buffer);
    return [bytes, pad(bytes.length)];
  });
  return Buffer.concat([head, pad(head.length), ...data]);
}
