// `sotto`: chat, verify, proxy, guard, up. Answers go to standard output, everything else to standard error.
import { Command } from "commander";
import { chatCommand } from "./chat.ts";
import { guardCommand } from "./guard.ts";
import { proxyCommand } from "./proxy.ts";
import { exitCodes, reportFailure } from "./terminal.ts";
import { upCommand } from "./up.ts";
import { verifyCommand } from "./verify.ts";

const program = new Command("sotto")
  .description("Private AI that nobody but you can read")
  .version("0.1.0")
  .showHelpAfterError()
  .addHelpText(
    "after",
    `
Exit codes:
  0   done, and the service was acceptable under the policy
  1   something unexpected
  2   wrong usage
  10  refused: the service could not be verified, nothing was sent
  69  the stack, relay or issuer cannot be reached, or is busy
  77  no tokens, or the account was refused`,
  )
  .addCommand(chatCommand())
  .addCommand(verifyCommand())
  .addCommand(proxyCommand())
  .addCommand(guardCommand())
  .addCommand(upCommand());

// Commands that are added do not inherit it.
for (const command of [program, ...program.commands]) {
  command.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : exitCodes.usage));
}
try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = reportFailure(error);
}
