// `npm start`: the whole of Sotto on this machine, until Ctrl-C.
import { help, parseOptions, type UpOptions, UsageError } from "./options.ts";
import { choosePort, runStack } from "./stack-run.ts";

async function main(): Promise<number> {
  let options: UpOptions | undefined;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`sotto: ${error.message}\n\n${help}`);
    return 2;
  }
  if (options === undefined) {
    process.stdout.write(help);
    return 0;
  }
  return runStack({ ...options, port: await choosePort(options.port) });
}

process.exitCode = await main();
process.exit();
