export * from "./authorization.ts";
export { type BlindedToken, blind } from "./blind.ts";
export { CredentialError, type CredentialErrorCode } from "./credential-error.ts";
export {
  type IssuerPublicKey,
  importIssuerPublicKey,
  parseIssuerSpki,
  serializeIssuerSpki,
  verifyToken,
} from "./issuer-key.ts";
export * from "./token.ts";
