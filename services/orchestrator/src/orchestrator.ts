// What happens to one opened question: checked, handed to one predictor, answered as it comes.
import { ChatError, openAiError, parseChatRequest } from "@sotto/chat";
import { sendRequest } from "@sotto/exchange";
import type { ClientSession } from "@sotto/ratls";

export type OrchestratorDependencies = {
  /** The attested predictor session whose evidence this client has been shown. */
  readonly predictor: ClientSession;
};

/** Wires the handler of one attested session; it serves one request. */
export function createOrchestrator(
  dependencies: OrchestratorDependencies,
): (request: Request) => Promise<Response> {
  return async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname !== "/v1/chat/completions") return refuse(404, "unknown-endpoint");
    if (request.method !== "POST") return refuse(405, "method-not-allowed");
    const content = new Uint8Array(await request.arrayBuffer());
    try {
      parseChatRequest(content);
    } catch (error) {
      if (error instanceof ChatError) return refuse(400, error.code, error.message);
      throw error;
    }
    try {
      return await sendRequest(dependencies.predictor, {
        method: "POST",
        authority: "predictor.sotto.invalid",
        path: "/v1/chat/completions",
        contentType: "application/json",
        content,
      });
    } catch {
      return refuse(502, "predictor-failed");
    }
  };
}

function refuse(status: number, code: string, message?: string): Response {
  return Response.json(openAiError(code, status, message), { status });
}
