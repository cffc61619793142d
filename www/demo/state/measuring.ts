// What the section Measure looks at: the score, the visitor's threshold for it, and whether at the gallery.

import { signal } from "@preact/signals-core";
import type { Addressed } from "./address.js";
import type { App } from "./app.js";

/** The state of the section. The visitor's own images have no address. */
export class Measuring implements Addressed {
  /** Whether the gallery is to be measured. */
  readonly gallery = signal(false);
  /** The score that is drawn: the stats file's own without a choice. */
  readonly score = signal<string | undefined>(undefined);
  /** The threshold that was dragged to, for this score; without one it is the page's own. */
  readonly threshold = signal<{ score: string; value: number } | undefined>(undefined);
  readonly #app: App;

  constructor(app: App) {
    this.#app = app;
  }

  *query(): Generator<readonly [string, string]> {
    if (this.gallery.value) yield ["sets", "gallery"];
    const { value: score } = this.score;
    const own = this.#app.model.value?.info.settings.score;
    if (score !== undefined && score !== own) yield ["measured", score];
    const { value: threshold } = this.threshold;
    if (threshold && threshold.score === (score ?? own)) yield ["threshold", String(threshold.value)];
  }

  async follow(query: URLSearchParams): Promise<string[]> {
    const problems: string[] = [];
    const sets = query.get("sets");
    if (sets !== null && sets !== "gallery") problems.push(`The address asks to measure “${sets}”; there is gallery.`);
    this.gallery.value = sets === "gallery";
    const score = query.get("measured") ?? undefined;
    this.score.value = score;
    const text = query.get("threshold");
    if (score === undefined && text === null) {
      this.threshold.value = undefined;
      return problems;
    }
    const { title, info } = await this.#app.loaded();
    if (score !== undefined && !info.scores.includes(score)) {
      problems.push(`The score ${score} can't be measured with ${title}.`);
      this.score.value = undefined;
    }
    const value = text === null || text === "" ? NaN : Number(text);
    if (text !== null && !Number.isFinite(value))
      problems.push(`The address asks for threshold = ${text}, which can't be: it is a number.`);
    this.threshold.value = Number.isFinite(value) ? { score: this.score.peek() ?? info.settings.score, value } : undefined;
    return problems;
  }
}
