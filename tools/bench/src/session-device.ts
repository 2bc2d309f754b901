// The simulated chip of the benchmark `session`, alone in its process: told once which chip it is, then it signs.
import { createReportSigner, parseSimulatedChip } from "@sotto/attestation/software";
import { copyBytes } from "@sotto/base";
import type { SessionStage } from "./session-stage.ts";

let signer: ReturnType<typeof createReportSigner> | undefined;
let turn: Promise<unknown> = Promise.resolve(); // one report after another, as a chip makes them

process.on("message", (message: Uint8Array | Pick<SessionStage, "chip" | "measurement">) => {
  if ("chip" in message) {
    signer = createReportSigner(parseSimulatedChip(message.chip), message.measurement);
  } else turn = turn.then(async () => process.send?.(await (await signer)?.sign(copyBytes(message))));
});
process.on("disconnect", () => process.exit());
