// Findings about the processes that hold text: what they can say to the process with the report device, and what their
// sandboxes leave within reach.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  AttestationError,
  boundParts,
  type EvidenceBundle,
  parseEvidenceBundle,
  type SessionBinding,
  sessionLeaf,
  verifyBinding,
} from "@sotto/attestation";
import { createReportSigner, createSimulatedChip } from "@sotto/attestation/software";
import { createAttester } from "@sotto/attester";
import { type Bytes, concatBytes, encodeUtf8, systemRandom } from "@sotto/base";
import { bundleSealed } from "@sotto/bundle";
import { openClientSession } from "@sotto/ratls";
import { acceptServerSession } from "@sotto/ratls/server";
import {
  messageType,
  type SandboxOptions,
  type SandboxTools,
  sandboxCommand,
  serializeAttestMessage,
  startSealed,
} from "@sotto/sealed";
import type { Channel } from "@sotto/sealed/child";
import { createLink, createStage } from "../../protocol/ratls/test/stage.ts";
import { signReport } from "../../services/attester/test/stage.ts";
import { loadConfig as loadOrchestrator } from "../../services/orchestrator/src/config.ts";
import { sessionSandbox as orchestratorSandbox } from "../../services/orchestrator/src/session-process.ts";
import { createSwitchboard } from "../../services/orchestrator/src/switchboard.ts";
import * as orchestratorChild from "../../services/orchestrator/test/child.ts";
import { loadConfig as loadPredictor } from "../../services/predictor/src/config.ts";
import { findEngineBuild } from "../../services/predictor/src/engine-package.ts";
import { sessionSandbox as predictorSandbox } from "../../services/predictor/src/session-process.ts";
import { serveSessions } from "../../services/predictor/src/session-server.ts";
import { createTurnQueue } from "../../services/predictor/src/turn-queue.ts";
import { bundleFixture, listen, tools, withoutBwrap } from "../../services/sealed/test/children.ts";
import * as playedChild from "../../services/sealed/test/played-child.ts";
import { describe, parseOutcomes, setTargets } from "../../services/sealed/test/targets.ts";
import { writeBabbleModel } from "../../tools/up/src/babble.ts";
import { configOf, digestOf, environmentOf, folder, root } from "../confidential-stage.ts";

const kinds = ["orchestrator", "predictor with a model server", "predictor with the engine"] as const;
type Kind = (typeof kinds)[number];
const noTools: SandboxTools = { bwrap: undefined, prlimit: undefined, setpriv: undefined };
const [stage, breakout] = await Promise.all([createStage(), bundleFixture("breakout")]);
const open: { readonly close: () => unknown }[] = [];
after(() => Promise.all(open.map(({ close }) => close())));

/** The sandbox that a service makes, with its report device in the folder given. */
async function sandboxOf(kind: Kind, tsm: string): Promise<SandboxOptions> {
  const env = { SOTTO_TSM: tsm };
  if (kind === "orchestrator") {
    return orchestratorSandbox(loadOrchestrator(await environmentOf(kind, await configOf(kind), env)));
  }
  if (kind === "predictor with a model server") {
    const engine = { kind: "openai", url: "http://127.0.0.1:9/v1", model: "toy" };
    const config = await configOf("predictor", { engine });
    return predictorSandbox(loadPredictor(await environmentOf("predictor", config, env)), undefined);
  }
  const path = join(folder, "babble.gguf");
  writeBabbleModel(path);
  const engine = { kind: "llama", path, name: "babble", digest: digestOf(path), threads: 1 };
  const config = await configOf("predictor", { engine });
  return predictorSandbox(loadPredictor(await environmentOf("predictor", config, env)), findEngineBuild());
}

/** Every path that a command line hands out, wherever in it. */
function pathsIn(args: readonly string[]): string[] {
  return args.flatMap((arg) => arg.match(/(?<=^|[="])\/[^"]*/g) ?? []);
}

const isWithin = (path: string, outer: string): boolean => path === outer || path.startsWith(`${outer}/`);

test("32: no sandbox hands out the report device, the release, or a folder that one of them lies in", async () => {
  const tsm = join(folder, "tsm", "report");
  const release = await environmentOf("orchestrator", {});
  const devices = ["/dev/sev-guest", "/dev/sev", "/sys/kernel/config/tsm/report", "/proc/self/mem"];
  for (const kind of kinds) {
    const sandbox = await sandboxOf(kind, tsm);
    for (const given of [tools, noTools]) {
      const { args } = sandboxCommand(sandbox, given);
      const paths = pathsIn(args).filter((path) => path !== "/"); // where it stands, in a file system of its own
      assert.ok(paths.length >= 3, "its code, its loader and its configuration");
      for (const path of paths) {
        for (const secret of [tsm, release.SOTTO_RELEASE ?? "", ...devices]) {
          assert.ok(!isWithin(secret, path) && !isWithin(path, secret), `${kind}: ${path}`);
        }
        assert.ok(
          !/^\/(dev|sys|proc|run|home|root|etc)(\/|$)/.test(path) || path.startsWith(root),
          `${kind}: ${path}`,
        );
        assert.ok(!isWithin(root, path), `${kind}: the whole house`);
      }
      const flags = args.filter((arg) => arg.startsWith("--"));
      for (const flag of flags)
        assert.doesNotMatch(flag, /^--(bind|dev|proc|share|tmpfs|allow-(?!fs-read=|addons$))/);
      assert.equal(flags.includes("--allow-addons"), kind === "predictor with the engine");
      assert.ok(flags.includes("--permission"));
    }
  }
});

type Played = { readonly channel: Channel; readonly wasKilled: () => boolean };
type Role = SessionBinding["role"];

/** A session of the real service of a role, with the real attester, whose sealed process is played by the test. */
async function openSession(role: Role) {
  const reports: Bytes[] = [];
  const { SOTTO_RELEASE = "" } = await environmentOf("orchestrator", {});
  const attester = createAttester({
    tsmRoot: folder,
    release: SOTTO_RELEASE,
    role,
    clock: () => 0,
    report: (data) => {
      reports.push(data);
      return signReport(data);
    },
  });
  open.push(attester);
  const { attest } = attester;
  const common = { attest, isOpen: () => true, onEnd: () => {} };
  let child: Played;
  if (role === "orchestrator") {
    const played = orchestratorChild.createChild();
    const pool = orchestratorChild.createChildPool(() => {});
    const processes = { ...pool, take: async () => played.process };
    const board = createSwitchboard({ ...common, processes, clock: () => 0, random: systemRandom });
    open.push(board, pool);
    const request = new Request("http://node.invalid/sessions", { method: "POST", body: new Uint8Array(1) });
    const { status, body } = await board.handle(request);
    assert.equal(status, 200);
    body?.getReader().closed.catch(() => {}); // it is cut where the process is ended
    child = played;
  } else {
    const played = playedChild.createChild();
    const pool = playedChild.createChildPool(playedChild.createChild);
    const processes = { ...pool, take: async () => played.process };
    const limits = { maxConnections: 8, attestMs: 60_000, lifetimeMs: 60_000, clock: () => 0 };
    const turns = createTurnQueue(1);
    const server = await serveSessions({ ...common, ...limits, port: 0, role, processes, turns });
    open.push(server, pool);
    connect(Number(new URL(server.address).port), "127.0.0.1").on("error", () => {});
    await played.assigned;
    child = played;
  }
  const ask = (content: Bytes): void => child.channel.send(messageType.attest, content);
  const isEnded = async (): Promise<boolean> => {
    for (let turn = 0; turn < 200 && !child.wasKilled(); turn += 1)
      await new Promise((resolve) => setTimeout(resolve, 5));
    return child.wasKilled();
  };
  return { ...child, ask, isEnded, reports };
}

const hash = (byte: number): Bytes => new Uint8Array(32).fill(byte);
const fields = { spkiDigest: hash(1), nonce: hash(2), exporter: hash(3), requestDigest: hash(4) };
const wellFormed = serializeAttestMessage({ stream: "client", binding: fields, peers: [] });
const roles = ["orchestrator", "predictor", "guard"] as const;

test("32: a sealed process gets one report, about its own channel and in the role of its service", async () => {
  for (const role of roles) {
    const { channel, ask, isEnded, reports, wasKilled } = await openSession(role);
    const answer = channel.nextOf("client", messageType.evidence);
    ask(wellFormed);
    const bundle = parseEvidenceBundle((await answer).content);
    assert.deepEqual(bundle.layers, [], "those that were found around it, none that it claims");
    const [report, ...more] = reports;
    assert.ok(report !== undefined && more.length === 0);
    const parts = boundParts(bundle);
    verifyBinding(sessionLeaf({ ...fields, role }, parts), bundle.batch, report);
    for (const other of roles) {
      if (other === role) continue;
      const leaf = sessionLeaf({ ...fields, role: other }, parts);
      assert.throws(() => verifyBinding(leaf, bundle.batch, report), { code: "binding-mismatch" });
    }
    assert.notDeepEqual(report.slice(0, 32), hash(2), "no byte of it is one that the process chose");
    assert.ok(!wasKilled());
    ask(serializeAttestMessage({ stream: "client", binding: { ...fields, nonce: hash(5) }, peers: [] }));
    assert.ok(await isEnded(), `${role}: a second session's evidence`);
    assert.equal(reports.length, 1);
  }
});

test("32: two questions at once are one too many, and so is any that is short, long or of no form", async () => {
  const wrong: readonly (readonly [string, readonly Bytes[]])[] = [
    ["nothing", [new Uint8Array()]],
    ["a report's own data", [new Uint8Array(64)]],
    ["a field too few", [wellFormed.slice(0, 97)]],
    ["a byte too few", [wellFormed.slice(0, 128)]],
    ["a session with a node", [wellFormed.with(0, 1)]],
    ["a session of no kind", [wellFormed.with(0, 3)]],
    ["a byte too many", [concatBytes(wellFormed, Uint8Array.of(0))]],
    ["a role before it", [concatBytes(Uint8Array.of(1), wellFormed)]],
    ["a field too many", [concatBytes(wellFormed, hash(5))]],
    ["a report's own data after it", [concatBytes(wellFormed, new Uint8Array(64).fill(7))]],
    ["as much as a message may hold", [new Uint8Array(512 * 1024)]],
  ];
  for (const role of roles) {
    for (const [name, messages] of wrong) {
      const { ask, isEnded, reports } = await openSession(role);
      for (const message of messages) ask(message);
      assert.ok(await isEnded(), `${role}: ${name}`);
      assert.deepEqual(reports, [], `${role}: ${name}`);
    }
    const { ask, isEnded, reports } = await openSession(role);
    ask(wellFormed);
    ask(wellFormed);
    assert.ok(await isEnded(), role);
    assert.ok(reports.length <= 1);
  }
});

type Alter = (bundle: EvidenceBundle, binding: SessionBinding) => EvidenceBundle | Promise<EvidenceBundle>;

/** Opens a session with a node whose sealed process does this to the evidence that it was given. */
async function openAltered(alter: Alter): Promise<void> {
  const link = createLink();
  const { attest } = stage.attester("orchestrator");
  const attester = { attest: async (binding: SessionBinding) => alter(await attest(binding), binding) };
  const server = acceptServerSession({
    stream: link.server,
    role: "orchestrator",
    attester,
    random: systemRandom,
  });
  server.catch(() => {});
  const { policy } = stage;
  const own = { clock: Date.now, random: systemRandom, signal: AbortSignal.timeout(10_000) };
  try {
    const client = await openClientSession({ stream: link.client, policy, role: "orchestrator", ...own });
    client.close();
  } finally {
    link.client.destroy();
    link.server.destroy();
  }
}

const flip = (bytes: Bytes, at: number): Bytes => bytes.with(at, (bytes[at] ?? 0) ^ 1);

test("32: whatever a sealed process alters of its evidence, the client refuses it", async () => {
  await openAltered((bundle) => bundle);
  const other = await stage.attester("predictor").attest({ ...fields, role: "predictor" });
  const altered: Record<string, Alter> = {
    "another release": (bundle) => ({ ...bundle, statement: other.statement, proof: other.proof }),
    "the statement": (bundle) => ({ ...bundle, statement: flip(bundle.statement, 20) }),
    "no statement": (bundle) => ({ ...bundle, statement: new Uint8Array() }),
    "the proof": (bundle) => ({ ...bundle, proof: flip(bundle.proof, bundle.proof.length - 10) }),
    "a layer less": (bundle) => ({ ...bundle, layers: bundle.layers.slice(1) }),
    "a gpu more": (bundle) => ({ ...bundle, gpus: [encodeUtf8("gpu")] }),
    "a peer more": (bundle, binding) => ({
      ...bundle,
      peers: [{ binding: { ...binding, role: "predictor" }, bundle: other }],
    }),
    "another place in the batch": (bundle) => ({
      ...bundle,
      batch: { ...bundle.batch, size: 2, path: [hash(1)] },
    }),
    "another session's report": (bundle) => ({ ...bundle, snp: other.snp, batch: other.batch }),
    "no certificates": ({ snp, ...bundle }) => ({
      ...bundle,
      snp: { ...snp, certificates: new Uint8Array() },
    }),
  };
  for (const [name, alter] of Object.entries(altered)) {
    await assert.rejects(openAltered(alter), AttestationError, name);
  }
});

test("32: no byte of a report or of its certificates can be another", async () => {
  const { snp } = await stage.attester("orchestrator").attest({ ...fields, role: "orchestrator" });
  for (const part of ["report", "certificates"] as const) {
    const { length } = snp[part];
    // Every so often, and with every run at other bytes.
    const step = Math.ceil(length / 24);
    const from = new DataView(systemRandom(4).buffer).getUint32(0) % step;
    for (let at = from; at < length; at += step) {
      const alter: Alter = (bundle) => ({
        ...bundle,
        snp: { ...bundle.snp, [part]: flip(bundle.snp[part], at) },
      });
      await assert.rejects(openAltered(alter), AttestationError, `${part}, byte ${at}`);
    }
  }
});

test("32: a report that a sealed process makes itself, with a chip of its own, is refused", async () => {
  const chip = await createSimulatedChip(Date.now(), systemRandom);
  const signer = await createReportSigner(chip, "5a".repeat(48));
  const genuine = await stage.attester("orchestrator").attest({ ...fields, role: "orchestrator" });
  const mint = async (bundle: EvidenceBundle, certificates: Bytes): Promise<EvidenceBundle> => {
    // All else is as it should be: what was asked of the device stands in the genuine report.
    const reportData = bundle.snp.report.slice(0x50, 0x50 + 64);
    return { ...bundle, snp: { report: await signer.sign(reportData), certificates } };
  };
  await assert.rejects(
    openAltered((bundle) => mint(bundle, chip.certificates)),
    { code: "untrusted-root" },
  );
  await assert.rejects(
    openAltered((bundle) => mint(bundle, genuine.snp.certificates)),
    AttestationError,
  );
});

const sandboxes: readonly (readonly [string, SandboxTools, string | false])[] = [
  ["in namespaces of its own", tools, withoutBwrap],
  ["without namespaces", { ...tools, bwrap: undefined }, false],
  ["with nothing but the runtime's permissions", noTools, false],
];

for (const kind of kinds) {
  for (const [index, [where, given, skip]] of sandboxes.entries()) {
    test(`32, 33: nothing gets out of the sandbox of the ${kind}, ${where}`, { skip }, async () => {
      const set = await setTargets(`${kind} ${index}`.replaceAll(" ", "-"), breakout);
      const { targets, own, bystanders, reached } = set;
      const before = describe(own);
      // The report device lies in the folder that it tries to read, to write to and to make folders in.
      const sandbox = { ...(await sandboxOf(kind, own)), code: breakout, args: [JSON.stringify(targets)] };
      const model = kind === "predictor with a model server" ? await openModelConnection() : undefined;
      const child = await startSealed({
        sandbox,
        tools: given,
        startMs: 60_000,
        ...(model === undefined ? {} : { connection: model.connection }),
      });
      open.push({ close: child.kill });
      model?.connection.destroy(); // as the service does
      const { text, outcome, code } = await listen(child);
      assert.deepEqual([outcome, code], ["answered", 0], "it lived through all of it");
      const outcomes = parseOutcomes(text);
      assert.ok(outcomes.size > 160);
      assert.deepEqual(
        [...outcomes].filter(([, how]) => how !== "refused"),
        [],
      );
      assert.equal(reached(), 0, "nobody heard from it");
      assert.equal(model?.heard() ?? 0, 0, "nor did the model server: none of it was a question");
      assert.deepEqual(describe(own), before, "nothing was written, and no report was asked for");
      for (const { exitCode, signalCode } of bystanders)
        assert.deepEqual([exitCode, signalCode], [null, null]);
    });
  }
}

/** A connection like the one to a model server, and how much has come over it. */
async function openModelConnection(): Promise<{ readonly connection: Socket; readonly heard: () => number }> {
  let bytes = 0;
  const server = createServer((socket) => {
    socket
      .on("error", () => {})
      .on("data", (piece) => {
        bytes += piece.length;
      });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  open.push({ close: () => server.close() });
  const address = server.address();
  const connection = connect(typeof address === "object" && address !== null ? address.port : 0, "127.0.0.1");
  await new Promise((resolve) => connection.once("connect", resolve));
  connection.pause();
  return { connection, heard: () => bytes };
}

// What a bundle may import, and why. Of modules that lead out of a process, what it may use of them as well.
const neither = "neither opens, starts nor stores anything";
const harmless: Readonly<Record<string, string>> = {
  ...Object.fromEntries(["assert", "constants", "crypto", "events", "path"].map((name) => [name, neither])),
  ...Object.fromEntries(["stream", "tty", "url", "util"].map((name) => [name, neither])),
  fs: "the configuration, before the lock; behind it there is no permission to read, and never one to write",
  "fs/promises": "as fs",
  os: "closeDoors takes the setting of other processes' priorities away",
  process: "closeDoors takes signals, and all else that leads out, away",
  "supports-color": "a package that is not there, which its user does without",
};
type Members = Readonly<Record<string, readonly string[]>>;
const doors: Members = { module: ["Module", "registerHooks"] }; // closeDoors: to have nothing loaded any more
const entries: Readonly<Record<string, { readonly harmless: readonly string[]; readonly members: Members }>> =
  {
    "services/orchestrator/src/sealed/main.ts": {
      harmless: ["crypto", "fs", "os", "stream"],
      // Over streams that it is given, `connect` too: where that opens a connection there is no permission.
      members: { ...doors, tls: ["TLSSocket", "connect", "createSecureContext"] },
    },
    "services/predictor/src/sealed/openai-main.ts": {
      harmless: ["crypto", "fs", "os", "stream"],
      members: {
        ...doors,
        tls: ["TLSSocket", "createSecureContext"],
        net: ["Socket"], // of the descriptor that it is given
        http: ["request"], // over that socket, and no other
      },
    },
    "services/predictor/src/sealed/llama-main.ts": {
      harmless: Object.keys(harmless),
      members: {
        module: [...(doors.module ?? []), "createRequire"], // for the engine's addon, before the lock
        tls: ["TLSSocket", "createSecureContext"],
        http: [], // named by the code for model servers, of which nothing else is left in
        // Of the engine's package, which would run git to compile itself. There is no permission to start anything.
        child_process: ["spawn"],
      },
    },
  };

/** The modules that code asks for, sorted. */
function importsOf(code: string): string[] {
  const names = [...code.matchAll(/\brequire\(["'`](?:node:)?([^"'`]+)["'`]\)/g)].map(
    ([, name]) => name ?? "",
  );
  return [...new Set(names)].sort();
}

/**
 * What minified code uses of a module, sorted: calls, constructions, and values taken from it; `*` where it takes the whole
 * module, or takes it more than once.
 */
async function membersOf(code: string, module: string): Promise<string[]> {
  const exported = new Set(Object.keys(await import(`node:${module}`)));
  const asked = `require\\(["'\`](?:node:)?${module}["'\`]\\)`;
  const [binding] = [...code.matchAll(new RegExp(`([\\w$]+)=${asked}`, "g"))];
  const name = binding?.[1]?.replaceAll("$", "\\$") ?? "nothing";
  const isWhole = new RegExp(`(?<![\\w$.])${name}=[\\w$]+\\(${name},1\\)`).test(code);
  const isOnce = [...code.matchAll(new RegExp(asked, "g"))].length === 1;
  const of = `${name}\\.([\\w$]+)`;
  // A call of what is imported is written as `(0,x.y)(`; `x.y(` is a method of something else of that short name.
  const used = new RegExp(`(?<=\\(0,|new |extends )${of}|(?<![\\w$.])${of}(?![\\w$(=\`])`, "g");
  const members = [...code.matchAll(used)].map(([, called, taken]) => called ?? taken ?? "");
  const known = members.filter((member) => exported.has(member));
  return [...new Set(isWhole || !isOnce ? [...known, "*"] : known)].sort();
}

test("33: what the sealed code imports of Node is on a list, and no way out is among it", async () => {
  for (const [entry, { harmless: plain, members }] of Object.entries(entries)) {
    const code = await bundleSealed({ root, entry });
    const imported = importsOf(code);
    assert.deepEqual(imported, [...plain, ...Object.keys(members)].sort(), entry);
    for (const name of plain) assert.ok(name in harmless, name);
    for (const [name, allowed] of Object.entries(members)) {
      assert.deepEqual(await membersOf(code, name), [...allowed].sort(), `${entry}: ${name}`);
    }
    assert.doesNotMatch(code, /\bimport\(/, "nothing is loaded by a name made later");
    assert.doesNotMatch(code, /\brequire\((?!["'`])/);
  }
  const loader = readFileSync(join(root, "services/sealed/src/child/loader.cjs"), "utf8");
  // It runs the bundle, and is over before there is a client.
  assert.deepEqual(importsOf(loader), ["fs", "vm"]);
});
