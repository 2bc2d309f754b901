// One copy of the directory for everybody: who asks, and how, changes no byte of it.
import { type Bytes, type Clock, readBody } from "@sotto/base";
import { problem, type Upstream } from "@sotto/kit";

export type DirectoryCacheDependencies = {
  readonly url: string;
  readonly fetch: Upstream;
  readonly clock: Clock;
};

const maxBytes = 256 * 1024;
const maxFreshMs = 60_000;
const staleMs = 5 * 60_000; // how long a copy serves when its source does not answer
const retryMs = 1000;
const timeoutMs = 5000;

type Copy = { readonly bytes: Bytes; readonly freshMs: number; readonly fetchedAt: number };

/** Wires the cache: fetched once however many ask, kept as long as its source says, a while longer when that is down. */
export function createDirectoryCache(dependencies: DirectoryCacheDependencies): () => Promise<Response> {
  const { url, fetch, clock } = dependencies;
  let copy: Copy | undefined;
  let triedAt = Number.NEGATIVE_INFINITY;
  let pending: Promise<void> | undefined;

  const refresh = async (): Promise<void> => {
    const response = await fetch(url, { method: "GET", signal: AbortSignal.timeout(timeoutMs) });
    const bytes = response.status === 200 ? await readBody(response, maxBytes) : undefined;
    if (bytes === undefined) {
      await response.body?.cancel().catch(() => {});
      return;
    }
    copy = { bytes, freshMs: freshness(response), fetchedAt: clock() };
  };

  return async () => {
    const isFresh = copy !== undefined && clock() - copy.fetchedAt < copy.freshMs;
    if (!isFresh && clock() - triedAt >= retryMs) {
      pending ??= refresh()
        .catch(() => {}) // the age of the copy says the rest
        .finally(() => {
          triedAt = clock();
          pending = undefined;
        });
    }
    if (!isFresh) await pending;
    if (copy === undefined || clock() - copy.fetchedAt >= staleMs) {
      return problem(502, "directory-unreachable");
    }
    return new Response(copy.bytes, {
      headers: {
        "content-type": "text/plain; charset=utf-8",
        "cache-control": `public, max-age=${Math.floor(copy.freshMs / 1000)}`,
      },
    });
  };
}

function freshness(response: Response): number {
  const [, seconds] =
    /(?:^|[ ,])max-age=(\d{1,9})(?:$|[ ,])/.exec(response.headers.get("cache-control") ?? "") ?? [];
  return Math.min(Number(seconds ?? 0) * 1000, maxFreshMs);
}
