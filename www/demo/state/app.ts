// The state of the page: a model, an image, overridden hyperparameters, and the result.

import { messageOf } from "./errors.js";
import { latest } from "./latest.js";
import { type GalleryImage, type LoadedModel, loadModel, type ModelEntry } from "./models.js";
import { type Overrides, toOptions } from "./overrides.js";
import { type DetectOptions, type Detection, type Input, OodError } from "itp-ood";

/** The image that the page is about. */
export interface Subject {
  title: string;
  input: Input;
  /** The decoded image, for display; missing for the webcam, which has its own element. */
  drawable?: CanvasImageSource & { width: number; height: number };
  gallery?: GalleryImage;
}

/** Events of the state. */
export type Change = "entries" | "model" | "subject" | "result" | "overrides" | "notice";

/** The state of the page. Only this class asks the detector for results. */
export class App {
  entries: ModelEntry[];
  model: LoadedModel | undefined;
  subject: Subject | undefined;
  result: Detection | undefined;
  /** Sorted scores of held-out ID images under the hyperparameters of `result`. */
  idScores: Float32Array | undefined;
  overrides: Overrides = {};
  notice: string | undefined;
  readonly #listeners = new Map<Change, Set<() => void>>();
  readonly #loaded = new Map<string, Promise<LoadedModel>>();
  /** The model that is being loaded for use. */
  #pendingModel: { id: string; use: Promise<void> } | undefined;
  /** Incremented for each image and model, so that outdated results can be dropped. */
  #generation = 0;
  /** Incremented for each chosen model: images detected meanwhile do not cancel the choice. */
  #modelChoice = 0;
  readonly #rescore: (generation: number) => void;

  constructor(entries: readonly ModelEntry[]) {
    this.entries = [...entries];
    this.#rescore = latest((generation) => this.#rescoreNow(generation));
  }

  /** Calls `listener` after each change of this kind. */
  on(change: Change, listener: () => void): void {
    const listeners = this.#listeners.get(change) ?? new Set();
    this.#listeners.set(change, listeners.add(listener));
  }

  /** The overrides as options of a call. */
  get options(): DetectOptions {
    return this.model ? toOptions(this.overrides, this.model.info) : {};
  }

  /** Shows a notice, or removes it. */
  notify(notice: string | undefined): void {
    if (this.notice === notice) return;
    this.notice = notice;
    this.#emit("notice");
  }

  /** Loads a model in the background, once. */
  load(entry: ModelEntry): Promise<LoadedModel> {
    const known = this.#loaded.get(entry.id);
    if (known) return known;
    const loading = loadModel(entry);
    this.#loaded.set(entry.id, loading);
    loading.catch(() => this.#loaded.delete(entry.id));
    return loading;
  }

  /** Adds the visitor's own model, replacing an earlier one. */
  async add(entry: ModelEntry): Promise<LoadedModel> {
    const loading = loadModel(entry);
    const model = await loading;
    const old = this.#loaded.get(entry.id);
    if (old)
      void old.then(
        ({ detector }) => detector.dispose(),
        () => undefined,
      );
    this.#loaded.set(entry.id, loading);
    this.entries = [...this.entries.filter(({ id }) => id !== entry.id), entry];
    if (this.model?.id === entry.id) this.model = undefined;
    this.#emit("entries");
    return model;
  }

  /** Switches to a model, with its own hyperparameters unless `overrides` are given. */
  use(id: string, overrides: Overrides = {}): Promise<void> {
    if (this.#pendingModel?.id === id) return this.#pendingModel.use;
    const entry = this.entries.find((candidate) => candidate.id === id);
    if (!entry || this.model?.id === id) return Promise.resolve();
    const pending = { id, use: this.#use(entry, overrides) };
    this.#pendingModel = pending;
    return pending.use.finally(() => {
      if (this.#pendingModel === pending) this.#pendingModel = undefined;
    });
  }

  async #use(entry: ModelEntry, overrides: Overrides): Promise<void> {
    this.#generation++;
    const choice = ++this.#modelChoice;
    try {
      const model = await this.load(entry);
      if (choice !== this.#modelChoice) return;
      this.model = model;
      this.overrides = overrides;
      this.result = undefined;
      this.notify(undefined);
      this.#emit("model");
      this.#emit("overrides");
    } catch (error) {
      if (choice === this.#modelChoice) this.notify(messageOf(error));
    }
  }

  /** The model in use, once it is loaded. */
  async loaded(): Promise<LoadedModel> {
    await this.#pendingModel?.use;
    if (!this.model) throw new Error(this.notice ?? "No model is loaded.");
    return this.model;
  }

  /** Runs the detector on an image; `quietly` for video frames, which don't count as a new subject. */
  async detect(subject: Subject, quietly = false): Promise<void> {
    const generation = ++this.#generation;
    this.subject = subject;
    if (!quietly) this.#emit("subject");
    const model = this.model;
    if (!model) return;
    try {
      const options = this.options;
      const result = await model.detector.detect(subject.input, options);
      const idScores = await idScoresOf(model, options);
      if (generation !== this.#generation || model !== this.model) return;
      this.#show(result, idScores);
    } catch (error) {
      if (generation !== this.#generation) return;
      this.result = undefined;
      this.notify(messageOf(error));
      this.#emit("result");
    }
  }

  /** Changes the overrides and rescores the stored features. */
  override(overrides: Overrides): void {
    this.overrides = overrides;
    this.#emit("overrides");
    this.#rescore(this.#generation);
  }

  /** Removes the image and its result. */
  clear(): void {
    this.#generation++;
    this.subject = undefined;
    this.result = undefined;
    this.#emit("subject");
    this.#emit("result");
  }

  async #rescoreNow(generation: number): Promise<void> {
    const { model, result } = this;
    if (!model || !result) return;
    try {
      const options = this.options;
      const [next, idScores] = await Promise.all([model.detector.rescore(result, options), idScoresOf(model, options)]);
      if (generation === this.#generation && model === this.model) this.#show(next, idScores);
    } catch (error) {
      if (!(error instanceof OodError && error.code === "aborted")) this.notify(messageOf(error));
    }
  }

  #show(result: Detection, idScores: Float32Array | undefined): void {
    this.result = result;
    this.idScores = idScores;
    this.notify(undefined);
    this.#emit("result");
  }

  #emit(change: Change): void {
    for (const listener of this.#listeners.get(change) ?? []) listener();
  }
}

function idScoresOf({ detector, info }: LoadedModel, options: DetectOptions): Promise<Float32Array | undefined> {
  return detector.idScores(options.score ?? info.settings.score, options);
}
