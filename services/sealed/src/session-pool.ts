// The sealed processes of a service, from the compiled form of their code to the pool that keeps them ready.
import { openCodeCache } from "./code-cache.ts";
import { createProcessPool, type Pooled, type PoolOptions, type ProcessPool } from "./process-pool.ts";
import type { SandboxOptions } from "./sandbox-command.ts";
import { requireLayers, type SealedProcess } from "./sealed-process.ts";

export type SessionPoolOptions<Process extends Pooled & SealedProcess> = Omit<
  PoolOptions<Process>,
  "start" | "first" | "maxWaitMs"
> & {
  readonly sandbox: SandboxOptions;
  /** Starts one in the sandbox given. */
  readonly start: (sandbox: SandboxOptions) => Promise<Process>;
  /** Whether a process that lacks a layer of its sandbox is one that did not start. */
  readonly requiresAllLayers: boolean;
};

const maxWaitMs = 10_000;

/**
 * Opens the pool once one process has come up: code, model or sandbox that does not work shows now, before anybody is
 * let in. Throws what starting throws.
 */
export async function openSessionPool<Process extends Pooled & SealedProcess>({
  sandbox,
  start,
  requiresAllLayers,
  ...options
}: SessionPoolOptions<Process>): Promise<ProcessPool<Process>> {
  const code = await openCodeCache(sandbox);
  const startNext = async (): Promise<Process> => {
    const process = await start({ ...sandbox, cache: code.path });
    if (requiresAllLayers) requireLayers(process);
    return process;
  };
  try {
    const first = await startNext();
    const pool = createProcessPool({ ...options, maxWaitMs, start: startNext, first });
    const close = (): void => {
      pool.close();
      code.close();
    };
    return { ...pool, close };
  } catch (error) {
    code.close();
    throw error;
  }
}
