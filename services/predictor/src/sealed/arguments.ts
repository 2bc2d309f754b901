// What a sealed process of the predictor is started with.

export type SealedArguments = {
  /** Path of the measured configuration. */
  readonly config: string;
  /** Where the engine's build for this machine lies, for an engine in the process. */
  readonly build?: string;
};

/** Reads the one argument, which the process that started this one wrote. */
export function readArguments(): SealedArguments {
  return JSON.parse(process.argv[2] ?? "");
}
