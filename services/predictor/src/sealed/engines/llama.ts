// The embedded engine: GGUF models in this process, on the processor (node-llama-cpp).
import { type Random, systemRandom } from "@sotto/base";
import type { ChatMessage, ChatRequest } from "@sotto/chat";
import {
  type ChatHistoryItem,
  getLlama,
  type LlamaContext,
  LlamaLogLevel,
  type LlamaModel,
  type LlamaText,
  resolveChatWrapper,
  type Token,
} from "node-llama-cpp";
import { type Engine, EngineError, type EngineEvent } from "./engine.ts";
import { createEventQueue } from "./event-queue.ts";
import { createGuardPrompt } from "./guard-prompt.ts";
import { createStopFilter } from "./stop-filter.ts";
import { createTokenText } from "./token-text.ts";

export type LlamaOptions = {
  readonly path: string;
  readonly name: string;
  readonly threads: number;
  /** Whether the model judges conversations instead of answering them. */
  readonly isGuard?: boolean;
  /** Seeds answers whose question names no seed. */
  readonly random?: Random;
};

const maxContext = 4096;
const defaultTemperature = 0.8;

/** Loads a model; throws `EngineError` with `model-refused`. */
export async function openLlamaEngine(options: LlamaOptions): Promise<Engine> {
  const random = options.random ?? systemRandom;
  const llama = await getLlama({
    gpu: false,
    build: "never",
    maxThreads: options.threads,
    logLevel: LlamaLogLevel.disabled,
  });
  const model = await llama.loadModel({ modelPath: options.path }).catch(async (cause: unknown) => {
    await llama.dispose();
    throw new EngineError("model-refused", "model cannot be loaded", { cause });
  });
  const write = await openPrompt(model, options.isGuard === true).catch(async (error: unknown) => {
    await model.dispose();
    await llama.dispose();
    throw error;
  });
  const contextSize = Math.min(maxContext, model.trainContextSize);
  const openContext = (): Promise<LlamaContext> =>
    model.createContext({ contextSize, sequences: 1, threads: options.threads });

  // A context is made for one question and given back after it, with all its memory; the next is made ahead.
  let spare: Promise<LlamaContext> | undefined;
  const prepare = (): void => {
    spare = openContext();
    spare.catch(() => {
      spare = undefined;
    });
  };
  const takeContext = (): Promise<LlamaContext> => {
    const taken = spare ?? openContext();
    spare = undefined;
    return taken;
  };
  prepare();
  await spare;

  const closed = new AbortController();
  let turn: Promise<void> = Promise.resolve();

  async function* generate(request: ChatRequest, given: AbortSignal): AsyncGenerator<EngineEvent> {
    const left = new AbortController();
    const signal = AbortSignal.any([given, left.signal, closed.signal]);
    const queue = createEventQueue<EngineEvent>();
    const stop = (): void => queue.fail(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    // One question at a time: two would share the processor and each other's delays.
    turn = turn.then(() => answer(request, signal, queue.push)).then(queue.end, queue.fail);
    try {
      yield* queue.read();
    } finally {
      signal.removeEventListener("abort", stop);
      left.abort();
    }
  }

  async function answer(
    request: ChatRequest,
    signal: AbortSignal,
    emit: (event: EngineEvent) => void,
  ): Promise<void> {
    signal.throwIfAborted();
    const { tokens: prompt, stopGenerationTriggers } = write(request.messages);
    if (prompt.length >= contextSize) {
      throw new EngineError("context-overflow", "question is longer than the context");
    }
    const triggers = stopGenerationTriggers.map(({ values }) => values);
    const stopTexts = triggers.flatMap(([only, ...rest]) =>
      typeof only === "string" && only !== "" && rest.length === 0 ? [only] : [],
    );
    const stopTokens = stopGenerationTriggers
      .map((trigger) => trigger.tokenize(model.tokenizer))
      .filter((tokens) => tokens.length > 0 && tokens.every((token) => model.isSpecialToken(token)));
    const context = await takeContext();
    try {
      await run(
        context,
        prompt,
        { ...request, stop: [...request.stop, ...stopTexts] },
        stopTokens,
        signal,
        emit,
      );
    } finally {
      await context.dispose();
      if (!closed.signal.aborted) prepare();
    }
  }

  async function run(
    context: LlamaContext,
    prompt: readonly Token[],
    request: ChatRequest,
    stopTokens: readonly Token[][],
    signal: AbortSignal,
    emit: (event: EngineEvent) => void,
  ): Promise<void> {
    const sequence = context.getSequence();
    // A long question is read in pieces, because only between them can it be given up.
    let read = 0;
    for (; prompt.length - read > context.batchSize; read += context.batchSize) {
      signal.throwIfAborted();
      await sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(read, read + context.batchSize));
    }
    signal.throwIfAborted();
    const maxTokens = Math.min(request.maxTokens ?? contextSize, contextSize - prompt.length);
    const stops = createStopFilter(request.stop);
    const text = createTokenText<Token>((tokens, before) => model.detokenize(tokens, false, before));
    const made: Token[] = [];
    const tokens = sequence.evaluate(prompt.slice(read), {
      temperature: request.temperature ?? defaultTemperature,
      ...(request.topP === undefined ? {} : { topP: request.topP }),
      // The library would take the time of day, and every answer of a second would be the same.
      seed: (request.seed ?? new DataView(random(4).buffer).getUint32(0)) >>> 0,
    });
    let finishReason: "stop" | "length" = "stop"; // the generator ends by itself at the end of the text
    for await (const token of tokens) {
      signal.throwIfAborted();
      made.push(token);
      if (stopTokens.some((wanted) => endsWith(made, wanted))) break;
      const { output, stopped } = stops.push(text.push(token));
      if (output !== "") emit({ type: "text", text: output });
      if (stopped) break;
      if (made.length >= maxTokens) {
        finishReason = "length";
        break;
      }
    }
    const rest = stops.finish();
    if (rest !== "") emit({ type: "text", text: rest });
    const usage = { promptTokens: prompt.length, completionTokens: made.length };
    emit({ type: "end", finishReason, usage });
  }

  return {
    model: options.name,
    generate,
    close: async () => {
      closed.abort();
      await turn;
      await spare?.then((context) => context.dispose());
      await model.dispose();
      await llama.dispose();
    },
  };
}

type Prompt = {
  readonly tokens: readonly Token[];
  readonly stopGenerationTriggers: readonly LlamaText[];
};

/** How the model is asked: as its file says; throws `EngineError` with `model-refused` for a guard that says nothing. */
async function openPrompt(
  model: LlamaModel,
  isGuard: boolean,
): Promise<(messages: readonly ChatMessage[]) => Prompt> {
  if (isGuard) {
    const { bos, bosString, eosString, shouldPrependBosToken } = model.tokens;
    const write = createGuardPrompt({
      template: model.fileInfo.metadata.tokenizer?.chat_template,
      bos: bosString ?? "",
      eos: eosString ?? "",
    });
    return (messages) => {
      const tokens = write(messages).tokenize(model.tokenizer);
      // Templates may leave it to the tokenizer.
      const isMissing = shouldPrependBosToken && bos !== null && tokens[0] !== bos;
      return { tokens: isMissing ? [bos, ...tokens] : tokens, stopGenerationTriggers: [] };
    };
  }
  const wrapper = resolveChatWrapper(model, { warningLogs: false });
  return (messages) => {
    const { contextText, stopGenerationTriggers } = wrapper.generateContextState({
      chatHistory: toHistory(messages),
    });
    return { tokens: contextText.tokenize(model.tokenizer), stopGenerationTriggers };
  };
}

function endsWith(tokens: readonly Token[], wanted: readonly Token[]): boolean {
  return (
    tokens.length >= wanted.length &&
    wanted.every((token, index) => tokens.at(index - wanted.length) === token)
  );
}

function toHistory(messages: readonly ChatMessage[]): ChatHistoryItem[] {
  const history = messages.map(({ role, content }): ChatHistoryItem => {
    if (role === "assistant") return { type: "model", response: [content] };
    return role === "system" ? { type: "system", text: content } : { type: "user", text: content };
  });
  return [...history, { type: "model", response: [] }];
}
