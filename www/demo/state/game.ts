// The gallery as a game: the visitor guesses the verdict before it is shown.

import { computed, effect, signal } from "@preact/signals-core";
import type { App } from "./app.js";
import type { GalleryImage } from "./models.js";

/** An image of the gallery: several models may have the same file. */
export const keyOf = ({ model, file }: GalleryImage): string => `${model}/${file}`;

/** A visitor's guess, and what the verdict was. */
export interface Guess {
  familiar: boolean;
  right: boolean;
}

/** The state of the game. */
export class Game {
  readonly on = signal(false);
  /** By the image's key. */
  readonly guesses = signal<ReadonlyMap<string, Guess>>(new Map());
  /** Whether the verdict on the present image is hidden until the visitor has guessed. */
  readonly hides;
  /** The present image's guess. */
  readonly guess;
  readonly tally = computed(() => {
    const all = [...this.guesses.value.values()];
    return { right: all.filter(({ right }) => right).length, all: all.length };
  });
  readonly #app: App;

  constructor(app: App) {
    this.#app = app;
    const key = computed(() => {
      const { gallery } = app.subject.value ?? {};
      return app.source.value === "image" && gallery ? keyOf(gallery) : undefined;
    });
    this.guess = computed(() => (this.on.value && key.value !== undefined ? this.guesses.value.get(key.value) : undefined));
    // The image that is shown when the game starts is no riddle any more.
    const known = signal<string | undefined>(undefined);
    effect(() => {
      if (this.on.value) known.value = key.peek();
    });
    this.hides = computed(() => this.on.value && key.value !== undefined && key.value !== known.value && !this.guess.value);
  }

  /** Takes a guess on the present image, once there is a verdict. */
  take(familiar: boolean): void {
    const { result, subject } = this.#app.outcome.peek() ?? {};
    if (!subject?.gallery || result?.inDistribution === undefined) return;
    const guess = { familiar, right: familiar === result.inDistribution };
    this.guesses.value = new Map(this.guesses.peek()).set(keyOf(subject.gallery), guess);
  }

  /** Starts anew, or stops. */
  toggle(): void {
    this.guesses.value = new Map();
    this.on.value = !this.on.peek();
  }
}
