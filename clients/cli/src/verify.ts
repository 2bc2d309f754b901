// `sotto verify`: opens a session, checks everything, sends no question, and says what was found.

import type { Verification } from "@sotto/sdk";
import { Command, Option } from "commander";
import { connect } from "./connection.ts";
import { exitCodes, paint } from "./terminal.ts";

type VerifyOptions = {
  readonly stack?: string;
  readonly json?: boolean;
  readonly policy: "development" | "production";
};

export function verifyCommand(): Command {
  return new Command("verify")
    .description("check the hardware evidence, the log and the session, and show every check")
    .option("--stack <folder>", "state folder of a running stack")
    .addOption(
      new Option("--policy <name>", "what to accept")
        .choices(["development", "production"])
        .default("development"),
    )
    .option("--json", "print one line of JSON, with the raw evidence")
    .action(async (options: VerifyOptions) => {
      const privateFetch = connect(options);
      try {
        const verification = await privateFetch.verify();
        process.stdout.write(
          options.json === true ? `${JSON.stringify(verification)}\n` : verificationPage(verification),
        );
        process.exitCode = verification.overall === "refused" ? exitCodes.refused : exitCodes.ok;
      } finally {
        privateFetch.close();
      }
    });
}

const words = { pass: "pass", fail: "FAIL", skip: "skip" } as const;
const meanings = { pass: "good", fail: "bad", skip: "warn" } as const;
const overallMeanings = { verified: "good", simulated: "warn", refused: "bad" } as const;

/** What a person is shown: the verdict in one line, then every check, then what it is about. */
export function verificationPage(verification: Verification): string {
  const width = Math.max(0, ...verification.checks.map(({ id }) => id.length));
  const lines = verification.checks.map(
    ({ id, status, detail }) => `  ${paint(words[status], meanings[status])}  ${id.padEnd(width)}  ${detail}`,
  );
  const tail: string[] = [];
  if (verification.node !== undefined) {
    tail.push(
      `  node         ${verification.node.role} ${verification.node.version}, picked from the directory`,
    );
    tail.push(`  measurement  ${verification.node.measurement}`);
    for (const { role, version, measurement } of verification.node.peers) {
      tail.push(`  ${role.padEnd(11)}  ${version}, ${measurement}`);
    }
    tail.push(`  models       ${verification.node.models.join(", ")}`);
  }
  if (verification.log !== undefined) {
    const { origin, size, witnesses } = verification.log;
    tail.push(`  log          ${origin}, ${size} entries, witnessed by ${witnesses.join(" and ")}`);
  }
  tail.push(`  policy       ${verification.profile}, at ${verification.verifiedAt}`);
  const headline = paint(verification.summary, overallMeanings[verification.overall]);
  const code = verification.code === undefined ? [] : [`  code         ${verification.code}`];
  return [headline, "", ...lines, "", ...code, ...tail, ""].join("\n");
}
