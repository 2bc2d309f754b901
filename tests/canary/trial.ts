// One trial: ask, wait for a second, scan everything.
import { tmpdir } from "node:os";
import { openModelServer } from "./model-server.ts";
import {
  askAll,
  canariesOf,
  type Ending,
  makeKinds,
  makeQuestions,
  type Question,
  scriptOf,
} from "./questions.ts";
import { type ScanReport, scan, type Trace } from "./scan.ts";
import { openStage, type Stage } from "./stage.ts";

export type TrialOptions = {
  readonly engine: "model server" | "built-in";
  readonly questions: number;
  readonly onStep: (text: string) => void;
};

export type TrialReport = ScanReport & {
  readonly endings: readonly Ending[];
  /** Where the canaries of one question were while it was being answered. */
  readonly whileAnswered: readonly Trace[];
  /** What is not as it should be, beside traces. */
  readonly faults: readonly string[];
};

const quietMs = 1000;
const watchAttempts = 5;

/** Starts a stack, asks, and scans it one second after the last question has ended. */
export async function runTrial({ engine, questions: count, onStep }: TrialOptions): Promise<TrialReport> {
  const made = makeQuestions(count);
  // The engine that only babbles can neither fail nor quote what it is told to.
  const scripted = new Set(["failed", "broken", "abandoned"]);
  const questions = engine === "built-in" ? made.filter(({ kind }) => !scripted.has(kind)) : made;
  const watched =
    engine === "built-in" ? [] : makeKinds(Array.from({ length: watchAttempts }, () => "abandoned"));
  const all = [...watched, ...questions];
  const server = engine === "built-in" ? undefined : await openModelServer((text) => scriptOf(all, text));
  let stage: Stage | undefined;
  try {
    onStep("starts a stack");
    const opened = await openStage(server?.url);
    stage = opened;
    let whileAnswered: readonly Trace[] = [];
    if (watched.length > 0) {
      onStep("asks one question, and scans while it is being answered");
      for (const one of watched) {
        if (whileAnswered.length > 0) break; // or its answer was filtered before it could be watched
        await askAll(stage, [one], () => {
          whileAnswered = scanStage(opened, [one]).traces;
        });
      }
    }
    onStep(`asks ${questions.length} questions at once`);
    const endings = await askAll(stage, questions);
    await new Promise((resolve) => setTimeout(resolve, quietMs));
    onStep("scans");
    const report = scanStage(stage, all);
    const faults = [
      ...findFaults(endings, report, engine, stage),
      ...(watched.length > 0 ? judgeWatched(whileAnswered) : []),
    ];
    return { ...report, endings, whileAnswered, faults };
  } finally {
    await stage?.close();
    server?.close();
  }
}

function scanStage(stage: Stage, questions: readonly Question[]): ScanReport {
  return scan({
    canaries: canariesOf(questions),
    roots: stage.parts.flatMap(({ name, pid, process }) => [
      { name, pid },
      { name, pid: process.pid ?? pid },
    ]),
    folders: [stage.folder],
    changed: {
      folders: [...new Set([tmpdir(), "/tmp", "/var/tmp", "/dev/shm"])],
      sinceMs: stage.startedAtMs,
    },
    links: new Map([...stage.taps].map(([name, tap]) => [name, tap.captured()])),
  });
}

// Who holds the text of a question that is being answered, and nobody else does.
const holders = [/^orchestrator, sealed \d+: /, /^predictor, sealed \d+: /];

function judgeWatched(traces: readonly Trace[]): string[] {
  const missing = holders.filter((holder) => !traces.some(({ where }) => holder.test(where)));
  const others = traces.filter(({ where }) => !holders.some((holder) => holder.test(where)));
  return [
    ...missing.map((holder) => `while answered: not found where it must be: ${holder.source}`),
    ...others.map(({ canary, encoding, where }) => `while answered: ${canary}, in ${encoding}, in ${where}`),
  ];
}

const expected: Readonly<Record<Question["kind"], RegExp>> = {
  answered: /^(stop|length)$/,
  refused: /^content_filter$/,
  failed: /^engine-failed$/,
  broken: /^(predictor|engine)-failed$/,
  abandoned: /^abandoned$/,
  "too-long": /^too-large$/,
};
const shown: ReadonlySet<Question["kind"]> = new Set(["answered", "abandoned"]);
const minimumHeapBytes = 8 * 1024 * 1024; // no process of Node has less

/** What makes a scan without traces worth nothing: questions that were not asked, memory that was not read. */
function findFaults(
  endings: readonly Ending[],
  { processes, linkBytes }: ScanReport,
  engine: TrialOptions["engine"],
  { parts, taps }: Stage,
): string[] {
  const faults: string[] = [];
  for (const { question, outcome, text } of endings) {
    const { name, kind, answered } = question;
    // Random words can look like what must not be said, and a busy machine may lose a session.
    const isExcused = shown.has(kind) && /^(content_filter|session-lost\b.*)$/.test(outcome);
    if (!expected[kind].test(outcome) && !isExcused) faults.push(`${name}: ended as ${outcome}`);
    const shows = engine === "model server" && shown.has(kind) && !isExcused;
    if (shows && !text.includes(answered)) faults.push(`${name}: its canary did not come back`);
  }
  const ordinary = endings.filter(({ question }) => question.kind === "answered");
  const whole = ordinary.filter(({ outcome }) => expected.answered.test(outcome));
  if (2 * whole.length < ordinary.length) faults.push("few questions were answered");
  for (const { name, pid } of parts) {
    if (!processes.some((one) => one.pid === pid)) faults.push(`${name}: not scanned`);
  }
  for (const { part, program, pid, ownBytes, ended } of processes) {
    const isNode = program === "node" || program === "sealed";
    if (isNode && !ended && ownBytes < minimumHeapBytes) faults.push(`${part} ${pid}: heap not read`);
  }
  for (const role of ["orchestrator", "predictor"]) {
    const waiting = processes.some(
      ({ part, program, ended }) => part === role && program === "sealed" && !ended,
    );
    if (!waiting) faults.push(`${role}: no sealed process was scanned`);
  }
  for (const name of taps.keys()) {
    if ((linkBytes.get(name) ?? 0) < 1000) faults.push(`link ${name}: carried nothing`);
  }
  return faults;
}
