// The embedded engine: GGUF models in this process, on the processor (node-llama-cpp).

import type { ChatMessage, ChatRequest } from "@sotto/chat";
import {
  type ChatHistoryItem,
  getLlama,
  LlamaLogLevel,
  resolveChatWrapper,
  type Token,
} from "node-llama-cpp";
import { type Engine, EngineError, type EngineEvent } from "./engine.ts";
import { createStopFilter } from "./stop-filter.ts";

export type LlamaOptions = { readonly path: string; readonly name: string; readonly threads: number };

const defaultMaxTokens = 1024;
const maxContext = 4096;

/** Loads a model; throws `EngineError` with `model-refused`. */
export async function openLlamaEngine(options: LlamaOptions): Promise<Engine> {
  const llama = await getLlama({
    gpu: false,
    build: "never",
    maxThreads: options.threads,
    logLevel: LlamaLogLevel.disabled,
  });
  const model = await llama.loadModel({ modelPath: options.path }).catch((cause: unknown) => {
    throw new EngineError("model-refused", "model cannot be loaded", { cause });
  });
  const contextSize = Math.min(maxContext, model.trainContextSize);
  const context = await model.createContext({ contextSize, sequences: 1, threads: options.threads });
  const sequence = context.getSequence();
  const wrapper = resolveChatWrapper(model);
  // One question at a time: the sequence is the engine's whole state, and it is emptied around each.
  let turn: Promise<void> = Promise.resolve();

  async function* generate(request: ChatRequest, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    let release = (): void => {};
    const before = turn;
    turn = new Promise((resolve) => {
      release = resolve;
    });
    try {
      await before;
      signal.throwIfAborted();
      await sequence.clearHistory();
      const { contextText } = wrapper.generateContextState({ chatHistory: toHistory(request.messages) });
      const prompt = contextText.tokenize(model.tokenizer);
      if (prompt.length >= contextSize)
        throw new EngineError("context-overflow", "question is longer than the context");
      yield* run(prompt, request, signal);
    } finally {
      await sequence.clearHistory();
      release();
    }
  }

  async function* run(
    prompt: Token[],
    request: ChatRequest,
    signal: AbortSignal,
  ): AsyncGenerator<EngineEvent> {
    const room = contextSize - prompt.length;
    const maxTokens = Math.min(request.maxTokens ?? defaultMaxTokens, room);
    const stops = createStopFilter(request.stop);
    const made: Token[] = [];
    let shown = 0;
    const tokens = sequence.evaluate(prompt, {
      temperature: request.temperature ?? 0.8,
      ...(request.topP === undefined ? {} : { topP: request.topP }),
      ...(request.seed === undefined ? {} : { seed: request.seed >>> 0 }),
    });
    // The generator ends by itself at the end of the text.
    let finishReason: "stop" | "length" = "stop";
    for await (const token of tokens) {
      signal.throwIfAborted();
      made.push(token);
      // Only what no later token can change: a cut multi-byte character reads as U+FFFD until it is whole.
      const text = model.detokenize(made).replace(/\ufffd+$/, "");
      const { output, stopped } = stops.push(text.slice(shown));
      shown = Math.max(shown, text.length);
      if (output !== "") yield { type: "text", text: output };
      if (stopped) break;
      if (made.length >= maxTokens) {
        finishReason = "length";
        break;
      }
    }
    const rest = stops.finish();
    if (rest !== "") yield { type: "text", text: rest };
    yield {
      type: "end",
      finishReason,
      usage: { promptTokens: prompt.length, completionTokens: made.length },
    };
  }

  return {
    model: options.name,
    generate,
    close: async () => {
      await context.dispose();
      await model.dispose();
      await llama.dispose();
    },
  };
}

function toHistory(messages: readonly ChatMessage[]): ChatHistoryItem[] {
  const history = messages.map(({ role, content }): ChatHistoryItem => {
    if (role === "assistant") return { type: "model", response: [content] };
    return role === "system" ? { type: "system", text: content } : { type: "user", text: content };
  });
  return [...history, { type: "model", response: [] }];
}
