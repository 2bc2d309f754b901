export { type Message, messageType, type Obstacle, type Outcome, parseWord, refusals } from "../message.ts";
export * from "./attestation.ts";
export * from "./channel.ts";
export * from "./channel-stream.ts";
export * from "./sealed.ts";
