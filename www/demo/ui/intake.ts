// A card that takes files, dropped or chosen, and processes them with progress and a Cancel button.

import { messageOf } from "../state/errors.js";
import { h } from "./dom.js";
import { filesOf, type ChosenFile, onDrop } from "./files.js";
import { count } from "./format.js";

/** What processing files can use. */
export interface IntakeContext {
  signal: AbortSignal;
  /** Updates the progress bar. */
  progress(done: number, total: number): void;
}

/** Texts and behaviour of an intake. */
export interface IntakeOptions {
  title: string;
  hint: string;
  /** Processes the files; the returned text is shown as the status. */
  process(files: ChosenFile[], context: IntakeContext): Promise<string>;
  /** Files that can be chosen; images by default. */
  accept?: string;
  /** Whether folders can be chosen; they can by default. */
  folders?: boolean;
}

/** Controls an intake. */
export interface Intake {
  /** Sets the status text. */
  setStatus(text: string): void;
  /** Processes files that come from elsewhere. */
  add(files: ChosenFile[]): Promise<void>;
  cancel(): void;
}

/** Fills `container` with an intake. */
export function intake(container: HTMLElement, { title, hint, process, accept = "image/*", folders = true }: IntakeOptions): Intake {
  const status = h("p", { class: "status", role: "status" });
  const bar = h("progress", { max: 1, value: 0, "aria-label": `${title}: progress`, hidden: true });
  const cancel = h("button", { type: "button", hidden: true }, "Cancel");
  let running: AbortController | undefined;

  const add = async (files: ChosenFile[]): Promise<void> => {
    if (running || files.length === 0) return;
    running = new AbortController();
    const { signal } = running;
    bar.hidden = cancel.hidden = false;
    bar.value = 0;
    status.textContent = `${count(files.length)} files …`;
    try {
      status.textContent = await process(files, {
        signal,
        progress: (done, total) => {
          bar.value = total ? done / total : 0;
          status.textContent = `${count(done)} of ${count(total)}`;
        },
      });
    } catch (error) {
      status.textContent = signal.aborted ? "Cancelled." : messageOf(error);
    } finally {
      running = undefined;
      bar.hidden = cancel.hidden = true;
    }
  };
  const chooser = (text: string, folder: boolean): [HTMLElement, HTMLElement] => {
    const input = h("input", {
      type: "file",
      multiple: true,
      hidden: true,
      "aria-label": `${title}: ${text}`,
      ...(folder ? { webkitdirectory: true } : { accept }),
    });
    const button = h("button", { type: "button" }, text);
    button.addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      void add(filesOf(input));
      input.value = "";
    });
    return [button, input];
  };
  cancel.addEventListener("click", () => running?.abort());
  container.append(
    h("h2", {}, title),
    h("p", { class: "quiet small" }, hint),
    h("div", { class: "actions" }, ...(folders ? chooser("Choose a folder", true) : []), ...chooser("Choose files", false), cancel),
    bar,
    status,
  );
  onDrop(
    container,
    (files) => void add(files),
    (error) => void (status.textContent = messageOf(error)),
  );
  return { setStatus: (text) => (status.textContent = text), add, cancel: () => running?.abort() };
}
