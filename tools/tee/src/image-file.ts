// The files of an image: found without following links out of it, and named by content.
import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  realpathSync,
  statSync,
} from "node:fs";
import { basename, dirname, join, relative, sep } from "node:path";
import type { Digest } from "@sotto/log";
import { type ClosurePackage, followWorkspaceLink } from "./package-closure.ts";
import { TeeError } from "./tee-error.ts";

/** One file of an image: path inside it, size in bytes, `sha256:<hex>` of its content. */
export type ImageFile = { readonly path: string; readonly size: number; readonly digest: Digest };

const chunkBytes = 1024 * 1024;
const noFollow = constants.O_NOFOLLOW ?? 0; // absent on Windows

/** Paths of all files of a package; in our own, tests and the README are not part of the image. */
export function listPackageFiles(root: string, { folder, ours }: ClosurePackage): string[] {
  const files: string[] = [];
  const walk = (path: string): void => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const inner = join(path, entry.name);
      if (ours && path === folder && (entry.name === "test" || entry.name === "README.md")) continue;
      if (entry.isFile()) files.push(inner);
      else if (entry.isDirectory()) walk(inner);
      else if (!entry.isSymbolicLink())
        throw new TeeError("foreign-file", "image: neither a file nor a folder");
      else if (basename(path) === ".bin") files.push(commandOf(inner));
      else followWorkspaceLink(root, inner);
    }
  };
  walk(folder);
  return files;
}

// npm links commands beside the packages that bring them; such a link counts as the file that it names.
function commandOf(link: string): string {
  const modules = dirname(dirname(link));
  let target: string;
  try {
    target = realpathSync(link);
  } catch (cause) {
    throw new TeeError("foreign-link", "image: a command leads nowhere", { cause });
  }
  if (
    basename(modules) !== "node_modules" ||
    !target.startsWith(modules + sep) ||
    !statSync(target).isFile()
  ) {
    throw new TeeError("foreign-link", "image: a command leads out of its packages");
  }
  return target;
}

/** Path inside the image of a file below the root: relative, with slashes on every platform. */
export function imagePath(root: string, file: string): string {
  return relative(root, file).split(sep).join("/");
}

/** Reads a regular file to its end and names its content. */
export function hashFile(path: string, imageName: string): ImageFile {
  if (!imageName.isWellFormed() || imageName.includes("\ufffd")) {
    throw new TeeError("malformed", "image: a file name is not unicode");
  }
  const descriptor = openFile(path);
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile()) throw new TeeError("foreign-file", "image: not a regular file");
    const buffer = new Uint8Array(Math.min(chunkBytes, Math.max(1, status.size)));
    const hash = createHash("sha256");
    let size = 0;
    for (let read = readSync(descriptor, buffer); read > 0; read = readSync(descriptor, buffer)) {
      hash.update(buffer.subarray(0, read));
      size += read;
    }
    return { path: imageName, size, digest: `sha256:${hash.digest("hex")}` };
  } finally {
    closeSync(descriptor);
  }
}

function openFile(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | noFollow);
  } catch (cause) {
    throw new TeeError("unreadable", "image: a file cannot be read", { cause });
  }
}
