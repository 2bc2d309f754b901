// Real sealed processes for tests: fixtures joined into one file each, once, in a folder that goes with the test.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { bundleSealed } from "@sotto/bundle";
import {
  findSandboxTools,
  messageType,
  type SandboxOptions,
  type SandboxTools,
  type SealedOptions,
  type SealedProcess,
  startSealed,
} from "@sotto/sealed";

export const root: string = join(import.meta.dirname, "..", "..", "..");
export const folder: string = mkdtempSync(join(tmpdir(), "sotto-sealed-"));
const started = new Set<SealedProcess>();
after(async () => {
  for (const child of started) child.kill();
  await Promise.all([...started].map(({ ended }) => ended));
  rmSync(folder, { recursive: true, force: true });
});

export const tools: SandboxTools = findSandboxTools();
/** Why a test that needs namespaces is left out, or false. */
export const withoutBwrap: string | false =
  tools.bwrap === undefined ? "bubblewrap is not on this machine" : false;

/** Joins a fixture into one file and returns its path. */
export async function bundleFixture(name: string): Promise<string> {
  const path = join(folder, `${name}.cjs`);
  writeFileSync(path, await bundleSealed({ root, entry: `services/sealed/test/fixtures/${name}.ts` }));
  return path;
}

/** What fixtures are given unless a test says otherwise. */
export const sandboxFor = (code: string, ...args: readonly string[]): SandboxOptions => ({
  code,
  readable: [],
  addon: false,
  args,
  memoryMib: 512,
  cpuSeconds: 60,
});

/** Starts one that ends with the test at the latest. */
export async function startChild(
  options: Partial<SealedOptions> & Pick<SealedOptions, "sandbox">,
): Promise<SealedProcess> {
  const child = await startSealed({ startMs: 20_000, ...options });
  started.add(child);
  child.ended.then(() => started.delete(child));
  return child;
}

export type Heard = {
  readonly text: string;
  readonly outcome: string | undefined;
  readonly code: number | undefined;
};

/** Assigns a process and listens to it until it is gone. */
export async function listen(child: SealedProcess, input?: Uint8Array<ArrayBuffer>): Promise<Heard> {
  const pieces: Uint8Array[] = [];
  let outcome: string | undefined;
  child.handle({
    bytes: (_name, bytes) => {
      pieces.push(bytes);
      return true;
    },
    end: () => {},
    done: (given) => {
      outcome = given;
    },
  });
  child.send(messageType.assign);
  if (input !== undefined) child.write("client", input);
  const code = await child.ended;
  return { text: Buffer.concat(pieces).toString(), outcome, code };
}

/** Descriptors that this process holds; on other systems none can be counted. */
export const openDescriptors = (): number =>
  process.platform === "linux" ? readdirSync("/proc/self/fd").length : 0;
