// `sotto up`: the whole stack on this machine, as `npm start` runs it.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { Command } from "commander";

export function upCommand(): Command {
  return new Command("up")
    .description("run the whole stack on this machine, on simulated hardware (same as npm start)")
    .allowUnknownOption()
    .helpOption(false)
    .argument("[options...]", "see sotto up --help")
    .action(async (_words: string[], _options: unknown, command: Command) => {
      // A program of its own: clients never import what operators run.
      const entry = join(import.meta.dirname, "..", "..", "..", "tools", "up", "src", "main.ts");
      const child = spawn(process.execPath, [entry, ...command.args], { stdio: "inherit" });
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
      process.exitCode = await new Promise<number>((resolve) =>
        child.on("exit", (code) => resolve(code ?? 1)),
      );
    });
}
