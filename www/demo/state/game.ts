// The gallery as a game: the visitor guesses the verdict before it is shown.

import { batch, computed, type ReadonlySignal, signal } from "@preact/signals-core";
import type { Addressed } from "./address.js";
import type { App } from "./app.js";
import type { GalleryImage } from "./models.js";

/** A visitor's guess, and what the verdict was. */
export interface Guess {
  familiar: boolean;
  right: boolean;
}

/** In the address, in place of the image that was shown when the game started. */
const NONE = "on";

/** The state of the game. */
export class Game implements Addressed {
  readonly on = signal(false);
  /** By the image's file. */
  readonly guesses = signal<ReadonlyMap<string, Guess>>(new Map());
  /** Whether the verdict on the present image is hidden until the visitor has guessed. */
  readonly hides: ReadonlySignal<boolean>;
  /** The present image's guess. */
  readonly guess: ReadonlySignal<Guess | undefined>;
  readonly tally = computed(() => {
    const all = [...this.guesses.value.values()];
    return { right: all.filter(({ right }) => right).length, all: all.length };
  });
  readonly #app: App;
  readonly #gallery: () => readonly GalleryImage[];
  readonly #file: ReadonlySignal<string | undefined>;
  /** The image that is shown when the game starts: it is no riddle any more. */
  readonly #known = signal<string | undefined>(undefined);

  constructor(app: App, gallery: () => readonly GalleryImage[]) {
    this.#app = app;
    this.#gallery = gallery;
    this.#file = computed(() => (app.source.value === "image" ? app.subject.value?.gallery?.file : undefined));
    const file = this.#file;
    this.guess = computed(() => (this.on.value && file.value !== undefined ? this.guesses.value.get(file.value) : undefined));
    this.hides = computed(() => this.on.value && file.value !== undefined && file.value !== this.#known.value && !this.guess.value);
  }

  /** Takes a guess on the present image, once there is a verdict. */
  take(familiar: boolean): void {
    const { result, subject } = this.#app.outcome.peek() ?? {};
    if (!subject?.gallery || result?.inDistribution === undefined) return;
    const guess = { familiar, right: familiar === result.inDistribution };
    this.guesses.value = new Map(this.guesses.peek()).set(subject.gallery.file, guess);
  }

  /** Starts anew, or stops. */
  toggle(): void {
    this.#set(!this.on.peek(), this.#file.peek(), new Map());
  }

  #set(on: boolean, known: string | undefined, guesses: ReadonlyMap<string, Guess>): void {
    batch(() => {
      this.on.value = on;
      this.#known.value = known;
      this.guesses.value = guesses;
    });
  }

  *query(): Generator<readonly [string, string]> {
    if (!this.on.value) return;
    yield ["game", this.#known.value ?? NONE];
    const all = [...this.guesses.value];
    for (const [name, has] of GROUPS) {
      const files = all.filter(([, guess]) => has(guess)).map(([file]) => file);
      if (files.length) yield [name, files.join(" ")];
    }
  }

  async follow(query: URLSearchParams): Promise<string[]> {
    const files = new Set(this.#gallery().map(({ file }) => file));
    const problems: string[] = [];
    const images = (name: string): string[] => {
      const named = (query.get(name) ?? "").split(" ").filter(Boolean);
      const unknown = named.filter((file) => !files.has(file) && !(name === "game" && file === NONE));
      for (const file of unknown) problems.push(`This page has no image “${file}” to guess at.`);
      return named.filter((file) => files.has(file));
    };
    const [known] = images("game");
    const wrong = new Set(images("wrong"));
    const guesses = (["familiar", "unfamiliar"] as const).flatMap((name) =>
      images(name).map((file): [string, Guess] => [file, { familiar: name === "familiar", right: !wrong.has(file) }]),
    );
    this.#set(query.has("game"), known, new Map(guesses));
    return problems;
  }
}

/** What the address lists of the guesses. */
const GROUPS: readonly [name: string, has: (guess: Guess) => boolean][] = [
  ["familiar", ({ familiar }) => familiar],
  ["unfamiliar", ({ familiar }) => !familiar],
  ["wrong", ({ right }) => !right],
];
