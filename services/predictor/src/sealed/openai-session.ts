// The work of a sealed process of the predictor whose engine is a server. All that it can reach is a connection to that,
// opened by the process that started this one, which never reads from it.
import { Socket } from "node:net";
import { systemRandom } from "@sotto/base";
import { openOpenAiEngine } from "./engines/openai.ts";
import { rehearseServer } from "./rehearsal.ts";
import { type CreatePolicy, runSession } from "./session-work.ts";

const connectionDescriptor = 3;
const exitLost = 1;

/** Runs this process. */
export function runOpenAiSession(createPolicy: CreatePolicy): void {
  runSession(async (settings) => {
    if (settings.kind !== "openai") throw new Error("this code is for a model server");
    await rehearseServer();
    const connection = new Socket({ fd: connectionDescriptor, readable: true, writable: true });
    // Without the connection this process is of no use; another one takes its place.
    const onLost = (): void => process.exit(exitLost);
    return openOpenAiEngine({ ...settings, connection, random: systemRandom, onLost });
  }, createPolicy);
}
