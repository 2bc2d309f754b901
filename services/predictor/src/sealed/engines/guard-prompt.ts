// What a guard model is asked: its own template over the conversation. Chat templates end where the assistant goes on; the
// template of a guard ends with a question about the conversation, so it is taken as it stands, and nothing is put in its
// place: a model asked in other words than it was trained with judges badly.
import { Template } from "@huggingface/jinja";
import type { ChatMessage } from "@sotto/chat";
import { LlamaText, SpecialTokensText } from "node-llama-cpp";
import { EngineError } from "./engine.ts";

export type GuardTemplate = {
  /** Jinja, from the model's own file. */
  readonly template: string | undefined;
  /** Texts of the tokens by which templates name the ends of a text. */
  readonly bos: string;
  readonly eos: string;
};

/** Makes the prompt for a conversation; throws `EngineError` for one that the template has no place for. */
export type GuardPrompt = (messages: readonly ChatMessage[]) => LlamaText;

type Content = (mark: string) => unknown;

// Templates take a message's text as it is, or as a list of parts.
const forms: readonly Content[] = [(mark) => mark, (mark) => [{ type: "text", text: mark }]];
const trial: readonly ChatMessage[] = [{ role: "user", content: "" }];

/** Wires the prompt; throws `EngineError` with `model-refused` when the template shows the model no question. */
export function createGuardPrompt({ template, bos, eos }: GuardTemplate): GuardPrompt {
  if (template === undefined) throw new EngineError("model-refused", "guard model has no template");
  let compiled: Template;
  try {
    compiled = new Template(template);
  } catch (cause) {
    throw new EngineError("model-refused", "template of the guard model cannot be read", { cause });
  }
  const write = (messages: readonly ChatMessage[], form: Content): LlamaText => {
    // Marks stand for what people wrote, so that none of it is ever read as a part of the template.
    const marks = messages.map((_, index) => `sotto${index}message`);
    const text = compiled.render({
      messages: messages.map(({ role }, index) => ({ role, content: form(marks[index] ?? "") })),
      add_generation_prompt: true,
      bos_token: bos,
      eos_token: eos,
    });
    // A message that the model is not shown is one that it does not judge.
    if (!marks.every((mark) => text.includes(mark))) throw new RangeError("a message is left out");
    const pieces = text.split(/sotto(\d+)message/);
    return LlamaText(
      pieces.map((piece, index) =>
        index % 2 === 0 ? new SpecialTokensText(piece) : (messages[Number(piece)]?.content ?? ""),
      ),
    );
  };
  const form = forms.find((candidate) => {
    try {
      write(trial, candidate);
      return true;
    } catch {
      return false;
    }
  });
  if (form === undefined) {
    throw new EngineError("model-refused", "template of the guard model shows it no question");
  }
  return (messages) => {
    try {
      return write(messages, form);
    } catch (cause) {
      throw new EngineError("engine-failed", "template of the guard model has no place for this", { cause });
    }
  };
}
