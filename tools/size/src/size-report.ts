// What the SDK costs a page to load, and which of its parts costs how much of that.
import { gzipSync } from "node:zlib";
import type { BrowserBundle } from "@sotto/bundle/browser";
import { splitBySource } from "./mapped-code.ts";

/** What a page may be asked to load for the SDK, in bytes after gzip -9. */
export const maxGzipBytes = 80_000;

/** Bytes after minifying, and after gzip -9 of this part by itself. */
export type PartSize = { readonly name: string; readonly bytes: number; readonly gzipBytes: number };

export type SizeReport = {
  readonly entry: string;
  readonly bytes: number;
  /** Of the whole file; less than the sum of the parts, which have much in common. */
  readonly gzipBytes: number;
  readonly maxGzipBytes: number;
  readonly parts: readonly PartSize[];
};

/** Adds a bundle up by packages, the largest first. */
export function measureBundle(entry: string, bundle: BrowserBundle): SizeReport {
  const codes = new Map<string, string>();
  for (const { code, source } of splitBySource(bundle.code, bundle.mappings)) {
    const name = source === undefined ? "bundler" : packageOf(bundle.sources[source] ?? "");
    codes.set(name, (codes.get(name) ?? "") + code);
  }
  const parts = [...codes].map(([name, code]) => ({ name, ...sizesOf(code) }));
  parts.sort((a, b) => b.gzipBytes - a.gzipBytes);
  return { entry, ...sizesOf(bundle.code), maxGzipBytes, parts };
}

export function isWithinLimit(report: SizeReport): boolean {
  return report.gzipBytes <= report.maxGzipBytes;
}

/** The report as a table. */
export function renderReport(report: SizeReport): string {
  const sum = report.parts.reduce((total, { gzipBytes }) => total + gzipBytes, 0);
  const row = (name: string, bytes: string, gzip: string, share: string): string =>
    `${name.padEnd(24)}${bytes.padStart(10)}${gzip.padStart(10)}${share.padStart(8)}`;
  const count = (value: number): string => value.toLocaleString("en").replaceAll(",", " ");
  return [
    `${report.entry} for browsers, in bytes`,
    "",
    row("part", "minified", "gzip", "share"),
    ...report.parts.map(({ name, bytes, gzipBytes }) =>
      row(name, count(bytes), count(gzipBytes), `${((100 * gzipBytes) / sum).toFixed(1)} %`),
    ),
    row("whole", count(report.bytes), count(report.gzipBytes), ""),
    "",
    `${isWithinLimit(report) ? "within" : "OVER"} the limit of ${count(report.maxGzipBytes)} after gzip -9`,
    "",
  ].join("\n");
}

function sizesOf(code: string): { readonly bytes: number; readonly gzipBytes: number } {
  const bytes = Buffer.from(code);
  return { bytes: bytes.length, gzipBytes: gzipSync(bytes, { level: 9 }).length };
}

/** The package that a source belongs to, by its path below the root of the clone. */
function packageOf(source: string): string {
  const path = source.replaceAll("\\", "/");
  const installed = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1];
  const own = /^(?:protocol|clients)\/([^/]+)/.exec(path)?.[1];
  return installed ?? (own === undefined ? path : `@sotto/${own}`);
}
