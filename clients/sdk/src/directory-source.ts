// The directory as this client accepts it: fetched through the relay, signed, fresh, every key in the log.
import { type Bytes, type Clock, CodedError, decodeBase64, encodeHex, sha256 } from "@sotto/base";
import { type IssuerPublicKey, importIssuerPublicKey } from "@sotto/credentials";
import {
  type Directory,
  type LoggedEntry,
  type LogPolicy,
  openDirectory,
  parseStatement,
  verifyLoggedEntry,
} from "@sotto/log";
import { type KeyConfig, kemId, parseKeyConfigList } from "@sotto/wire";
import { readAnswer } from "./answer.ts";
import { requestDefaults } from "./request-defaults.ts";
import { SottoError } from "./sotto-error.ts";

/** What a client needs to know of a deployment, every key of it proved to stand in the log. */
export type VerifiedDirectory = {
  readonly keyConfig: KeyConfig;
  readonly issuerName: string;
  readonly issuerKeys: readonly IssuerPublicKey[];
  readonly nodes: readonly { readonly handle: string }[];
  readonly models: readonly { readonly id: string }[];
  readonly digest: string;
  readonly expiresAt: number;
  readonly logged: LoggedEntry;
};

export type DirectorySourceOptions = {
  readonly relayUrl: string;
  readonly directoryKey: string;
  readonly log: LogPolicy;
  readonly maxProofAgeMs: number;
  readonly clock: Clock;
  readonly fetch: typeof fetch;
  /** How long the relay may take for it. */
  readonly timeoutMs: number;
  readonly postQuantumRequests?: boolean;
};

const maxDirectoryBytes = 256 * 1024;

/** Keeps one verified directory, renewed when it expires; concurrent callers share one fetch. */
export class DirectorySource {
  readonly #options: DirectorySourceOptions;
  #current: VerifiedDirectory | undefined;
  #pending: Promise<VerifiedDirectory> | undefined;

  constructor(options: DirectorySourceOptions) {
    this.#options = options;
  }

  /** The directory; throws `SottoError` with `directory-refused` or `relay-unreachable`. */
  async get(): Promise<VerifiedDirectory> {
    if (this.#current !== undefined && this.#options.clock() < this.#current.expiresAt) return this.#current;
    this.#pending ??= this.#load().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  /** Forgets the directory, for instance after a key of it was refused as stale. */
  invalidate(): void {
    this.#current = undefined;
  }

  async #load(): Promise<VerifiedDirectory> {
    const text = await this.#fetchText();
    try {
      this.#current = await this.#verify(text);
      return this.#current;
    } catch (cause) {
      if (!(cause instanceof CodedError)) throw cause;
      throw new SottoError("directory-refused", `directory refused: ${cause.message}`, { cause });
    }
  }

  async #fetchText(): Promise<string> {
    let response: Response;
    try {
      response = await this.#options.fetch(new URL("directory", this.#options.relayUrl), {
        ...requestDefaults,
        signal: AbortSignal.timeout(this.#options.timeoutMs),
      });
    } catch (cause) {
      throw new SottoError("relay-unreachable", "relay cannot be reached", { cause });
    }
    if (!response.ok) throw new SottoError("relay-refused", "relay did not give the directory");
    const bytes = await readAnswer(response, maxDirectoryBytes);
    if (bytes === undefined) throw new SottoError("directory-refused", "directory is too large");
    return new TextDecoder().decode(bytes);
  }

  async #verify(text: string): Promise<VerifiedDirectory> {
    const { directoryKey, log, maxProofAgeMs, clock } = this.#options;
    const nowMs = clock();
    const directory = await openDirectory({ text, directoryKey, nowMs });
    const prove = async (purpose: "ohttp" | "issuer", item: { statement: string; proof: string }) => {
      const entry = decodeBase64(item.statement);
      const proof = new TextEncoder().encode(item.proof);
      const logged = await verifyLoggedEntry({ entry, proof, policy: log, nowMs, maxAgeMs: maxProofAgeMs });
      const statement = parseStatement(entry);
      if (statement.kind !== "keys" || statement.purpose !== purpose) {
        throw new SottoError("directory-refused", "directory: proof is of another kind of statement");
      }
      if (nowMs < statement.notBefore * 1000 || nowMs >= statement.notAfter * 1000) {
        throw new SottoError("directory-refused", "directory: logged keys are not valid now");
      }
      return { logged, keys: new Set(statement.keys) };
    };
    const ohttp = await prove("ohttp", directory.ohttp);
    const issuer = await prove("issuer", directory.issuer);
    return {
      keyConfig: this.#chooseKeyConfig(directory, ohttp.keys),
      issuerName: directory.issuer.name,
      issuerKeys: await issuerKeys(directory, issuer.keys, nowMs),
      nodes: directory.nodes.map(({ handle }) => ({ handle })),
      models: directory.models.map(({ id }) => ({ id })),
      digest: encodeHex(sha256(new TextEncoder().encode(text))),
      expiresAt: directory.expiresAt * 1000,
      logged: ohttp.logged,
    };
  }

  #chooseKeyConfig(directory: Directory, logged: ReadonlySet<string>): KeyConfig {
    const list = decodeBase64(directory.ohttp.configs);
    // One statement names the digest of the whole list, so a relay or gateway can't reorder or cut it.
    if (!logged.has(digestOf(list))) {
      throw new SottoError("directory-refused", "directory: request key is not in the log");
    }
    const wanted = this.#options.postQuantumRequests === true ? kemId.mlkem768X25519 : kemId.x25519;
    const config = parseKeyConfigList(list).find((candidate) => candidate.kemId === wanted);
    if (config === undefined)
      throw new SottoError("directory-refused", "directory: no request key of the wanted kind");
    return config;
  }
}

async function issuerKeys(
  directory: Directory,
  logged: ReadonlySet<string>,
  nowMs: number,
): Promise<IssuerPublicKey[]> {
  const keys: IssuerPublicKey[] = [];
  for (const key of directory.issuer.keys) {
    const spki = decodeBase64(key.spki);
    if (!logged.has(digestOf(spki))) {
      throw new SottoError("directory-refused", "directory: issuer key is not in the log");
    }
    if (nowMs >= key.notBefore * 1000 && nowMs < key.notAfter * 1000)
      keys.push(await importIssuerPublicKey(spki));
  }
  if (keys.length === 0) throw new SottoError("directory-refused", "directory: no issuer key is valid now");
  return keys;
}

function digestOf(bytes: Bytes): string {
  return `sha256:${encodeHex(sha256(bytes))}`;
}
