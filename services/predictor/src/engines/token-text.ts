// Turns tokens into text as they come. One character may be spread over several tokens, and what a token reads as
// may depend on the ones before it.

/** Text of `tokens` where it follows `before`. */
export type Detokenize<Token> = (tokens: readonly Token[], before: readonly Token[]) => string;

export type TokenText<Token> = {
  /** The text that the token completes; empty while a character is still cut. */
  readonly push: (token: Token) => string;
};

const contextTokens = 3; // how far back the engine's detokenizer looks
const maxHeldTokens = 8; // a character of UTF-8 has at most four bytes; the rest is for bytes that belong to none
const cut = "\ufffd"; // how a cut character reads

/** Wires a stream of text over a detokenizer; a character that is never completed is left out. */
export function createTokenText<Token>(detokenize: Detokenize<Token>): TokenText<Token> {
  let before: readonly Token[] = [];
  let held: Token[] = [];
  return {
    push: (token) => {
      held.push(token);
      const text = detokenize(held, before);
      if (text.endsWith(cut) && held.length < maxHeldTokens) return "";
      before = [...before, ...held].slice(-contextTokens);
      held = [];
      return text;
    },
  };
}
