// The sections of the page. One is visible at a time, as given by the URL's hash.

import { byId } from "../ui/dom.js";

export const VIEWS = ["try", "why", "play", "measure", "calibrate", "explain"] as const;
export type View = (typeof VIEWS)[number];

/** The parts of a hash: `#view?overrides`. */
export interface Address {
  view: View;
  query: URLSearchParams;
}

let current: View = "try";
const onShow = new Map<View, (() => void)[]>();

/** Parses a hash. */
export function readAddress(hash = location.hash): Address {
  const [name = "", query = ""] = hash.replace(/^#/, "").split("?");
  return { view: VIEWS.find((view) => view === name) ?? "try", query: new URLSearchParams(query) };
}

/** Wraps `draw` so that it runs when the view is visible: at once, or as soon as it is opened. */
export function whenShown(view: View, draw: () => void): () => void {
  let stale = false;
  const run = (): void => {
    stale = false;
    draw();
  };
  const listeners = onShow.get(view) ?? [];
  onShow.set(view, [...listeners, () => stale && run()]);
  return () => {
    if (current === view) run();
    else stale = true;
  };
}

/** Calls `listener` whenever the view is closed. */
export function onLeave(view: View, listener: () => void): void {
  leaveListeners.push((from) => from === view && listener());
}

const leaveListeners: ((from: View) => void)[] = [];

/** Starts following the hash; `onAddress` is called after each change. */
export function startNavigation(onAddress: (address: Address) => void): void {
  const follow = (first: boolean): void => {
    const address = readAddress();
    const from = current;
    if (address.view !== from) for (const listener of leaveListeners) listener(from);
    current = address.view;
    for (const view of VIEWS) byId(`view-${view}`).hidden = view !== current;
    for (const link of document.querySelectorAll<HTMLAnchorElement>("nav a")) {
      if (link.hash === `#${current}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    const heading = byId(`${current}-title`);
    document.title = `${document.querySelector("nav a[aria-current]")?.textContent ?? ""} · itp-ood`;
    if (!first && address.view !== from) {
      scrollTo({ top: 0 });
      // Screen readers announce the new section.
      heading.focus({ preventScroll: true });
    }
    for (const show of onShow.get(current) ?? []) show();
    onAddress(address);
  };
  addEventListener("hashchange", () => follow(false));
  follow(true);
}

/** Whether a view is visible. */
export const isShown = (view: View): boolean => current === view;
