// Follows the address: shows the section that it names, and keeps it true to what is shown.

import { effect } from "@preact/signals-core";
import { type Address, type Addressed, hashOf, imageOf, possible, readAddress } from "../state/address.js";
import type { App } from "../state/app.js";
import { messageOf } from "../state/errors.js";
import { FIRST, type GalleryImage, isBuiltIn, type LoadedModel } from "../state/models.js";
import type { Overrides } from "../state/overrides.js";
import { VIEWS, type View } from "../state/views.js";
import { openGalleryImage } from "../try/open.js";
import { byId } from "../ui/dom.js";

/** Milliseconds between two addresses while a slider is dragged: browsers refuse more than a hundred in half a minute. */
const PAUSE = 350;

/**
 * Starts with the section, model, image and hyperparameters of the address. Where it names no image,
 * `opening` gives the one for a model. `parts` are what else an address says. Returns a function after
 * which the next change that nobody made by hand replaces the address: Back does not lead to what was
 * there before.
 */
export async function startNavigation(
  app: App,
  gallery: Promise<readonly GalleryImage[]>,
  opening: (model: string, all: readonly GalleryImage[]) => GalleryImage | undefined,
  parts: readonly Addressed[],
): Promise<() => void> {
  const first = readAddress(location.hash);
  showSection(app, first?.view ?? "try", true);
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("main").focus();
  });

  /** How many addresses are being followed: until they are, the state does not say what they say. */
  let following = 0;
  let written = "";
  let waiting: ReturnType<typeof setTimeout> | undefined;
  let last = -PAUSE;
  const replace = (hash: string, atOnce = false): void => {
    clearTimeout(waiting);
    const now = performance.now();
    if (!atOnce && now - last < PAUSE) {
      const { hash: at } = location;
      // Not over an address that the visitor has gone to since.
      waiting = setTimeout(() => at === location.hash && replace(hash), PAUSE - (now - last));
      return;
    }
    last = now;
    history.replaceState(null, "", hash);
  };
  const write = (atOnce = false): void => {
    const { view, source, subject, model, overrides } = app;
    const image = source.value === "image" ? subject.value?.gallery?.file : undefined;
    const hash = hashOf({ view: view.value, model: model.value?.id, image, overrides: overrides.value }, parts);
    const place = `${model.value?.id ?? ""} ${image ?? subject.value?.title ?? ""}`;
    if (following > 0 || !model.value) return;
    // Back leads to the image before, not through each position of a slider.
    const isNew = written !== "" && place !== written;
    clearTimeout(waiting);
    if (hash !== location.hash) {
      if (isNew) history.pushState(null, "", hash);
      else replace(hash, atOnce);
    }
    written = place;
  };

  const follow = async (address: Address | undefined, isFirst: boolean): Promise<void> => {
    following++;
    clearTimeout(waiting);
    const problems = [...(address?.problems ?? [])];
    try {
      const all = await gallery;
      const named = address ?? { image: undefined, model: undefined, overrides: {} };
      const found = imageOf(named, all);
      problems.push(...found.problems);
      let id = named.model ?? found.image?.model;
      if (id !== undefined && !isBuiltIn(id)) {
        problems.push(`This page has no model “${id}”.`);
        id = undefined;
      }
      const model = id ?? app.wanted.peek();
      const image = found.image ?? (isFirst && !app.subject.peek() ? opening(model, all) : undefined);
      const isShown = image === app.subject.peek()?.gallery && app.source.peek() === "image";
      const overrides = (of: LoadedModel): Overrides => {
        const checked = possible(named.overrides, of);
        problems.push(...checked.problems);
        return checked.overrides;
      };
      const opened = app.open({ model, overrides, ...(image && !isShown && { image: openGalleryImage(image) }) });
      // With the image and the model, so that nothing is seen for a moment that an address hides.
      const query = address?.query ?? new URLSearchParams();
      const said = await Promise.all(parts.map((part) => part.follow(query)));
      problems.push(...said.flat());
      await opened;
      if (isFirst && !app.model.peek() && app.wanted.peek() === model && model !== FIRST) {
        // As without a network, where a model that is loaded on demand was not kept.
        problems.push(app.notice.peek() ?? "");
        const other = opening(FIRST, all);
        await app.open({ model: FIRST, ...(other && { image: openGalleryImage(other) }) });
      }
    } catch (error) {
      problems.push(messageOf(error));
    } finally {
      following--;
      if (problems.length) app.notice.value = problems.join(" ");
      write();
    }
  };
  addEventListener("hashchange", () => {
    const address = readAddress(location.hash);
    if (!address) return;
    showSection(app, address.view, false);
    if (address.isComplete) void follow(address, false);
    else write();
  });
  effect(() => write());
  // Ahead of the button's own listener: the link that is copied is that of what is shown.
  document.addEventListener("click", ({ target }) => target === byId("link") && write(true), { capture: true });
  await follow(first, true);
  return () => void (written = "");
}

function showSection(app: App, view: View, isFirst: boolean): void {
  const from = app.view.peek();
  for (const name of VIEWS) byId(`view-${name}`).hidden = name !== view;
  for (const link of document.querySelectorAll<HTMLAnchorElement>("nav a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${document.querySelector("nav a[aria-current]")?.textContent ?? ""} · itp-ood`;
  // Charts measure the place that they are drawn in: it must be visible by now.
  app.view.value = view;
  if (isFirst || view === from) return;
  scrollTo({ top: 0 });
  // Screen readers announce the new section.
  byId(`${view}-title`).focus({ preventScroll: true });
}
