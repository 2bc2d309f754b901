// Starts a sealed process of the predictor: with the engine in it, or with a connection to the engine.
import { connect, type Socket } from "node:net";
import { type Pooled, type SandboxOptions, type SealedProcess, startSealed } from "@sotto/sealed";
import type { PredictorConfig } from "./config.ts";
import type { EngineSettings } from "./measured-config.ts";
import type { SealedArguments } from "./sealed/arguments.ts";

export type SessionProcess = Pooled & SealedProcess;

export type SessionProcessOptions = {
  readonly sandbox: SandboxOptions;
  readonly engine: EngineSettings;
};

const startMs = 120_000; // a large model takes its time
const connectMs = 5000;
const cpuSeconds = 3600;

/** What a sealed process of the predictor is given; `build` only where the engine runs in it. */
export function sessionSandbox(config: PredictorConfig, build: string | undefined): SandboxOptions {
  const { configFile, sealedFile, measured } = config;
  const model = measured.engine.kind === "llama" ? [measured.engine.path] : [];
  const given: SealedArguments = { config: configFile, ...(build === undefined ? {} : { build }) };
  return {
    code: sealedFile,
    readable: [configFile, ...model, ...(build === undefined ? [] : [build])],
    addon: build !== undefined,
    args: [JSON.stringify(given)],
    memoryMib: measured.memoryMib,
    cpuSeconds,
  };
}

/** Starts one; throws `SealedError`. */
export async function startSession({ sandbox, engine }: SessionProcessOptions): Promise<SessionProcess> {
  const connection = engine.kind === "openai" ? await openConnection(new URL(engine.url)) : undefined;
  try {
    const process = await startSealed({
      sandbox,
      startMs,
      ...(connection === undefined ? {} : { connection }),
    });
    return { ...process, isFit: true };
  } finally {
    connection?.destroy(); // the process has its own hold on it; nothing is ever read from it here
  }
}

function openConnection(url: URL): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: Number(url.port === "" ? 80 : url.port),
      noDelay: true,
    });
    socket.setTimeout(connectMs, () => socket.destroy(new Error("model server cannot be reached")));
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.setTimeout(0);
      socket.pause();
      resolve(socket);
    });
  });
}
