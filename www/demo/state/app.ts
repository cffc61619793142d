// The state of the page: signals that views read. What depends on the model, the image or the
// hyperparameters is derived from them, so that no view can be forgotten when one of them changes.

import { batch, computed, effect, type ReadonlySignal, signal } from "@preact/signals-core";
import { messageOf } from "./errors.js";
import { latest } from "./latest.js";
import { type GalleryImage, type LoadedModel, loadModel, type ModelEntry, type Separation } from "./models.js";
import { type Overrides, toOptions } from "./overrides.js";
import { disposeModel } from "./special.js";
import type { View } from "./views.js";
import { type DetectOptions, type Detection, type Input, OodError } from "itp-ood";

/** Where the image comes from. */
export type Source = "image" | "camera" | "draw";

/** An image that the page can be about. */
export interface Subject {
  title: string;
  input: Input;
  /** The decoded image, for display. */
  drawable: CanvasImageSource & { width: number; height: number };
  gallery?: GalleryImage;
  /** Frames of the webcam, states of a drawing: the verdict on one stays until the next one has its own. */
  series?: Source;
}

/** What the detector says, and of what. */
export interface Outcome {
  readonly model: LoadedModel;
  readonly subject: Subject;
  readonly overrides: Overrides;
  /** By the chosen score. */
  readonly result: Detection;
  /** Sorted scores of held-out ID images under the same hyperparameters. */
  readonly idScores: Float32Array | undefined;
  /** What these two scores say of the same image, where the model has them. */
  readonly energy: Detection | undefined;
  readonly itp: Detection | undefined;
}

/** A change of several parts of the state at once. */
export interface Opening {
  /** Id of a model; its own hyperparameters apply, unless others are given. */
  model?: string;
  image?: Promise<Subject>;
  /** May depend on what the model has. */
  overrides?: (model: LoadedModel) => Overrides;
}

/** The state of the page. Only this class asks the detector for results. */
export class App {
  /** The section that is visible; set by the navigation. */
  readonly view = signal<View>("try");
  readonly entries = signal<readonly ModelEntry[]>([]);
  /** Id of the model that was chosen, which may still be loading. */
  readonly wanted = signal("");
  readonly model = signal<LoadedModel | undefined>(undefined);
  readonly overrides = signal<Overrides>({});
  readonly source = signal<Source>("image");
  /** The image of each source. */
  readonly chosen = signal<Subject | undefined>(undefined);
  readonly frame = signal<Subject | undefined>(undefined);
  readonly drawing = signal<Subject | undefined>(undefined);
  readonly notice = signal<string | undefined>(undefined);
  /** Known of the models that ship with the page. */
  readonly separation = signal<Separation>({});

  readonly subject: ReadonlySignal<Subject | undefined> = computed(
    () => ({ image: this.chosen, camera: this.frame, draw: this.drawing })[this.source.value].value,
  );
  /** The model, unless another one has been chosen and is loading. */
  readonly current: ReadonlySignal<LoadedModel | undefined> = computed(() =>
    this.model.value?.id === this.wanted.value ? this.model.value : undefined,
  );
  readonly #last = signal<Outcome | undefined>(undefined);
  readonly #failure = signal<{ model: LoadedModel; subject: Subject; message: string } | undefined>(undefined);
  /** What is known of the current image on the current model; never of another one. */
  readonly outcome: ReadonlySignal<Outcome | undefined> = computed(() => {
    const last = this.#last.value;
    return last && last.model === this.current.value && isSame(last.subject, this.subject.value) ? last : undefined;
  });
  /** Why there is no outcome, if the detector failed. */
  readonly failure: ReadonlySignal<string | undefined> = computed(() => {
    const failure = this.#failure.value;
    return failure && failure.model === this.current.value && failure.subject === this.subject.value ? failure.message : undefined;
  });

  readonly #loaded = new Map<string, Promise<LoadedModel>>();
  /** Incremented for each choice, so that one that loads late does not replace a newer one. */
  #modelChoice = 0;
  #imageChoice = 0;
  #generation = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(entries: readonly ModelEntry[]) {
    this.entries.value = entries;
    effect(() => {
      const { value: model } = this.current;
      const { value: subject } = this.subject;
      const last = this.#last.peek();
      if (!subject) this.#last.value = undefined;
      else if (model && !(last?.model === model && last.subject === subject)) this.#running = this.#detect(model, subject);
    });
    const rescore = latest(() => this.#rescore());
    effect(() => {
      if (this.outcome.value && this.outcome.value.overrides !== this.overrides.value) rescore(undefined);
    });
  }

  /** The overrides as options of a call. */
  get options(): DetectOptions {
    const model = this.model.peek();
    return model ? toOptions(this.overrides.peek(), model.info) : {};
  }

  /** Loads a model in the background, once. */
  load(id: string): Promise<LoadedModel> {
    const known = this.#loaded.get(id);
    if (known) return known;
    const entry = this.entries.peek().find((candidate) => candidate.id === id);
    if (!entry) return Promise.reject(new Error(`There is no model “${id}” on this page.`));
    const loading = loadModel(entry);
    this.#loaded.set(id, loading);
    loading.catch(() => this.#loaded.delete(id));
    return loading;
  }

  /** The chosen model, once it is loaded. */
  loaded(): Promise<LoadedModel> {
    return this.load(this.wanted.peek());
  }

  /** Changes model, image and hyperparameters together, once all are there. */
  async open({ model: id, image, overrides }: Opening): Promise<void> {
    if (id !== undefined && id !== this.wanted.peek()) {
      this.#modelChoice++;
      this.wanted.value = id;
    }
    if (image) this.#imageChoice++;
    const [modelChoice, imageChoice] = [this.#modelChoice, this.#imageChoice];
    try {
      const [model, subject] = await Promise.all([id === undefined ? undefined : this.load(id), image]);
      batch(() => {
        if (modelChoice === this.#modelChoice) {
          const used = model ?? this.model.peek();
          const isNew = used !== this.model.peek();
          this.model.value = used;
          if (used && (isNew || overrides)) this.overrides.value = overrides?.(used) ?? {};
        }
        if (subject && imageChoice === this.#imageChoice) {
          this.source.value = "image";
          this.chosen.value = subject;
        }
        this.notice.value = undefined;
      });
    } catch (error) {
      if (modelChoice !== this.#modelChoice || (image && imageChoice !== this.#imageChoice)) return;
      batch(() => {
        this.wanted.value = this.model.peek()?.id ?? this.wanted.peek();
        this.notice.value = messageOf(error);
      });
    }
  }

  /** Changes the hyperparameters; the stored features are rescored. */
  override(overrides: Overrides): void {
    batch(() => {
      this.overrides.value = overrides;
      this.notice.value = undefined;
    });
  }

  /** Takes the image from elsewhere; images that are still loading are dropped. */
  take(source: Source): void {
    this.#imageChoice++;
    batch(() => {
      this.source.value = source;
      this.notice.value = undefined;
    });
  }

  /** Loads the visitor's own model and uses it, in place of an earlier one. */
  async adopt(entry: ModelEntry): Promise<LoadedModel> {
    const model = await loadModel(entry);
    const old = this.#loaded.get(entry.id);
    this.#modelChoice++;
    this.#loaded.set(entry.id, Promise.resolve(model));
    batch(() => {
      this.entries.value = [...this.entries.peek().filter(({ id }) => id !== entry.id), entry];
      this.wanted.value = entry.id;
      this.model.value = model;
      this.overrides.value = {};
      this.notice.value = undefined;
    });
    old?.then(disposeModel, () => undefined);
    return model;
  }

  /** Runs the detector on a frame of the webcam. */
  async watch(frame: Subject): Promise<void> {
    this.frame.value = frame;
    await this.#running;
  }

  async #detect(model: LoadedModel, subject: Subject): Promise<void> {
    const generation = ++this.#generation;
    const overrides = this.overrides.peek();
    try {
      const result = model.detector.detect(subject.input, toOptions(overrides, model.info));
      const outcome = await complete({ model, subject, overrides }, result);
      if (generation === this.#generation) this.#show(outcome);
    } catch (error) {
      if (generation === this.#generation) this.#failure.value = { model, subject, message: messageOf(error) };
    }
  }

  /** Rescores the stored features under the present hyperparameters. */
  async #rescore(): Promise<void> {
    const last = this.outcome.peek();
    const overrides = this.overrides.peek();
    if (!last || last.overrides === overrides) return;
    const { model, subject, energy } = last;
    try {
      const result = model.detector.rescore(last.result, toOptions(overrides, model.info));
      // Energy depends on none of the hyperparameters that can be changed here.
      const outcome = await complete({ model, subject, overrides }, result, energy);
      if (this.outcome.peek() === last) this.#show(outcome);
    } catch (error) {
      if (!(error instanceof OodError && error.code === "aborted")) this.notice.value = messageOf(error);
    }
  }

  #show(outcome: Outcome): void {
    batch(() => {
      this.#last.value = outcome;
      this.#failure.value = undefined;
    });
  }
}

/** Adds what depends on the result, the model and the hyperparameters alone. */
async function complete(
  of: Pick<Outcome, "model" | "subject" | "overrides">,
  pending: Promise<Detection>,
  knownEnergy?: Detection,
): Promise<Outcome> {
  const { detector, info } = of.model;
  const options = toOptions(of.overrides, info);
  const [result, idScores] = await Promise.all([pending, detector.idScores(options.score ?? info.settings.score, options)]);
  const by = (score: string): Promise<Detection> | Detection | undefined => {
    if (result.scoreName === score) return result;
    return info.scores.includes(score) ? detector.rescore(result, { ...options, score }) : undefined;
  };
  const [energy, itp] = await Promise.all([knownEnergy ?? by("energy"), by("itp")]);
  return { ...of, result, idScores, energy, itp };
}

/** Whether a verdict on one image may stand beside the other. */
function isSame(a: Subject, b: Subject | undefined): boolean {
  return a === b || (a.series !== undefined && a.series === b?.series);
}
