// One request of the emulated configfs-tsm: a folder that the guest made, and the attribute files in it.
// The guest owns the folder, so nothing in it is followed, trusted to be a file, or read beyond its limit.
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type Bytes, copyBytes } from "@sotto/base";

/** What a guest wrote to an attribute; `stamp` changes with every write that can be told apart. */
export type Written = { readonly bytes: Bytes; readonly stamp: string };

/** `undefined` when the folder is no longer there, or never was what it should be. */
export type ReportFolder = {
  readonly read: (attribute: "inblob" | "privlevel") => Written | undefined;
  /** Replaces attributes in the order given; readers see the old or the new content, never a part. */
  readonly publish: (attributes: readonly (readonly [name: string, content: Bytes | string])[]) => void;
  /** Makes a read of `outblob` fail for good, with an error that no reader takes for "not yet". */
  readonly refuse: () => void;
};

const maxAttributeBytes = 65; // one more than any attribute may hold, so that too much is seen
const readOnly = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0); // absent on Windows

/** Puts the attributes of a new request into its folder, `inblob` last; throws if anything is there already. */
export function createReportFolder(path: string, staging: string): ReportFolder {
  const identity = identityOf(path);
  for (const [name, content] of [
    ["provider", "sev_guest\n"],
    ["generation", "0\n"],
    ["privlevel_floor", "0\n"],
    ["privlevel", ""],
    ["inblob", ""],
  ] as const) {
    writeFileSync(join(path, name), content, { flag: "wx", mode: 0o600 });
  }
  const replace = (name: string, put: (staged: string) => void): void => {
    if (identityOf(path) !== identity) return;
    const staged = join(staging, "attribute");
    rmSync(staged, { recursive: true, force: true });
    put(staged);
    rmSync(join(path, name), { recursive: true, force: true });
    renameSync(staged, join(path, name));
  };
  return {
    read: (attribute) => readAttribute(join(path, attribute)),
    publish: (attributes) => {
      for (const [name, content] of attributes) {
        replace(name, (staged) => writeFileSync(staged, content, { mode: 0o600 }));
      }
    },
    // The kernel answers EINVAL; a folder in place of the file answers EISDIR.
    refuse: () => replace("outblob", (staged) => mkdirSync(staged)),
  };
}

function readAttribute(path: string): Written | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, readOnly);
  } catch {
    return undefined;
  }
  try {
    const status = fstatSync(descriptor, { bigint: true });
    if (!status.isFile()) return undefined;
    const buffer = new Uint8Array(maxAttributeBytes);
    const length = readSync(descriptor, buffer, 0, maxAttributeBytes, 0);
    const bytes = copyBytes(buffer.subarray(0, length));
    // A write that fell between the two would be seen again under its own time, and count twice.
    if (fstatSync(descriptor, { bigint: true }).mtimeNs !== status.mtimeNs) return undefined;
    return { bytes, stamp: `${status.mtimeNs} ${bytes.join(" ")}` };
  } finally {
    closeSync(descriptor);
  }
}

function identityOf(path: string): string {
  const status = lstatSync(path, { bigint: true });
  return status.isDirectory() ? `${status.dev} ${status.ino}` : "";
}
