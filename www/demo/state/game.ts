// The gallery as a game: the visitor guesses the verdict before it is shown.

import { computed, effect, signal } from "@preact/signals-core";
import type { App } from "./app.js";

/** A visitor's guess, and what the verdict was. */
export interface Guess {
  familiar: boolean;
  right: boolean;
}

/** The state of the game. */
export class Game {
  readonly on = signal(false);
  /** By the image's file. */
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
    const file = computed(() => (app.source.value === "image" ? app.subject.value?.gallery?.file : undefined));
    this.guess = computed(() => (this.on.value && file.value !== undefined ? this.guesses.value.get(file.value) : undefined));
    // The image that is shown when the game starts is no riddle any more.
    const known = signal<string | undefined>(undefined);
    effect(() => {
      if (this.on.value) known.value = file.peek();
    });
    this.hides = computed(() => this.on.value && file.value !== undefined && file.value !== known.value && !this.guess.value);
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
    this.guesses.value = new Map();
    this.on.value = !this.on.peek();
  }
}
