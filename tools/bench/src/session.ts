// What an attested session costs each end: handshake, evidence and verdict over loopback, with the chain of certificates
// verified anew and remembered, against the handshake alone. The chip's own time is in a process of its own.
import { type ChildProcess, fork } from "node:child_process";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { connect as connectTls, createSecureContext } from "node:tls";
import { forgetEndorsements, type TrustPolicy } from "@sotto/attestation";
import { systemRandom } from "@sotto/base";
import { openClientSession } from "@sotto/ratls";
import type { BenchReport, Row } from "./report.ts";
import { type RoundOptions, type Spread, spreadOf } from "./rounds.ts";
import type { NodeAnswer, NodeRequest } from "./session-node.ts";
import { createSessionStage } from "./session-stage.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const flags = [
  `--openssl-config=${join(root, "protocol/ratls/openssl.cnf")}`,
  "--disable-warning=ExperimentalWarning",
];
const warmUpSessions = 40;
const inFlight = 8; // sessions at once, so that no end idles between two of them
const plainContext = createSecureContext({ ecdhCurve: "X25519MLKEM768", minVersion: "TLSv1.3", ca: [] });

const ways = [
  "handshake alone",
  "the reports' two signatures alone",
  "attested, chain remembered",
  "attested, cold",
] as const;
type Way = (typeof ways)[number];
type Sample = { readonly clientMs: number; readonly serverMs: number; readonly wallMs: number };

/** Runs the benchmark. */
export async function benchSession({ rounds, roundMs }: RoundOptions): Promise<BenchReport> {
  const { stage, policy } = await createSessionStage();
  const node = fork(join(import.meta.dirname, "session-node.ts"), {
    serialization: "advanced",
    execArgv: flags,
  });
  try {
    const answer = await ask(node, stage);
    const port = "port" in answer ? answer.port : 0;
    const open: Readonly<Record<Way, () => Promise<void>>> = {
      "handshake alone": () => shakeHands(port),
      "the reports' two signatures alone": await createSignatureCheck(),
      "attested, chain remembered": () => attest(port, policy),
      "attested, cold": () => {
        forgetEndorsements(); // whatever is on its way meanwhile
        return attest(port, policy);
      },
    };
    for (const way of ways) for (let count = 0; count < warmUpSessions; count += 1) await open[way]();
    const samples: Record<Way, Sample[]> = {
      "handshake alone": [],
      "the reports' two signatures alone": [],
      "attested, chain remembered": [],
      "attested, cold": [],
    };
    for (let round = 0; round < rounds; round += 1) {
      for (let turn = 0; turn < ways.length; turn += 1) {
        const way = ways[(turn + round) % ways.length] ?? ways[0];
        samples[way].push(await measure(node, open[way], roundMs));
      }
    }
    const of = (way: Way, part: keyof Sample): Spread => spreadOf(samples[way].map((sample) => sample[part]));
    return {
      bench: "session",
      rounds,
      rows: [...ways.flatMap((way) => rowsOf(way, of)), ...(await countTraffic(port, policy))],
      goals: [
        { name: "client CPU, cold", value: of("attested, cold", "clientMs"), atMost: 3, stretch: 1.6 },
        {
          name: "client CPU, chain remembered",
          value: of("attested, chain remembered", "clientMs"),
          atMost: 1.2,
          stretch: 0.9,
        },
        {
          name: "server CPU",
          value: of("attested, chain remembered", "serverMs"),
          atMost: 0.8,
          stretch: 0.45,
        },
      ],
    };
  } finally {
    node.kill();
  }
}

function rowsOf(way: Way, of: (way: Way, part: keyof Sample) => Spread): Row[] {
  return [
    { name: way, unit: "ms of CPU, client", value: of(way, "clientMs") },
    { name: "", unit: "ms of CPU, server", value: of(way, "serverMs") },
    { name: "", unit: "ms of wall time a session, 8 at once", value: of(way, "wallMs") },
  ];
}

async function measure(node: ChildProcess, open: () => Promise<void>, roundMs: number): Promise<Sample> {
  const serverBefore = await cpuMs(node);
  const own = process.cpuUsage();
  const start = performance.now();
  let sessions = 0;
  const work = async (): Promise<void> => {
    do {
      await open();
      sessions += 1;
    } while (performance.now() < start + roundMs);
  };
  await Promise.all(Array.from({ length: inFlight }, work));
  const wallMs = (performance.now() - start) / sessions;
  const { user, system } = process.cpuUsage(own);
  const serverMs = ((await cpuMs(node)) - serverBefore) / sessions;
  return { clientMs: (user + system) / 1000 / sessions, serverMs, wallMs };
}

async function cpuMs(node: ChildProcess): Promise<number> {
  const answer = await ask(node, { cpu: true });
  return "cpuUs" in answer ? answer.cpuUs / 1000 : Number.NaN;
}

function ask(node: ChildProcess, request: NodeRequest): Promise<NodeAnswer> {
  return new Promise((resolve) => {
    node.once("message", (answer: NodeAnswer) => resolve(answer));
    node.send(request);
  });
}

function reach(port: number): Socket {
  const stream = connect({ host: "127.0.0.1", port, noDelay: true });
  stream.on("error", () => {});
  return stream;
}

async function attest(port: number, policy: TrustPolicy, stream: Duplex = reach(port)): Promise<void> {
  const own = { policy, role: "orchestrator", clock: Date.now, random: systemRandom } as const;
  (await openClientSession({ stream, ...own })).close();
}

/** What no verdict on an orchestrator and its predictor can do without: two signatures on P-384, of a report's length. */
async function createSignatureCheck(): Promise<() => Promise<void>> {
  const signed = systemRandom(0x2a0);
  const algorithm = { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" };
  const pair = await crypto.subtle.generateKey(algorithm, false, ["sign", "verify"]);
  if (!("privateKey" in pair)) throw new Error("no key pair");
  const signature = await crypto.subtle.sign(algorithm, pair.privateKey, signed);
  return async () => {
    for (let count = 0; count < 2; count += 1) {
      await crypto.subtle.verify(algorithm, pair.publicKey, signature, signed);
    }
  };
}

/** The same handshake, and nothing after it. */
function shakeHands(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      socket: reach(port),
      ALPNProtocols: ["sotto/1"],
      secureContext: plainContext,
      rejectUnauthorized: false,
    });
    socket.once("error", reject);
    socket.once("secureConnect", () => {
      socket.destroy();
      resolve();
    });
  });
}

/** Bytes and flights of one session, up to the verdict. */
async function countTraffic(port: number, policy: TrustPolicy): Promise<Row[]> {
  const socket = reach(port);
  const bytes = { up: 0, down: 0 };
  const flights: (keyof typeof bytes)[] = [];
  const note = (way: keyof typeof bytes, chunk: Uint8Array): void => {
    bytes[way] += chunk.length;
    if (flights.at(-1) !== way) flights.push(way);
  };
  const stream = new Duplex({
    read: () => {},
    write: (chunk, _encoding, done) => {
      note("up", chunk);
      socket.write(chunk, done);
    },
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  socket.on("data", (chunk: Buffer) => {
    note("down", chunk);
    stream.push(chunk);
  });
  await attest(port, policy, stream);
  const row = (name: string, unit: string, value: number): Row => {
    return { name, unit, value: { median: value, low: value, high: value } };
  };
  return [
    row("one session", "bytes from the client", bytes.up),
    row("", "bytes from the server", bytes.down),
    row("", "messages that the client sends", flights.filter((way) => way === "up").length),
    row("", "round trips to the verdict", flights.filter((way) => way === "down").length),
  ];
}
