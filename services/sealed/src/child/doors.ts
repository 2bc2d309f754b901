// The ways out of a process that no permission of the runtime guards: signals to other processes of the same user, and
// code that is loaded after the sandbox was looked at.
import { Module, registerHooks } from "node:module";
import os from "node:os";

const members = [
  ...["kill", "_kill", "_debugProcess", "_debugEnd"], // a signal ends another process, or opens its debugger
  ...["getBuiltinModule", "binding", "_linkedBinding", "dlopen", "execve", "mainModule"],
  ...["setuid", "setgid", "seteuid", "setegid", "setgroups", "initgroups"],
  ...["report", "loadEnvFile", "chdir", "umask"],
] as const;

/** Takes them away; what has been loaded by now is all that there will be. */
export function closeDoors(): void {
  for (const name of members) Reflect.deleteProperty(process, name);
  Reflect.deleteProperty(globalThis, "WebAssembly");
  Reflect.deleteProperty(Module.prototype, "_compile");
  Reflect.deleteProperty(os, "setPriority"); // of other processes too
  const refuse = (): never => {
    throw new TypeError("nothing is loaded any more");
  };
  registerHooks({ resolve: refuse, load: refuse });
}
