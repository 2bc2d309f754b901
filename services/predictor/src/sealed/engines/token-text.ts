// Turns tokens into text as they come. One character may be spread over several tokens, and what a token reads as
// may depend on the ones before it.

/** Text of `tokens` where it follows `before`. */
export type Detokenize<Token> = (tokens: readonly Token[], before: readonly Token[]) => string;

export type TokenText<Token> = {
  /** The text that the token completes; empty while a character is still cut. */
  readonly push: (token: Token) => string;
};

const contextTokens = 3; // how far back the engine's detokenizer looks
const maxHeldTokens = 64; // for tokens that are junk, or never end where a character ends
const cutEnd = /\ufffd+$/; // how a cut character reads

/** Wires a stream of text over a detokenizer; a character that is never completed is left out. */
export function createTokenText<Token>(detokenize: Detokenize<Token>): TokenText<Token> {
  let before: readonly Token[] = [];
  let held: Token[] = [];
  let shown = 0; // length of the text of `held` that is out
  return {
    push: (token) => {
      held.push(token);
      const text = detokenize(held, before);
      const whole = text.replace(cutEnd, "");
      if (whole.length < text.length && held.length < maxHeldTokens) {
        const output = whole.slice(shown);
        shown = Math.max(shown, whole.length);
        return output;
      }
      const output = text.slice(shown);
      before = [...before, ...held].slice(-contextTokens);
      held = [];
      shown = 0;
      return output;
    },
  };
}
