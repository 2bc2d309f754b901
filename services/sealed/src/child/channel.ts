// The sealed process's end of its standard streams.
import type { Readable, Writable } from "node:stream";
import { type Bytes, CodedError } from "@sotto/base";
import {
  endType,
  type Message,
  MessageParser,
  type MessageType,
  messageType,
  parseWord,
  type StreamName,
  serializeMessage,
  serializePieces,
  streamNames,
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
  readonly #handlers = new Map<string, Handler>();
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
    return this.#expect(types.map((type) => ({ type, key: keyOf(type) })));
  }

  /** The same for messages about a stream; resolves without the name of that. */
  nextOf(stream: StreamName, ...types: readonly MessageType[]): Promise<Message> {
    return this.#expect(types.map((type) => ({ type, key: keyOf(type, stream) })));
  }

  #expect(awaited: readonly { readonly type: MessageType; readonly key: string }[]): Promise<Message> {
    return new Promise((resolve) => {
      for (const { type, key } of awaited) {
        this.#handlers.set(key, (content) => {
          for (const other of awaited) this.#handlers.delete(other.key);
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
      const isOfStream = type === messageType.evidence || type === messageType.refusal;
      const stream = isOfStream ? parseWord(streamNames, content[0]) : undefined;
      const handler = this.#handlers.get(keyOf(type, stream));
      if (handler === undefined) throw new ChannelError("out-of-order", "channel: message out of order");
      handler(isOfStream ? content.slice(1) : content);
      return;
    }
    const stream = this.open(carried.name);
    if (carried.isEnd) stream.receiveEnd();
    else stream.receive(content);
  }
}

function keyOf(type: MessageType, stream?: StreamName): string {
  return stream === undefined ? `${type}` : `${type} ${stream}`;
}
