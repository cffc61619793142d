// The address says what the page shows: `#section?model=...&image=...&p=...`. It follows the state, and
// the state follows it when the visitor goes back, reloads or opens a link.

import { type GalleryImage, isBuiltIn, type LoadedModel } from "./models.js";
import { fromQuery, isReact, type Overrides, toQuery, withoutReact } from "./overrides.js";
import { type View, VIEWS } from "./views.js";

/** What an address can say. */
export interface Shown {
  view: View;
  model: string | undefined;
  image: string | undefined;
  overrides: Overrides;
}

/** A part of the state with names of its own in the address. */
export interface Addressed {
  /** What differs from the default, by name. */
  query(): Iterable<readonly [name: string, value: string]>;
  /** Takes what an address says, the default for what it leaves out; gives what in it can't be, in sentences. */
  follow(query: URLSearchParams): Promise<string[]>;
}

/** The hash for what is shown. The visitor's own model and images have no address. */
export function hashOf({ view, model, image, overrides }: Shown, parts: readonly Addressed[]): string {
  const query = new URLSearchParams();
  if (model !== undefined && isBuiltIn(model)) query.set("model", model);
  if (image !== undefined) query.set("image", image);
  for (const [name, value] of toQuery(overrides)) query.set(name, value);
  for (const part of parts) for (const [name, value] of part.query()) query.set(name, value);
  return query.size ? `#${view}?${query}` : `#${view}`;
}

/** What a hash says. */
export interface Address extends Shown {
  /** Whether it names anything but a section: a link of the navigation changes nothing else. */
  isComplete: boolean;
  query: URLSearchParams;
  /** What it says that can't be, in sentences. */
  problems: string[];
}

/** Parses a hash; undefined if it names no section, as the link that skips the navigation. */
export function readAddress(hash: string): Address | undefined {
  const [name = "", text = ""] = hash.replace(/^#/, "").split("?");
  const view = name === "" ? "try" : VIEWS.find((candidate) => candidate === name);
  if (!view) return undefined;
  const query = new URLSearchParams(text);
  const { overrides, problems } = fromQuery(query);
  // Earlier links call the image `picture`.
  const image = query.get("image") ?? query.get("picture") ?? undefined;
  return { view, model: query.get("model") ?? undefined, image, overrides, isComplete: query.size > 0, query, problems };
}

/** The overrides that this model can have, and what is wrong with the others. */
export function possible(overrides: Overrides, { title, info }: LoadedModel): { overrides: Overrides; problems: string[] } {
  const { score, ...rest } = overrides;
  if (score !== undefined && isReact(score) && info.scores.includes(score) && info.settings.react !== undefined)
    return { overrides: { clip: info.settings.react, ...rest, score: withoutReact(score) }, problems: [] };
  if (score === undefined || info.scores.includes(score)) return { overrides, problems: [] };
  const known = info.unavailable.find(({ name }) => name === score);
  const problem = known
    ? `The score ${score} can't be had from the stats file of ${title}; its own score is used.`
    : `There is no score “${score}”; the stats file's own is used.`;
  return { overrides: rest, problems: [problem] };
}

/** The gallery image that an address names, and the model that it is for. */
export function imageOf(
  { image, model }: Pick<Shown, "image" | "model">,
  gallery: readonly GalleryImage[],
): { image: GalleryImage | undefined; problems: string[] } {
  if (image === undefined) return { image: undefined, problems: [] };
  const found =
    gallery.find(({ file, model: of }) => file === image && (model === undefined || of === model)) ??
    gallery.find(({ file }) => file === image);
  return { image: found, problems: found ? [] : [`This page has no image “${image}”.`] };
}
