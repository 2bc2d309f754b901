// The server of the benchmark `session`: `fork`ed with an attested end for every connection. Its processor time is its
// own; the simulated chip signs in another process, as hardware would.
import { fork } from "node:child_process";
import { createServer } from "node:net";
import { join } from "node:path";
import {
  boundParts,
  createBatch,
  type EvidenceBundle,
  type PeerEvidence,
  type SessionBinding,
  sandboxLayers,
  sessionLeaf,
} from "@sotto/attestation";
import { type Bytes, copyBytes, systemRandom } from "@sotto/base";
import { acceptServerSession } from "@sotto/ratls/server";
import type { SessionStage } from "./session-stage.ts";

/** What the client asks of this process. */
export type NodeRequest = SessionStage | { readonly cpu: true };
/** What it answers. */
export type NodeAnswer = { readonly port: number } | { readonly cpuUs: number };

const device = fork(join(import.meta.dirname, "session-device.ts"), { serialization: "advanced" });
const waiting: ((report: Bytes) => void)[] = [];
device.on("message", (report: Uint8Array) => waiting.shift()?.(copyBytes(report)));

function report(data: Bytes): Promise<Bytes> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    device.send(data);
  });
}

async function show(
  binding: SessionBinding,
  stage: SessionStage,
  peers: readonly PeerEvidence[] = [],
): Promise<EvidenceBundle> {
  const released = binding.role === "predictor" ? stage.predictor : stage.orchestrator;
  const parts = { ...released, layers: sandboxLayers, gpus: [], peers };
  const { reportData, pathFor } = createBatch([sessionLeaf(binding, boundParts(parts))]);
  return {
    ...parts,
    snp: { report: await report(reportData), certificates: stage.certificates },
    batch: pathFor(0),
  };
}

async function listen(stage: SessionStage): Promise<number> {
  device.send({ chip: stage.chip, measurement: stage.measurement });
  const some = systemRandom(32);
  const binding = {
    role: "predictor",
    spkiDigest: some,
    nonce: some,
    exporter: some,
    requestDigest: some,
  } as const;
  const peers = [{ binding, bundle: await show(binding, stage) }];
  const server = createServer({ noDelay: true }, (stream) => {
    stream.on("error", () => {});
    acceptServerSession({
      stream,
      role: "orchestrator",
      random: systemRandom,
      attester: { attest: (own) => show(own, stage, peers) },
    }).catch(() => stream.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

process.on("message", async (request: NodeRequest) => {
  const { user, system } = process.cpuUsage();
  const answer: NodeAnswer = "cpu" in request ? { cpuUs: user + system } : { port: await listen(request) };
  process.send?.(answer);
});
process.on("disconnect", () => process.exit());
