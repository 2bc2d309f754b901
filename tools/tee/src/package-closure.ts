// Which folders a service can load code from: its own package, and what its package.json files name, all the way down.
import { existsSync, lstatSync, readFileSync, realpathSync } from "node:fs";
import { basename, dirname, join, relative, sep } from "node:path";
import { TeeError } from "./tee-error.ts";

/** A package of the closure; `ours` is true for a folder of this repository. */
export type ClosurePackage = { readonly folder: string; readonly ours: boolean };

const packageName = /^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/i;
const tiers = new Set(["protocol", "services"]);

/**
 * Folders of the package at `folder` and of everything it depends on, found as Node's resolution finds them.
 *
 * Optional and peer dependencies count when they are installed: code can load them. Throws `TeeError`.
 */
export function findPackageClosure(root: string, folder: string): ClosurePackage[] {
  const found = new Map<string, ClosurePackage>();
  const pending = [join(root, folder)];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (found.has(next)) continue;
    found.set(next, { folder: next, ours: isWorkspace(root, next) });
    for (const [name, optional] of dependenciesOf(next)) {
      const target = resolvePackage(root, next, name);
      if (target !== undefined) pending.push(target);
      else if (!optional)
        throw new TeeError("missing-package", "closure: a package that is depended on is missing");
    }
  }
  return [...found.values()];
}

/** Where a symbolic link leads, if it leads to a workspace, as npm makes them; throws `TeeError` otherwise. */
export function followWorkspaceLink(root: string, link: string): string {
  let target: string;
  try {
    target = realpathSync(link);
  } catch (cause) {
    throw new TeeError("foreign-link", "closure: a symbolic link leads nowhere", { cause });
  }
  if (!isWorkspace(root, target))
    throw new TeeError("foreign-link", "closure: a symbolic link leaves the workspaces");
  return target;
}

function isWorkspace(root: string, folder: string): boolean {
  const [tier = "", name, ...rest] = relative(root, folder).split(sep);
  return tiers.has(tier) && name !== undefined && rest.length === 0;
}

function resolvePackage(root: string, from: string, name: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", name);
    if (basename(folder) !== "node_modules" && existsSync(candidate)) {
      if (lstatSync(candidate).isSymbolicLink()) return followWorkspaceLink(root, candidate);
      if (realpathSync(candidate) !== candidate) {
        throw new TeeError("foreign-link", "closure: a package lies behind a symbolic link");
      }
      return candidate;
    }
    if (folder === root || dirname(folder) === folder) return undefined;
  }
}

function dependenciesOf(folder: string): [name: string, optional: boolean][] {
  let manifest: unknown;
  try {
    manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  } catch (cause) {
    throw new TeeError("unreadable", "closure: a package.json cannot be read", { cause });
  }
  const optional = [...namesOf(manifest, "optionalDependencies"), ...namesOf(manifest, "peerDependencies")];
  const skippable = new Set(optional);
  const required = namesOf(manifest, "dependencies").filter((name) => !skippable.has(name));
  return [
    ...required.map((name): [string, boolean] => [name, false]),
    ...optional.map((name): [string, boolean] => [name, true]),
  ];
}

function namesOf(manifest: unknown, field: string): string[] {
  if (typeof manifest !== "object" || manifest === null) return [];
  const value: unknown = Object.entries(manifest).find(([key]) => key === field)?.[1];
  if (typeof value !== "object" || value === null) return [];
  const names = Object.keys(value);
  if (!names.every((name) => packageName.test(name))) {
    throw new TeeError("malformed", "closure: a dependency has an impossible name");
  }
  return names;
}
