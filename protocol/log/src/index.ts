export * from "./checkpoint.ts";
export * from "./directory.ts";
export {
  generateSigner,
  noteKeyType,
  parseSigner,
  parseVerifier,
  type Signer,
  serializeSigner,
  serializeVerifier,
  type Verifier,
} from "./key.ts";
export { LogError, type LogErrorCode } from "./log-error.ts";
export * from "./merkle.ts";
export * from "./note.ts";
export * from "./policy.ts";
export * from "./proof.ts";
export * from "./statement.ts";
export * from "./tile.ts";
export * from "./tree.ts";
export * from "./witnessed-checkpoint.ts";
