// What the card "Where in the image" shows: which of its maps, of what, and where the visitor's cover lies.

import { computed, type ReadonlySignal, signal } from "@preact/signals-core";
import type { Addressed } from "./address.js";
import type { App } from "./app.js";

/** Its three maps. */
export const WAYS = ["evidence", "occlusion", "gradient"] as const;
export type Way = (typeof WAYS)[number];

/** Which of a class's weights the evidence adds up. */
export const PARTS = ["kept", "crp", "ftp", "all"] as const;
export type Part = (typeof PARTS)[number];

/** Sides of covers, as shares of the crop's shorter side. */
export const SIZES = [0.125, 0.2, 0.333] as const;

/** A square laid over the crop: its centre as shares of the crop's width and height, and its side. */
export interface Cover {
  readonly x: number;
  readonly y: number;
  readonly size: number;
}

const FIRST: Cover = { x: 0.5, y: 0.5, size: 0.2 };

/** The state of the card. */
export class Sight implements Addressed {
  readonly way = signal<Way>("evidence");
  readonly part = signal<Part>("kept");
  /** The class that was chosen; without one, or if the model has none of this name, it is the predicted one. */
  readonly label = signal<string | undefined>(undefined);
  readonly cover = signal<Cover>(FIRST);
  /** The chosen class, if the model has it. */
  readonly classIndex: ReadonlySignal<number | undefined>;
  readonly #app: App;

  constructor(app: App) {
    this.#app = app;
    this.classIndex = computed(() => {
      const { value: label } = this.label;
      const index = label === undefined ? -1 : (app.model.value?.info.labels.indexOf(label) ?? -1);
      return index < 0 ? undefined : index;
    });
  }

  /** Moves the cover; its centre stays on the crop. */
  move(x: number, y: number): void {
    const within = (share: number): number => Math.round(1000 * Math.max(0, Math.min(1, share))) / 1000;
    this.cover.value = { ...this.cover.peek(), x: within(x), y: within(y) };
  }

  *query(): Generator<readonly [string, string]> {
    if (this.way.value !== "evidence") yield ["see", this.way.value];
    if (this.part.value !== "kept") yield ["part", this.part.value];
    if (this.label.value !== undefined && this.classIndex.value !== undefined) yield ["class", this.label.value];
    const { x, y, size } = this.cover.value;
    if (x !== FIRST.x || y !== FIRST.y || size !== FIRST.size) yield ["cover", [x, y, size].join(" ")];
  }

  async follow(query: URLSearchParams): Promise<string[]> {
    const problems: string[] = [];
    const among = <T extends string>(name: string, all: readonly T[]): T => {
      const [first] = all;
      const found = all.find((one) => one === query.get(name));
      if (query.has(name) && found === undefined)
        problems.push(`The address asks for ${name} = ${query.get(name) ?? ""}; there is ${all.join(", ")}.`);
      return found ?? (first as T);
    };
    this.way.value = among("see", WAYS);
    this.part.value = among("part", PARTS);
    this.cover.value = FIRST;
    const at = query.get("cover");
    if (at !== null) {
      const [x = NaN, y = NaN, size = NaN] = at.split(" ").map(Number);
      const fits = [x, y].every((share) => share >= 0 && share <= 1) && SIZES.some((known) => known === size);
      if (fits) this.cover.value = { x, y, size };
      else
        problems.push(`The address places a cover at “${at}”, which can't be: it is a place from 0 to 1, twice, and ${SIZES.join(", ")}.`);
    }
    const label = query.get("class") ?? undefined;
    this.label.value = label;
    if (label !== undefined) {
      const { title, info } = await this.#app.loaded();
      if (!info.labels.includes(label)) problems.push(`${title} has no class “${label}”.`);
    }
    return problems;
  }
}
