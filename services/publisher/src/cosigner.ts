// Takes a signed checkpoint round the witnesses and brings back their cosignatures (C2SP tlog-witness).
import { CodedError, decodeUtf8, encodeBase64, readBody } from "@sotto/base";
import {
  consistencyProof,
  type HashReader,
  type Note,
  type NoteSignature,
  parseSignatureLine,
  serializeNote,
  type Verifier,
  verifyCosignature,
} from "@sotto/log";

export type WitnessAddress = { readonly url: string; readonly verifier: Verifier };

export type CosignerDependencies = {
  readonly witnesses: readonly WitnessAddress[];
  readonly fetch: typeof fetch;
  readonly timeoutMs: number;
};

const maxAnswerBytes = 16 * 1024;

/** Wires the cosigner; it returns what valid cosignatures it could get, in time. */
export function createCosigner(
  dependencies: CosignerDependencies,
): (note: Note, size: number, read: HashReader) => Promise<NoteSignature[]> {
  // What each witness has last seen, as far as is known here; it says so when this is wrong.
  const seen = new Map<string, number>();

  const ask = async (witness: WitnessAddress, note: Note, size: number, read: HashReader) => {
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const old = Math.min(seen.get(witness.url) ?? 0, size);
      const proof = consistencyProof(old, size, read).map((hash) => `${encodeBase64(hash)}\n`);
      const response = await dependencies.fetch(new URL("add-checkpoint", withSlash(witness.url)), {
        method: "POST",
        body: `old ${old}\n${proof.join("")}\n${serializeNote(note)}`,
        signal: AbortSignal.timeout(dependencies.timeoutMs),
      });
      const body = await readBody(response, maxAnswerBytes);
      if (body === undefined) return undefined;
      const text = decodeUtf8(body);
      if (response.status === 409) {
        const known = /^(0|[1-9]\d{0,14})\n$/.exec(text)?.[1];
        // A witness that has seen more than there is holds a tree that this log must not contradict.
        if (known === undefined || Number(known) > size) return undefined;
        seen.set(witness.url, Number(known));
        continue;
      }
      if (response.status !== 200 || !text.endsWith("\n")) return undefined;
      const lines = text.slice(0, -1).split("\n").map(parseSignatureLine);
      const { name, id } = witness.verifier;
      const signature = lines.find((line) => line.name === name && line.id === id);
      if (signature === undefined) return undefined;
      await verifyCosignature({ text: note.text, signatures: [signature] }, witness.verifier);
      seen.set(witness.url, size);
      return signature;
    }
    return undefined;
  };

  return async (note, size, read) => {
    const answers = await Promise.all(
      dependencies.witnesses.map((witness) =>
        ask(witness, note, size, read).catch((error: unknown) => {
          const expected = [CodedError, TypeError, DOMException].some((kind) => error instanceof kind);
          if (expected) return undefined;
          throw error;
        }),
      ),
    );
    return answers.filter((answer) => answer !== undefined);
  };
}

function withSlash(url: string): string {
  return url.endsWith("/") ? url : `${url}/`;
}
