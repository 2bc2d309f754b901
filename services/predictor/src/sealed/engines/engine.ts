// What runs a model: one question in, text out as it is made, and nothing of it kept afterwards.
import { CodedError } from "@sotto/base";
import type { ChatRequest, FinishReason, Usage } from "@sotto/chat";

export type EngineEvent =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "end"; readonly finishReason: FinishReason; readonly usage: Usage };

/**
 * An engine must serve one question at a time per call, yield text as soon as it exists, end with one `end`
 * event, stop working soon after `signal` aborts, and carry nothing of one question into another.
 */
export interface Engine {
  readonly model: string;
  generate(request: ChatRequest, signal: AbortSignal): AsyncIterable<EngineEvent>;
  close(): Promise<void>;
}

export type EngineErrorCode = "context-overflow" | "engine-failed" | "model-refused";

/** An engine could not load its model or answer. */
export class EngineError extends CodedError<EngineErrorCode> {}
