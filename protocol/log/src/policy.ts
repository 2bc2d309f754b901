// Whom to believe: logs, witnesses, groups and the quorum (C2SP tlog-policy).
import { parseVerifier, type Verifier } from "./key.ts";
import { LogError } from "./log-error.ts";

/** A quorum: a witness, or so many of a group's members. */
export type QuorumNode =
  | { readonly kind: "witness"; readonly verifier: Verifier }
  | { readonly kind: "group"; readonly threshold: number; readonly members: readonly QuorumNode[] };

export type LogPolicy = {
  readonly logs: readonly { readonly verifier: Verifier; readonly url: string | undefined }[];
  readonly witnesses: readonly { readonly verifier: Verifier; readonly url: string | undefined }[];
  /** Undefined stands for the word `none`. */
  readonly quorum: QuorumNode | undefined;
};

const maxLines = 256;

/**
 * Reads a policy; throws `LogError`.
 * ```
 * log <vkey> [url]
 * witness <name> <vkey> [url]
 * group <name> all|any|<k> <member> ...
 * quorum <name>|none
 * ```
 */
export function parsePolicy(text: string): LogPolicy {
  const lines = text.split("\n").map((line) => line.replace(/#.*/, "").trim());
  if (lines.length > maxLines) throw new LogError("too-large", "policy: too many lines");
  const logs: LogPolicy["logs"][number][] = [];
  const witnesses: LogPolicy["witnesses"][number][] = [];
  const nodes = new Map<string, QuorumNode>();
  const used = new Set<string>();
  let quorum: string | undefined;

  const define = (name: string, node: QuorumNode): void => {
    if (name === "none" || nodes.has(name)) throw new LogError("malformed", "policy: name is taken");
    nodes.set(name, node);
  };
  const member = (name: string): QuorumNode => {
    const node = nodes.get(name);
    if (node === undefined || used.has(name)) {
      throw new LogError("malformed", "policy: member is unknown or in two groups");
    }
    used.add(name);
    return node;
  };

  for (const line of lines.filter((candidate) => candidate !== "")) {
    const [keyword = "", ...words] = line.split(/\s+/);
    const [first = "", second = "", third] = words;
    if (quorum !== undefined) throw new LogError("malformed", "policy: line after the quorum");
    if (keyword === "log" && (words.length === 1 || words.length === 2)) {
      logs.push({ verifier: parseVerifier(first), url: words[1] });
    } else if (keyword === "witness" && (words.length === 2 || words.length === 3)) {
      const verifier = parseVerifier(second);
      if (witnesses.some((witness) => witness.verifier.id === verifier.id)) {
        throw new LogError("malformed", "policy: witness is listed twice");
      }
      witnesses.push({ verifier, url: third });
      define(first, { kind: "witness", verifier });
    } else if (keyword === "group" && words.length >= 3) {
      const members = words.slice(2).map(member);
      const threshold = second === "all" ? members.length : second === "any" ? 1 : Number(second);
      if (!/^(all|any|[1-9]\d?)$/.test(second) || threshold > members.length) {
        throw new LogError("malformed", "policy: threshold out of range");
      }
      define(first, { kind: "group", threshold, members });
    } else if (keyword === "quorum" && words.length === 1) {
      quorum = first;
    } else throw new LogError("malformed", "policy: line not in its form");
  }
  if (quorum === undefined || logs.length === 0)
    throw new LogError("malformed", "policy: no quorum or no log");
  return { logs, witnesses, quorum: quorum === "none" ? undefined : member(quorum) };
}

/** Tells whether the witnesses whose key ids are given satisfy the quorum. */
export function isQuorumMet(policy: LogPolicy, present: ReadonlySet<number>): boolean {
  const met = (node: QuorumNode): boolean =>
    node.kind === "witness"
      ? present.has(node.verifier.id)
      : node.members.filter(met).length >= node.threshold;
  return policy.quorum === undefined || met(policy.quorum);
}
