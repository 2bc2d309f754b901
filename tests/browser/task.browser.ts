// What a page or a worker does for a test, with the SDK exactly as an app would use it; values in, values out.
import {
  createPrivateFetch,
  parseClientSettings,
  SottoError,
  SseParser,
  type Verification,
  verdictOf,
} from "@sotto/sdk";
import { developmentPolicy } from "@sotto/sdk/development";

export type Task = {
  /** Text of the client's settings. */
  readonly settings: string;
  readonly policy: "development" | "production";
  /** Asked when it is given; else the service is only verified. */
  readonly question?: string;
  /** By how much the clock jumps, and how long after the answer has begun. */
  readonly jump?: { readonly byMs: number; readonly afterMs: number };
};

export type Outcome = {
  readonly verification?: Verification;
  readonly answer?: {
    readonly status: number;
    readonly overall: string | undefined;
    /** How often the body gave something. */
    readonly pieces: number;
    readonly text: string;
  };
  readonly error?: { readonly code: string; readonly advice: string; readonly message: string };
};

export type Watch = {
  /** Told the answer as far as it has come. */
  readonly onText?: (text: string) => void;
  /** In place of the platform's. */
  readonly fetch?: typeof fetch;
};

/** Does it. */
export async function perform(task: Task, watch: Watch = {}): Promise<Outcome> {
  let aheadMs = 0;
  let beganAt: number | undefined;
  try {
    const settings = parseClientSettings(task.settings);
    const policy = task.policy === "production" ? settings.productionPolicy : developmentPolicy(settings);
    const privateFetch = createPrivateFetch({
      relayUrl: settings.relay,
      issuerUrl: settings.issuer,
      account: settings.account,
      directoryKey: settings.directoryKey,
      policy,
      prepareAhead: false,
      clock: () => Date.now() + aheadMs,
      ...(watch.fetch === undefined ? {} : { fetch: watch.fetch }),
    });
    if (task.question === undefined) return { verification: await privateFetch.verify() };
    const response = await privateFetch(`${privateFetch.baseUrl}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        model: "default",
        stream: true,
        max_tokens: 24,
        messages: [{ role: "user", content: task.question }],
      }),
    });
    const answer = await readAnswer(response, (text) => {
      beganAt ??= Date.now();
      if (task.jump !== undefined && Date.now() - beganAt > task.jump.afterMs) aheadMs = task.jump.byMs;
      watch.onText?.(text);
    });
    return { answer };
  } catch (error) {
    if (!(error instanceof SottoError)) throw error;
    return { error: { code: error.code, advice: error.advice, message: error.message } };
  }
}

async function readAnswer(
  response: Response,
  onText: (text: string) => void,
): Promise<NonNullable<Outcome["answer"]>> {
  const parser = new SseParser();
  const reader = response.body?.getReader();
  let text = "";
  let pieces = 0;
  for (;;) {
    const next = await reader?.read();
    if (next === undefined || next.done) break;
    pieces += 1;
    for (const data of parser.push(next.value)) {
      if (data === "[DONE]") continue;
      const chunk: { choices: { delta?: { content?: string } }[] } = JSON.parse(data);
      text += chunk.choices[0]?.delta?.content ?? "";
      onText(text);
    }
  }
  return { status: response.status, overall: verdictOf(response)?.overall, pieces, text };
}
