// The page of the browser tests: performs a task in the tab or in a worker, and shows what comes of it.
import { type Outcome, perform, type Task } from "./task.browser.ts";

declare global {
  var performInTab: (task: Task) => Promise<Outcome>;
  var performInWorker: (task: Task) => Promise<Outcome>;
}

globalThis.performInTab = async (task) => {
  const outcome = await perform(task, { onText: (text) => show("answer", text) });
  showOutcome(outcome);
  return outcome;
};

globalThis.performInWorker = (task) =>
  new Promise((resolve, reject) => {
    const worker = new Worker("/worker.js", { type: "module" });
    worker.onmessage = (event: MessageEvent<Outcome & { readonly failure?: string }>) => {
      worker.terminate();
      if (event.data.failure === undefined) resolve(event.data);
      else reject(new Error(event.data.failure));
    };
    worker.onerror = (event) => reject(new Error(event.message || "worker cannot be started"));
    worker.postMessage(task);
  });

function showOutcome({ verification, answer, error }: Outcome): void {
  if (verification !== undefined) {
    show("verdict", verification.summary);
    const list = document.getElementById("checks");
    list?.replaceChildren();
    for (const { id, status, detail } of verification.checks) {
      const item = document.createElement("li");
      item.className = status;
      item.textContent = `${status} ${id}: ${detail}`;
      list?.append(item);
    }
  }
  if (answer !== undefined) show("verdict", `answered under the verdict: ${answer.overall}`);
  if (error !== undefined) show("verdict", `${error.code}: ${error.message}`);
}

function show(id: string, text: string): void {
  const element = document.getElementById(id);
  if (element !== null) element.textContent = text;
}
