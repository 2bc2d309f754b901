// What a service on this machine measures: the same function for who releases it and for who launches it.
// The image is a canonical list of files. The system libraries that Node links to are not in it.
import { realpathSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { setImmediate as yieldToOthers } from "node:timers/promises";
import { measureImage } from "@sotto/attestation/software";
import { encodeHex, type JsonValue, serializeCanonicalJson, sha256 } from "@sotto/base";
import { hashFile, type ImageFile, imagePath, listPackageFiles } from "./image-file.ts";
import { findPackageClosure } from "./package-closure.ts";
import { TeeError } from "./tee-error.ts";

export type ServiceImage = {
  /** Root of the clone. */
  readonly root: string;
  /** Name of a folder in `services/`. */
  readonly role: string;
  /** Entry inside the service's folder; `src/main.ts` unless given. */
  readonly entry?: string | undefined;
  /** Flags of Node: what can change behaviour is measured. */
  readonly nodeFlags?: readonly string[] | undefined;
  /** The measured configuration file. */
  readonly config: string;
  /** The code of the service's sealed processes, one file; part of its code, named `sealed` in the image. */
  readonly sealed?: string | undefined;
  /** Model files, named in the image by their base names. */
  readonly weights?: readonly string[] | undefined;
};

/** `measurement` is hex of 48 bytes; digests are `sha256:<hex>`; `files` are all, sorted by path. */
export type ServiceMeasurement = {
  readonly measurement: string;
  readonly files: readonly ImageFile[];
  readonly code: string;
  readonly config: string;
  readonly weights: readonly string[];
};

const filesPerTurn = 32;

/** Measures a service as it lies on disk now; nothing is remembered between calls. Throws `TeeError`. */
export async function measureService(image: ServiceImage): Promise<ServiceMeasurement> {
  const root = realPath(image.root);
  const folder = `services/${image.role}`;
  const entry = `${folder}/${image.entry ?? "src/main.ts"}`;
  if (!/^[a-z][a-z0-9-]*$/.test(image.role) || realPath(join(root, folder)) !== join(root, folder)) {
    throw new TeeError("foreign-link", "image: the service is not a folder of this clone");
  }
  const paths = new Set(findPackageClosure(root, folder).flatMap((found) => listPackageFiles(root, found)));
  const code = await hashFiles([
    ...[...paths].map((path): [string, string] => [path, imagePath(root, path)]),
    [realPath(process.execPath), "node"],
    ...(image.sealed === undefined ? [] : [[realPath(resolve(image.sealed)), "sealed"] as [string, string]]),
  ]);
  if (!code.some(({ path }) => path === entry)) {
    throw new TeeError("unreadable", "image: the entry is not in it");
  }
  const [config] = await hashFiles([[realPath(resolve(image.config)), "config"]]);
  const weights = await hashFiles(
    (image.weights ?? []).map((path) => [realPath(resolve(path)), `weights/${basename(path)}`]),
  );
  if (config === undefined || new Set(weights.map(({ path }) => path)).size !== weights.length) {
    throw new TeeError("malformed", "image: two weight files of the same name");
  }
  const command = [...(image.nodeFlags ?? []), entry];
  const manifest = { kind: "sotto-image", command, code, config, weights } satisfies JsonValue;
  return {
    measurement: encodeHex(measureImage(serializeCanonicalJson(manifest))),
    files: sortByPath([...code, config, ...weights]),
    code: `sha256:${encodeHex(sha256(serializeCanonicalJson({ command, code })))}`,
    config: config.digest,
    weights: weights.map(({ digest }) => digest),
  };
}

// Hashing is fast but synchronous; others get their turn in between.
async function hashFiles(files: readonly [path: string, imageName: string][]): Promise<ImageFile[]> {
  const hashed: ImageFile[] = [];
  for (const [path, imageName] of files) {
    hashed.push(hashFile(path, imageName));
    if (hashed.length % filesPerTurn === 0) await yieldToOthers();
  }
  return sortByPath(hashed);
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch (cause) {
    throw new TeeError("unreadable", "image: a file is missing", { cause });
  }
}

// By code unit, the same on every machine.
function sortByPath(files: readonly ImageFile[]): ImageFile[] {
  return files.toSorted((left, right) => (left.path < right.path ? -1 : 1));
}
