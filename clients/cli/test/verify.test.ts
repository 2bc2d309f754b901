// What `sotto verify` prints, as a person reads it: words carry the meaning, colour only repeats it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import type { Verification } from "@sotto/sdk";
import { verificationPage } from "../src/verify.ts";

const check = (id: string, status: "pass" | "fail" | "skip", detail: string) => ({
  ...{ id, status, detail },
  source: "spec",
});
const simulated: Verification = {
  overall: "simulated",
  summary: "SIMULATED hardware.",
  profile: "development",
  verifiedAt: "2026-11-24T12:00:00.000Z",
  checks: [
    check("release.measurement", "pass", "what runs is what was released"),
    check("sandbox.layers", "pass", "all 7 layers of the sandbox hold"),
    check("peers.0.sandbox.layers", "skip", "MISSING: users, network; 6 of 7 layers hold"),
  ],
};

test("a layer that is missing stands on the page in words, at its check", () => {
  const lines = stripVTControlCharacters(verificationPage(simulated)).split("\n");
  assert.deepEqual(lines.slice(0, 6), [
    "SIMULATED hardware.",
    "",
    "  pass  release.measurement     what runs is what was released",
    "  pass  sandbox.layers          all 7 layers of the sandbox hold",
    "  skip  peers.0.sandbox.layers  MISSING: users, network; 6 of 7 layers hold",
    "",
  ]);
  assert.ok(lines.includes("  policy       development, at 2026-11-24T12:00:00.000Z"));
});

test("a sandbox that was refused is a failed check, with its code", () => {
  const refused: Verification = {
    ...simulated,
    overall: "refused",
    summary: "REFUSED: nothing was sent.",
    profile: "production",
    code: "sandbox-incomplete",
    checks: [check("sandbox.layers", "fail", "the sandbox lacks: bounds on memory")],
  };
  const page = stripVTControlCharacters(verificationPage(refused));
  assert.match(
    page,
    /^REFUSED: nothing was sent\.\n\n {2}FAIL {2}sandbox\.layers {2}the sandbox lacks: bounds/,
  );
  assert.match(page, /\n {2}code {9}sandbox-incomplete\n/);
});
