// The sections of the page, of which one shows, and the address that names it.

import { byId } from "../ui/dom.js";

export const VIEWS = ["try", "why", "play", "measure", "calibrate", "explain"] as const;
export type View = (typeof VIEWS)[number];

/** What an address says after its `#`. */
export interface Address {
  view: View;
  query: URLSearchParams;
}

let current: View = "try";
const onShow = new Map<View, (() => void)[]>();

/** Reads `#view?settings`. */
export function readAddress(hash = location.hash): Address {
  const [name = "", query = ""] = hash.replace(/^#/, "").split("?");
  return { view: VIEWS.find((view) => view === name) ?? "try", query: new URLSearchParams(query) };
}

/** Draws a view's part when it shows: now if it does, otherwise once it is opened. */
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

/** Calls `listener` whenever the view is left. */
export function onLeave(view: View, listener: () => void): void {
  leaving.push((from) => from === view && listener());
}

const leaving: ((from: View) => void)[] = [];

/** Starts following the address; `onAddress` hears of settings in it. */
export function startViews(onAddress: (address: Address) => void): void {
  const follow = (first: boolean): void => {
    const address = readAddress();
    const from = current;
    if (address.view !== from) for (const listener of leaving) listener(from);
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
      // Readers of the screen hear where they are now.
      heading.focus({ preventScroll: true });
    }
    for (const show of onShow.get(current) ?? []) show();
    onAddress(address);
  };
  addEventListener("hashchange", () => follow(false));
  follow(true);
}

/** Whether a view shows. */
export const isShown = (view: View): boolean => current === view;
