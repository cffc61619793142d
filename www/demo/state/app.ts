// What the page is about: one model, one picture, one set of settings, and the verdict on them.

import { type DetectOptions, type Detection, type Input, OodError } from "itp-ood";
import { wordsOf } from "../ui/dom.js";
import { latest } from "./latest.js";
import { type GalleryPicture, type LoadedModel, loadModel, type ModelEntry } from "./models.js";
import { type Settings, toOptions } from "./overrides.js";

/** The picture in question. */
export interface Subject {
  title: string;
  input: Input;
  /** For showing it; a webcam shows itself. */
  picture?: CanvasImageSource & { width: number; height: number };
  gallery?: GalleryPicture;
}

/** What listeners hear of. */
export type Change = "entries" | "model" | "subject" | "result" | "settings" | "notice";

/** The state of the page, and the only place that asks the engine for verdicts. */
export class App {
  entries: ModelEntry[];
  model: LoadedModel | undefined;
  subject: Subject | undefined;
  result: Detection | undefined;
  /** Sorted scores of held-out ID pictures under the settings of `result`. */
  idScores: Float32Array | undefined;
  settings: Settings = {};
  notice: string | undefined;
  readonly #listeners = new Map<Change, Set<() => void>>();
  readonly #loaded = new Map<string, Promise<LoadedModel>>();
  /** The model that is being loaded to be used. */
  #coming: { id: string; use: Promise<void> } | undefined;
  /** Counts pictures and models, so that a late answer is known to be late. */
  #turn = 0;
  /** Counts choices of a model: pictures that are looked at meanwhile do not undo one. */
  #choice = 0;
  readonly #rescore: (turn: number) => void;

  constructor(entries: readonly ModelEntry[]) {
    this.entries = [...entries];
    this.#rescore = latest((turn) => this.#rescoreNow(turn));
  }

  /** Calls `listener` after each such change. */
  on(change: Change, listener: () => void): void {
    const listeners = this.#listeners.get(change) ?? new Set();
    this.#listeners.set(change, listeners.add(listener));
  }

  /** The settings as the engine takes them. */
  get options(): DetectOptions {
    return this.model ? toOptions(this.settings, this.model.info) : {};
  }

  /** Tells the visitor something, or that it no longer holds. */
  tell(notice: string | undefined): void {
    if (this.notice === notice) return;
    this.notice = notice;
    this.#emit("notice");
  }

  /** Loads a model in the background; a second call for it waits for the first. */
  load(entry: ModelEntry): Promise<LoadedModel> {
    const known = this.#loaded.get(entry.id);
    if (known) return known;
    const loading = loadModel(entry);
    this.#loaded.set(entry.id, loading);
    loading.catch(() => this.#loaded.delete(entry.id));
    return loading;
  }

  /** Adds a model of the visitor's own, in place of an earlier one. */
  async add(entry: ModelEntry): Promise<LoadedModel> {
    const loading = loadModel(entry);
    const model = await loading;
    const old = this.#loaded.get(entry.id);
    if (old) void old.then(({ detector }) => detector.dispose(), () => undefined);
    this.#loaded.set(entry.id, loading);
    this.entries = [...this.entries.filter(({ id }) => id !== entry.id), entry];
    if (this.model?.id === entry.id) this.model = undefined;
    this.#emit("entries");
    return model;
  }

  /** Makes a model the one in use. The settings fall back to its own. */
  use(id: string, settings: Settings = {}): Promise<void> {
    if (this.#coming?.id === id) return this.#coming.use;
    const entry = this.entries.find((candidate) => candidate.id === id);
    if (!entry || this.model?.id === id) return Promise.resolve();
    const coming = { id, use: this.#use(entry, settings) };
    this.#coming = coming;
    return coming.use.finally(() => {
      if (this.#coming === coming) this.#coming = undefined;
    });
  }

  async #use(entry: ModelEntry, settings: Settings): Promise<void> {
    this.#turn++;
    const choice = ++this.#choice;
    try {
      const model = await this.load(entry);
      if (choice !== this.#choice) return;
      this.model = model;
      this.settings = settings;
      this.result = undefined;
      this.tell(undefined);
      this.#emit("model");
      this.#emit("settings");
    } catch (thrown) {
      if (choice === this.#choice) this.tell(wordsOf(thrown));
    }
  }

  /** The model in use, waited for where it is still being loaded. */
  async loaded(): Promise<LoadedModel> {
    await this.#coming?.use;
    if (!this.model) throw new Error(this.notice ?? "No model is loaded.");
    return this.model;
  }

  /** Asks for the verdict on a picture. */
  async look(subject: Subject, quietly = false): Promise<void> {
    const turn = ++this.#turn;
    this.subject = subject;
    if (!quietly) this.#emit("subject");
    const model = this.model;
    if (!model) return;
    try {
      const options = this.options;
      const result = await model.detector.detect(subject.input, options);
      const idScores = await idScoresOf(model, options);
      if (turn !== this.#turn || model !== this.model) return;
      this.#show(result, idScores);
    } catch (thrown) {
      if (turn !== this.#turn) return;
      this.result = undefined;
      this.tell(wordsOf(thrown));
      this.#emit("result");
    }
  }

  /** Changes settings and looks again at the kept features. */
  change(settings: Settings): void {
    this.settings = settings;
    this.#emit("settings");
    this.#rescore(this.#turn);
  }

  /** Forgets the picture. */
  forget(): void {
    this.#turn++;
    this.subject = undefined;
    this.result = undefined;
    this.#emit("subject");
    this.#emit("result");
  }

  async #rescoreNow(turn: number): Promise<void> {
    const { model, result } = this;
    if (!model || !result) return;
    try {
      const options = this.options;
      const [next, idScores] = await Promise.all([model.detector.rescore(result, options), idScoresOf(model, options)]);
      if (turn === this.#turn && model === this.model) this.#show(next, idScores);
    } catch (thrown) {
      if (!(thrown instanceof OodError && thrown.code === "aborted")) this.tell(wordsOf(thrown));
    }
  }

  #show(result: Detection, idScores: Float32Array | undefined): void {
    this.result = result;
    this.idScores = idScores;
    this.tell(undefined);
    this.#emit("result");
  }

  #emit(change: Change): void {
    for (const listener of this.#listeners.get(change) ?? []) listener();
  }
}

function idScoresOf({ detector, info }: LoadedModel, options: DetectOptions): Promise<Float32Array | undefined> {
  return detector.idScores(options.score ?? info.settings.score, options);
}
