// What a sealed process of the predictor is started with.
import { z } from "zod";

const schema = z.strictObject({
  config: z.string(),
  /** Where the engine's build for this machine lies, for an engine in the process. */
  build: z.string().optional(),
});

export type SealedArguments = z.infer<typeof schema>;

/** Reads the one argument. */
export function readArguments(): SealedArguments {
  return schema.parse(JSON.parse(process.argv[2] ?? ""));
}
