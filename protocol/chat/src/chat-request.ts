// The OpenAI-shaped question that Sotto accepts: text only, stateless, bounded.
import { CodedError, decodeUtf8, EncodingError, type Fields, isObject, readFields } from "@sotto/base";

export type ChatErrorCode = "malformed" | "too-large" | "text-only" | "unsupported-parameter";

/** A question that is refused before anything is done with it; clients see the code with status 400. */
export class ChatError extends CodedError<ChatErrorCode> {}

export type ChatMessage = { readonly role: "system" | "user" | "assistant"; readonly content: string };

/** A question after checking; parameters that were not given are undefined. */
export type ChatRequest = {
  readonly model: string | undefined;
  readonly messages: readonly ChatMessage[];
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly maxTokens: number | undefined;
  readonly temperature: number | undefined;
  readonly topP: number | undefined;
  readonly stop: readonly string[];
  readonly seed: number | undefined;
};

export const maxChatBytes = 512 * 1024;
const maxMessages = 1024;
const maxParts = 256;
const maxStops = 4;
const maxStopLength = 256;
// A map, for an object would know more names than its own.
const roles: ReadonlyMap<string, ChatMessage["role"]> = new Map([
  ["system", "system"],
  ["developer", "system"],
  ["user", "user"],
  ["assistant", "assistant"],
]);

const textOnly = "only text is supported: images, audio and files are refused";
const mediaParts = new Set([
  "image_url",
  "input_image",
  "image",
  "input_audio",
  "audio",
  "file",
  "input_file",
  "video_url",
  "video",
]);

// What would change the answer and is not done here is refused rather than ignored, unless it is given the value
// that changes nothing. Everything else that clients send (`user`, `metadata`, `store`, hints) is dropped.
const refused: Readonly<Record<string, (given: unknown) => boolean>> = {
  n: (given) => given === 1,
  tools: isEmpty,
  tool_choice: (given) => given === "none",
  functions: isEmpty,
  function_call: (given) => given === "none",
  logprobs: (given) => given === false,
  top_logprobs: (given) => given === 0,
  logit_bias: isEmpty,
  frequency_penalty: (given) => given === 0,
  presence_penalty: (given) => given === 0,
  response_format: (given) => isObject(given) && given.type === "text",
  web_search_options: () => false,
  prediction: () => false,
};
const refusedInMessages = ["tool_calls", "function_call", "tool_call_id"] as const;

/** Reads a question of `/v1/chat/completions` (OpenAI API), at most 512 KiB of JSON; throws `ChatError`. */
export function parseChatRequest(bytes: Uint8Array): ChatRequest {
  if (bytes.length > maxChatBytes) throw new ChatError("too-large", "question is larger than 512 KiB");
  const value = parseJson(bytes);
  refuseMedia(value);
  refuseParameters(value);
  const fields = readFields(value, (name) => malformed(name));
  const limit = (name: string): number | undefined => fields.integer(name, 1, 1_000_000);
  return {
    model: fields.text("model", 0, 256),
    messages: readMessages(fields),
    stream: fields.flag("stream") === true,
    includeUsage: fields.inner("stream_options")?.flag("include_usage") === true,
    maxTokens: limit("max_completion_tokens") ?? limit("max_tokens"),
    temperature: fields.number("temperature", 0, 2),
    topP: fields.number("top_p", Number.MIN_VALUE, 1),
    stop: readStops(fields),
    seed: fields.integer("seed", Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  };
}

function readMessages(fields: Fields): ChatMessage[] {
  const list = fields.list("messages", maxMessages);
  if (list === undefined || list.length === 0) throw malformed("messages");
  return list.map((item) => {
    const message = readFields(item, () => malformed("messages"));
    const role = roles.get(message.text("role", 1, 16) ?? "");
    if (role === undefined) throw malformed("messages");
    return { role, content: readContent(message) };
  });
}

function readContent(message: Fields): string {
  const { content } = message.values;
  if (typeof content === "string") return content;
  const parts = message.list("content", maxParts);
  if (parts === undefined) throw malformed("messages");
  return parts
    .map((part) => {
      const text = isObject(part) && part.type === "text" ? part.text : undefined;
      if (typeof text !== "string") throw malformed("messages");
      return text;
    })
    .join("\n");
}

function readStops(fields: Fields): readonly string[] {
  const { stop } = fields.values;
  if (stop === undefined || stop === null) return [];
  const list = typeof stop === "string" ? [stop] : fields.list("stop", maxStops);
  const isStop = (text: unknown): text is string =>
    typeof text === "string" && text.length >= 1 && text.length <= maxStopLength;
  if (list === undefined || !list.every(isStop)) throw malformed("stop");
  return list;
}

function malformed(name: string): ChatError {
  return new ChatError("malformed", `${name}: not as the OpenAI API has it`);
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decodeUtf8(bytes));
  } catch (cause) {
    const format = cause instanceof EncodingError ? "utf-8" : "json";
    throw new ChatError("malformed", `request: not ${format}`, { cause });
  }
}

function refuseMedia(value: unknown): void {
  if (!isObject(value)) return;
  const modalities = value.modalities;
  if (isGiven(value.audio)) throw new ChatError("text-only", textOnly);
  if (Array.isArray(modalities) && modalities.some((modality) => modality !== "text")) {
    throw new ChatError("text-only", textOnly);
  }
  for (const item of messagesOf(value)) {
    if (isGiven(item.audio)) throw new ChatError("text-only", textOnly);
    for (const piece of Array.isArray(item.content) ? item.content : []) {
      const type: unknown = isObject(piece) ? piece.type : undefined;
      if (type === "text") continue;
      if (typeof type === "string" && mediaParts.has(type)) throw new ChatError("text-only", textOnly);
      throw new ChatError("malformed", "messages: a content part is of an unknown type");
    }
  }
}

function refuseParameters(value: unknown): void {
  if (!isObject(value)) return;
  for (const [name, isHarmless] of Object.entries(refused)) {
    const given = value[name];
    if (isGiven(given) && !isHarmless(given)) {
      throw new ChatError("unsupported-parameter", `${name}: not supported`);
    }
  }
  for (const item of messagesOf(value)) {
    const hasTools = refusedInMessages.some((name) => isGiven(item[name]) && !isEmpty(item[name]));
    if (hasTools || item.role === "tool" || item.role === "function") {
      throw new ChatError("unsupported-parameter", "messages: tools are not supported");
    }
  }
}

function messagesOf(value: Record<string, unknown>): Record<string, unknown>[] {
  return Array.isArray(value.messages) ? value.messages.filter(isObject) : [];
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0;
}

/** The body of an error as clients of the OpenAI API read it; `message` must hold nothing from outside. */
export function openAiError(code: string, status: number, message?: string): object {
  const type = status < 500 ? "invalid_request_error" : "api_error";
  return { error: { message: message ?? code.replaceAll("-", " "), type, param: null, code } };
}
