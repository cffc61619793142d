// A place that takes many files: dropped, or chosen as files or as a folder; with progress and cancel.

import { h } from "./dom.js";
import { chosenFiles, type FoundFile, onDrop } from "./files.js";
import { count } from "./format.js";

/** Work on files that were taken. */
export interface IntakeWork {
  signal: AbortSignal;
  /** Moves the progress bar. */
  progress(done: number, total: number): void;
}

/** What an intake is for. */
export interface IntakeOptions {
  title: string;
  hint: string;
  /** Does the work; what it returns is shown as the outcome. */
  take(files: FoundFile[], work: IntakeWork): Promise<string>;
  /** Files that may be chosen; pictures, if left out. */
  accept?: string;
  /** Whether folders may be chosen. */
  folders?: boolean;
}

/** An intake in use. */
export interface Intake {
  /** Shows an outcome. */
  say(text: string): void;
  /** Works on files that come from elsewhere. */
  give(files: FoundFile[]): Promise<void>;
  cancel(): void;
}

/** Fills `place` with an intake. */
export function intake(place: HTMLElement, { title, hint, take, accept = "image/*", folders = true }: IntakeOptions): Intake {
  const status = h("p", { class: "status", role: "status" });
  const bar = h("progress", { max: 1, value: 0, "aria-label": `${title}: progress`, hidden: true });
  const cancel = h("button", { type: "button", hidden: true }, "Cancel");
  let running: AbortController | undefined;

  const give = async (files: FoundFile[]): Promise<void> => {
    if (running || files.length === 0) return;
    running = new AbortController();
    const { signal } = running;
    bar.hidden = cancel.hidden = false;
    bar.value = 0;
    status.textContent = `${count(files.length)} files …`;
    try {
      status.textContent = await take(files, {
        signal,
        progress: (done, total) => {
          bar.value = total ? done / total : 0;
          status.textContent = `${count(done)} of ${count(total)}`;
        },
      });
    } catch (thrown) {
      status.textContent = signal.aborted ? "Cancelled." : thrown instanceof Error ? thrown.message : String(thrown);
    } finally {
      running = undefined;
      bar.hidden = cancel.hidden = true;
    }
  };
  const chooser = (text: string, folder: boolean): [HTMLElement, HTMLElement] => {
    const input = h("input", { type: "file", multiple: true, hidden: true, "aria-label": `${title}: ${text}`, ...(folder ? { webkitdirectory: true } : { accept }) });
    const button = h("button", { type: "button" }, text);
    button.addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      void give(chosenFiles(input));
      input.value = "";
    });
    return [button, input];
  };
  cancel.addEventListener("click", () => running?.abort());
  place.append(
    h("h2", {}, title),
    h("p", { class: "quiet small" }, hint),
    h("div", { class: "actions" }, ...(folders ? chooser("Choose a folder", true) : []), ...chooser("Choose files", false), cancel),
    bar,
    status,
  );
  onDrop(place, (files) => void give(files));
  return { say: (text) => (status.textContent = text), give, cancel: () => running?.abort() };
}
