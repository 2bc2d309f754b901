// Whom hardware evidence may lead to. AMD's roots and simulated ones are different types, made in different
// places; nothing turns one into the other.
import { type Bytes, encodeHex, sha256 } from "@sotto/base";
import type { Generation } from "./snp/layout.ts";

type Generations = ReadonlyMap<string, Generation>;

// Private members make the two classes strangers to each other, for the compiler and at run time.
class PinnedRoots {
  readonly #amd = true;
  readonly generations: Generations;

  constructor(generations: Generations) {
    this.generations = generations;
  }

  static isGenuine(roots: object): boolean {
    return #amd in roots;
  }
}

class InstallationRoots {
  readonly #simulated = true;
  readonly generations: Generations;

  constructor(generations: Generations) {
    this.generations = generations;
  }

  static isSimulated(roots: object): boolean {
    return #simulated in roots;
  }
}

/** AMD's root keys, pinned by the SHA-256 of their certificates. */
export type AmdRoots = PinnedRoots;

/** The root of one simulated installation. */
export type SimulatedRoots = InstallationRoots;

/** ARK-Milan, ARK-Genoa and ARK-Turin, as AMD publishes them. */
export const amdRoots: AmdRoots = new PinnedRoots(
  new Map<string, Generation>([
    ["69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd", "milan"],
    ["4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1", "genoa"],
    ["1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a", "turin"],
  ]),
);

/** Accepts one simulated root; exported to the software TEE's entry alone. */
export function createSimulatedRoots(ark: Uint8Array): SimulatedRoots {
  return new InstallationRoots(new Map([[fingerprint(ark), "turin"]]));
}

/** Where claims that lead to these roots come from; decided by the class, not by a name in a policy. */
export function rootOrigin(roots: AmdRoots | SimulatedRoots): "amd" | "simulated" {
  if (PinnedRoots.isGenuine(roots)) return "amd";
  if (InstallationRoots.isSimulated(roots)) return "simulated";
  throw new TypeError("roots of no known kind");
}

/** The generation whose root a certificate is, or undefined. */
export function rootGeneration(roots: AmdRoots | SimulatedRoots, ark: Bytes): Generation | undefined {
  return roots.generations.get(fingerprint(ark));
}

function fingerprint(der: Uint8Array): string {
  return encodeHex(sha256(der));
}
