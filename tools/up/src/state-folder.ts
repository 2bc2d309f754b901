// The folder that holds a stack: keys, log, configuration, and stack.json for whoever looks on.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = join(import.meta.dirname, "..", "..", "..");
const pointer = join(root, ".sotto", "current");

/** A folder that only its owner can read. */
export class StateFolder {
  readonly path: string;
  readonly kept: boolean;

  private constructor(path: string, kept: boolean) {
    this.path = path;
    this.kept = kept;
  }

  /** Opens the folder given, or makes a temporary one; points commands of this clone to it. */
  static open(chosen: string | undefined): StateFolder {
    const path = chosen === undefined ? mkdtempSync(join(tmpdir(), "sotto-")) : resolve(chosen);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    for (const name of ["keys", "logs", "data"])
      mkdirSync(join(path, name), { recursive: true, mode: 0o700 });
    mkdirSync(join(root, ".sotto"), { recursive: true });
    writeFileSync(pointer, `${path}\n`);
    return new StateFolder(path, chosen !== undefined);
  }

  file(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  has(...parts: string[]): boolean {
    return existsSync(this.file(...parts));
  }

  read(...parts: string[]): string {
    return readFileSync(this.file(...parts), "utf8");
  }

  readJson(...parts: string[]): unknown {
    return JSON.parse(this.read(...parts));
  }

  /** Writes a file at once or not at all, readable by its owner alone; returns its path. */
  write(text: string, ...parts: string[]): string {
    const path = this.file(...parts);
    writeFileSync(`${path}.partial`, text, { mode: 0o600 });
    renameSync(`${path}.partial`, path);
    return path;
  }

  writeJson(value: unknown, ...parts: string[]): string {
    return this.write(`${JSON.stringify(value, null, 2)}\n`, ...parts);
  }

  /** Forgets the stack; a temporary folder is deleted with everything in it. */
  close(): void {
    try {
      if (readFileSync(pointer, "utf8").trim() === this.path) rmSync(pointer, { force: true });
    } catch {
      // Another stack has taken over the pointer, or it is gone already.
    }
    if (this.kept) rmSync(this.file("stack.json"), { force: true });
    else rmSync(this.path, { recursive: true, force: true });
  }
}
