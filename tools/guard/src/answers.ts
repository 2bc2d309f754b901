// Training text for the answer's side, made from requests: a model that complies repeats what it was asked, and one
// that refuses repeats it too, behind a refusal.
import type { Example } from "./examples.ts";
import { pick, seededRandom } from "./random.ts";

const compliances = [
  "Sure! Here is how to do it:",
  "Sure, here is what you asked for.",
  "Of course. Here are the steps:",
  "Certainly! Below is a detailed guide:",
  "Absolutely, I can help with that. First,",
  "Great question. Here is a plan:",
  "Yes. Step 1:",
  "Okay, here you go.",
  "Here is a script that will",
  "You will need the following to",
  "",
];

const refusals = [
  "I'm sorry, but I can't help with that. I won't",
  "I cannot assist with a request to",
  "I can't provide instructions on how to",
  "Sorry, I am not able to help you",
  "I will not help anyone to",
  "It is illegal and dangerous to",
  "I understand that you are curious, but I can't explain how to",
  "As an AI, I must decline to",
  "I'm not comfortable helping to",
  "Please do not",
];

/** What a model may say to `questions`, with the answers written by hand. */
export function answerExamples(questions: readonly Example[], answers: readonly Example[]): Example[] {
  const random = seededRandom(3);
  const made = questions.flatMap((question) => {
    const text = question.text.replace(/\?$/, ".");
    const complied = { ...question, text: `${pick(compliances, random)} ${text}` };
    const refused = { ...question, isHarmful: false, text: `${pick(refusals, random)} ${text}` };
    return question.isHarmful ? [complied, refused] : [complied];
  });
  const written = answers.flatMap((answer) => [answer, answer, answer]);
  return [...made, ...written];
}
