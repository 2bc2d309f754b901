// The sealed process's end of its standard streams.
import type { Readable, Writable } from "node:stream";
import { type Bytes, CodedError } from "@sotto/base";
import {
  endType,
  type Message,
  MessageParser,
  type MessageType,
  messageType,
  type StreamName,
  serializeMessage,
  serializePieces,
  streamOf,
  streamTypes,
} from "../message.ts";
import { ChannelStream } from "./channel-stream.ts";

/** The parent could not do what it was asked. */
export class ChannelError extends CodedError<"busy" | "unavailable" | "out-of-order"> {}

type Handler = (content: Bytes) => void;

/**
 * Speaks to the process that started this one. Whatever is wrong with what comes, or with the streams themselves, ends
 * in `onBroken`: a sealed process without its parent has nothing left to do.
 */
export class Channel {
  readonly #output: Writable;
  readonly #parser = new MessageParser([
    ...streamTypes,
    messageType.assign,
    messageType.evidence,
    messageType.refusal,
    messageType.go,
  ]);
  readonly #streams = new Map<StreamName, ChannelStream>();
  readonly #handlers = new Map<MessageType, Handler>();
  readonly #onBroken: () => void;

  constructor(input: Readable, output: Writable, onBroken: () => void) {
    this.#output = output;
    this.#onBroken = onBroken;
    input.on("data", (bytes: Uint8Array) => this.#receive(bytes));
    input.on("end", onBroken).on("error", onBroken);
    output.on("error", onBroken);
  }

  /** The session of this name as a stream of ciphertext; what came before it was asked for is in it. */
  open(name: StreamName): ChannelStream {
    let stream = this.#streams.get(name);
    if (stream === undefined) {
      stream = new ChannelStream({
        write: (bytes, done) => this.#writeAll(serializePieces(name, bytes), done),
        end: () => this.send(endType[name]),
      });
      this.#streams.set(name, stream);
    }
    return stream;
  }

  send(type: MessageType, content?: Uint8Array): void {
    this.#output.write(serializeMessage(type, content));
  }

  /** Resolves when everything said so far has left this process. */
  flush(): Promise<void> {
    return new Promise((resolve) => void this.#output.write(new Uint8Array(), () => resolve()));
  }

  /** Resolves with the content of the next message of one of these types, each of which comes once. */
  next(...types: readonly MessageType[]): Promise<Message> {
    return new Promise((resolve) => {
      for (const type of types) {
        this.#handlers.set(type, (content) => {
          for (const other of types) this.#handlers.delete(other);
          resolve({ type, content });
        });
      }
    });
  }

  #writeAll(messages: readonly Bytes[], done: () => void): void {
    for (const [index, message] of messages.entries()) {
      this.#output.write(message, index === messages.length - 1 ? () => done() : undefined);
    }
  }

  #receive(bytes: Uint8Array): void {
    try {
      for (const message of this.#parser.push(bytes)) this.#dispatch(message);
    } catch {
      this.#onBroken();
    }
  }

  #dispatch({ type, content }: Message): void {
    const carried = streamOf(type);
    if (carried === undefined) {
      const handler = this.#handlers.get(type);
      if (handler === undefined) throw new ChannelError("out-of-order", "channel: message out of order");
      handler(content);
      return;
    }
    const stream = this.open(carried.name);
    if (carried.isEnd) stream.receiveEnd();
    else stream.receive(content);
  }
}
