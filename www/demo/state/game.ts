// The gallery as a game: the visitor guesses the verdict before it is shown.

import { batch, computed, type ReadonlySignal, signal } from "@preact/signals-core";
import type { Addressed } from "./address.js";
import type { App } from "./app.js";
import type { GalleryImage } from "./models.js";

/** An image of the gallery: several models may have the same file. */
export const keyOf = ({ model, file }: GalleryImage): string => `${model}/${file}`;

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
  /** By the image's key. */
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
  readonly #key: ReadonlySignal<string | undefined>;
  /** The image that is shown when the game starts: it is no riddle any more. */
  readonly #known = signal<string | undefined>(undefined);

  constructor(app: App, gallery: () => readonly GalleryImage[]) {
    this.#app = app;
    this.#gallery = gallery;
    this.#key = computed(() => {
      const { gallery } = app.subject.value ?? {};
      return app.source.value === "image" && gallery ? keyOf(gallery) : undefined;
    });
    const key = this.#key;
    this.guess = computed(() => (this.on.value && key.value !== undefined ? this.guesses.value.get(key.value) : undefined));
    this.hides = computed(() => this.on.value && key.value !== undefined && key.value !== this.#known.value && !this.guess.value);
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
    this.#set(!this.on.peek(), this.#key.peek(), new Map());
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
      const keys = all.filter(([, guess]) => has(guess)).map(([key]) => key);
      if (keys.length) yield [name, keys.join(" ")];
    }
  }

  async follow(query: URLSearchParams): Promise<string[]> {
    const keys = new Set(this.#gallery().map(keyOf));
    const problems: string[] = [];
    const images = (name: string): string[] => {
      const named = (query.get(name) ?? "").split(" ").filter(Boolean);
      const unknown = named.filter((key) => !keys.has(key) && !(name === "game" && key === NONE));
      for (const key of unknown) problems.push(`This page has no image “${key}” to guess at.`);
      return named.filter((key) => keys.has(key));
    };
    const [known] = images("game");
    const wrong = new Set(images("wrong"));
    const guesses = (["familiar", "unfamiliar"] as const).flatMap((name) =>
      images(name).map((key): [string, Guess] => [key, { familiar: name === "familiar", right: !wrong.has(key) }]),
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
