// What the steps of starting a stack have in common: where its state is, who looks on, and what has been started.
import { join } from "node:path";
import type { UpOptions } from "./options.ts";
import { type Part, startPart } from "./part.ts";
import type { Screen } from "./screen.ts";
import type { StateFolder } from "./state-folder.ts";

/** Root of the clone. */
export const root: string = join(import.meta.dirname, "..", "..", "..");

/** Stands between two parts: takes the address of one and gives the address that the other is told. */
export type Link = (name: string, address: string) => Promise<string>;

export type StackContext = {
  readonly link: Link;
  readonly options: UpOptions;
  readonly state: StateFolder;
  readonly screen: Screen;
  readonly parts: Part[];
  readonly onPart: (part: Part) => void;
};

/** Starts one part and returns its address. */
export async function start(
  context: StackContext,
  name: string,
  entry: string,
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
): Promise<string> {
  context.screen.step(name);
  const logFile = context.state.file("logs", `${name}.log`);
  const part = await startPart({ name, entry: join(root, entry), args, env, logFile });
  context.parts.push(part);
  context.onPart(part);
  context.screen.done(name, part.address);
  return part.address;
}
