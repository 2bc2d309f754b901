// Whom to believe: logs, witnesses, groups and the quorum (C2SP tlog-policy).
import { equalBytes } from "@sotto/base";
import { type NoteKeyType, noteKeyType, parseVerifier, serializeVerifier, type Verifier } from "./key.ts";
import { LogError } from "./log-error.ts";

/** A quorum: a witness, or so many of a group's members. */
export type QuorumNode =
  | { readonly kind: "witness"; readonly verifier: Verifier }
  | { readonly kind: "group"; readonly threshold: number; readonly members: readonly QuorumNode[] };

/** A log or a witness and, if the policy says, where it is. */
export type PolicyParty = { readonly verifier: Verifier; readonly url: string | undefined };

export type LogPolicy = {
  readonly logs: readonly PolicyParty[];
  readonly witnesses: readonly PolicyParty[];
  /** Undefined stands for the word `none`. */
  readonly quorum: QuorumNode | undefined;
};

const maxLength = 128 * 1024;
const maxOfEach = 64; // logs, witnesses, groups

/**
 * Reads a policy; throws `LogError`. Words are separated by spaces and tabs only; names come before their use.
 * ```
 * log <vkey> [url]
 * witness <name> <vkey> [url]
 * group <name> all|any|<k> <member> ...
 * quorum <name>|none
 * ```
 */
export function parsePolicy(text: string): LogPolicy {
  if (text.length > maxLength) throw new LogError("too-large", "policy: over its limit");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  if (/[\u0000-\u0008\u000b-\u001f\u007f]/.test(text)) {
    throw new LogError("malformed", "policy: control character");
  }
  const reader = new PolicyReader();
  for (const line of text.split("\n")) {
    const words = line.split(/[ \t]+/).filter((word) => word !== "");
    if (words[0]?.startsWith("#") === false) reader.line(words);
  }
  return reader.finish();
}

/** Tells whether the witnesses given satisfy the quorum; each key counts once. */
export function isQuorumMet(policy: LogPolicy, present: Iterable<Verifier>): boolean {
  const keys = new Set([...present].map(serializeVerifier));
  const met = (node: QuorumNode): boolean =>
    node.kind === "witness"
      ? keys.has(serializeVerifier(node.verifier))
      : node.members.filter(met).length >= node.threshold;
  return policy.quorum === undefined || met(policy.quorum);
}

class PolicyReader {
  readonly #logs: PolicyParty[] = [];
  readonly #witnesses: PolicyParty[] = [];
  readonly #nodes = new Map<string, QuorumNode>();
  readonly #grouped = new Set<string>();
  #groups = 0;
  #quorum: { readonly node: QuorumNode | undefined } | undefined;

  line(words: readonly string[]): void {
    const [keyword, first = "", second = "", third] = words;
    if (keyword === "log" && (words.length === 2 || words.length === 3)) {
      this.#logs.push(party(first, words[2], noteKeyType.ed25519, this.#logs));
    } else if (keyword === "witness" && (words.length === 3 || words.length === 4)) {
      const witness = party(second, third, noteKeyType.cosignature, this.#witnesses);
      this.#witnesses.push(witness);
      this.#define(first, { kind: "witness", verifier: witness.verifier });
    } else if (keyword === "group" && words.length >= 4) {
      this.#groups += 1;
      this.#define(first, this.#group(second, words.slice(3)));
    } else if (keyword === "quorum" && words.length === 2 && this.#quorum === undefined) {
      this.#quorum = { node: first === "none" ? undefined : this.#find(first) };
    } else throw new LogError("malformed", "policy: line not in its form");
  }

  finish(): LogPolicy {
    if (this.#quorum === undefined || this.#logs.length === 0) {
      throw new LogError("malformed", "policy: no quorum or no log");
    }
    if (Math.max(this.#logs.length, this.#witnesses.length, this.#groups) > maxOfEach) {
      throw new LogError("too-large", "policy: too many logs, witnesses or groups");
    }
    return { logs: this.#logs, witnesses: this.#witnesses, quorum: this.#quorum.node };
  }

  #group(rule: string, names: readonly string[]): QuorumNode {
    const members = names.map((name) => {
      // In two groups, a witness would count twice.
      if (this.#grouped.has(name)) throw new LogError("malformed", "policy: member is in two groups");
      this.#grouped.add(name);
      return this.#find(name);
    });
    const threshold = rule === "all" ? members.length : rule === "any" ? 1 : Number(rule);
    if (!/^(all|any|[1-9]\d{0,3})$/.test(rule) || threshold > members.length) {
      throw new LogError("malformed", "policy: threshold out of range");
    }
    return { kind: "group", threshold, members };
  }

  #define(name: string, node: QuorumNode): void {
    if (name === "none" || this.#nodes.has(name)) throw new LogError("malformed", "policy: name is taken");
    this.#nodes.set(name, node);
  }

  #find(name: string): QuorumNode {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new LogError("malformed", "policy: name is unknown");
    return node;
  }
}

function party(
  vkey: string,
  url: string | undefined,
  type: NoteKeyType,
  others: readonly PolicyParty[],
): PolicyParty {
  const verifier = parseVerifier(vkey);
  if (verifier.type !== type) throw new LogError("malformed", "policy: key is of another type");
  // The key counts, not its name: one witness under two names must not make a quorum.
  if (others.some((other) => equalBytes(other.verifier.publicKey, verifier.publicKey))) {
    throw new LogError("malformed", "policy: key is listed twice");
  }
  return { verifier, url };
}
