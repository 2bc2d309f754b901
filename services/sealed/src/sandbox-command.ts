// The command line of a sealed process: Node without any permission but to read its own code, in namespaces of its own
// where bubblewrap is on the machine, with limits and without privileges.
import { accessSync, constants, existsSync, realpathSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** What one kind of sealed process needs; paths are absolute. */
export type SandboxOptions = {
  /** The bundle with the whole code of the process. */
  readonly code: string;
  /** The compiled form of the code, see `openCodeCache`. */
  readonly cache?: string | undefined;
  /** Files and folders that it may read until it has loaded them. */
  readonly readable: readonly string[];
  /** Whether it loads an addon: an engine's process does. */
  readonly addon: boolean;
  readonly args: readonly string[];
  readonly memoryMib: number;
  readonly cpuSeconds: number;
};

/** Programs of the machine that make a sandbox; undefined where they are missing. */
export type SandboxTools = {
  readonly bwrap: string | undefined;
  readonly prlimit: string | undefined;
  readonly setpriv: string | undefined;
};

export type SandboxCommand = {
  readonly file: string;
  readonly args: readonly string[];
  /** Whether descriptor 4 tells which process is the child: in a namespace it has another number. */
  readonly tellsChild: boolean;
};

const loader = fileURLToPath(new URL("./child/loader.cjs", import.meta.url));
const noCache = "-";
const toolFolder = "/usr/bin";
const libraries = ["/usr/lib", "/usr/lib64", "/lib", "/lib64"];
const nobody = "65534";
const maxOpenFiles = 64;
// Address space that V8 sets aside for compiled code. It counts as memory, nearly none of it is used, and without it
// no process starts.
const codeRangeMib = 512;

/** Looks where distributions put them: a search path is the host's to set. */
export function findSandboxTools(): SandboxTools {
  const find = (name: string): string | undefined => {
    const path = `${toolFolder}/${name}`;
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      return undefined;
    }
  };
  return { bwrap: find("bwrap"), prlimit: find("prlimit"), setpriv: find("setpriv") };
}

/** The command to start; its descriptor 3 may be a connection. */
export function sandboxCommand(options: SandboxOptions, tools: SandboxTools): SandboxCommand {
  const { bwrap, prlimit, setpriv } = tools;
  const parts: string[] = [];
  if (bwrap !== undefined) parts.push(bwrap, ...namespaces(options, prlimit));
  else if (setpriv !== undefined) parts.push(setpriv, "--no-new-privs", ...dropped());
  if (prlimit !== undefined) parts.push(prlimit, ...limits(options));
  const { code, cache = noCache, args: given } = options;
  parts.push(process.execPath, ...nodeFlags(options), loader, code, cache, ...given);
  const [file = process.execPath, ...args] = parts;
  return { file, args, tellsChild: bwrap !== undefined };
}

/** The command that makes the cache of the code: the same flags, for they are part of what is cached, and one file to write. */
export function cacheCommand(options: SandboxOptions, cache: string): Pick<SandboxCommand, "file" | "args"> {
  const flags = [...nodeFlags(options), `--allow-fs-write=${cache}`];
  return { file: process.execPath, args: [...flags, loader, options.code, cache, ...options.args] };
}

function filesOf({ code, cache, readable }: SandboxOptions): string[] {
  return [loader, code, ...(cache === undefined ? [] : [cache]), ...readable];
}

function nodeFlags(options: SandboxOptions): string[] {
  const { addon, memoryMib } = options;
  return [
    "--permission",
    ...filesOf(options).map((path) => `--allow-fs-read=${path}`),
    ...(addon ? ["--allow-addons"] : []),
    "--disable-sigusr1", // would open the debugger
    "--disable-proto=delete",
    "--no-experimental-sqlite", // opens files past the permissions
    "--no-experimental-ffi",
    "--no-warnings",
    "--use-openssl-ca", // or Node reads its hundred and more authorities, 18 ms of processor time
    ...opensslConfig().map((path) => `--openssl-config=${path}`),
    `--max-old-space-size=${Math.floor(memoryMib / 2)}`,
    "--v8-pool-size=1",
    "--min-semi-space-size=16", // MiB: a process that lives for one request need not collect before it
  ];
}

// The one that this process was started with, and measured with.
function opensslConfig(): string[] {
  const flag = "--openssl-config=";
  return process.execArgv
    .filter((given) => given.startsWith(flag))
    .map((given) => resolve(given.slice(flag.length)));
}

function namespaces(options: SandboxOptions, prlimit: string | undefined): string[] {
  const node = realpathSync(process.execPath);
  const tools = prlimit === undefined ? [] : [prlimit];
  const files = [process.execPath, node, ...filesOf(options), ...opensslConfig(), ...tools];
  return [
    ...["--unshare-all", "--unshare-user", "--uid", nobody, "--gid", nobody, "--hostname", "sealed"],
    ...[
      "--cap-drop",
      "ALL",
      "--die-with-parent",
      "--new-session",
      "--as-pid-1",
      "--clearenv",
      "--setenv",
      "HOME",
      "/",
      "--info-fd",
      "4",
    ],
    ...libraries.filter((path) => existsSync(path)).flatMap((path) => ["--ro-bind", path, path]),
    ...[...new Set(files)].flatMap((path) => ["--ro-bind", path, path]),
    ...["--remount-ro", "/", "--chdir", "/", "--"],
  ];
}

// Without a user namespace; only root has anything to drop.
function dropped(): string[] {
  if (process.getuid?.() !== 0) return [];
  return ["--bounding-set=-all", "--inh-caps=-all"];
}

function limits({ memoryMib, cpuSeconds }: SandboxOptions): string[] {
  return [
    "--core=0:0",
    "--fsize=0:0", // no byte to any file
    `--nofile=${maxOpenFiles}:${maxOpenFiles}`,
    `--cpu=${cpuSeconds}:${cpuSeconds}`,
    `--data=${(memoryMib + codeRangeMib) * 1024 * 1024}`,
  ];
}
