// Helpers that create and find elements.

/** The element with this id, which the page's HTML contains. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`#${id} is missing from the page`);
  return found as T;
}

type Attributes = Record<string, string | number | boolean | undefined>;
type Child = Node | string | undefined;

/** An HTML element; `true` sets an empty attribute, `false` and `undefined` none. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function svg<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[Tag] {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill<E extends Element>(element: E, attributes: Attributes, children: Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

/** Fills a `<select>`; the selected value is kept if it is still an option. */
export function setOptions(select: HTMLSelectElement, options: readonly { value: string; text: string }[], selected = select.value): void {
  select.replaceChildren(...options.map(({ value, text }) => h("option", { value }, text)));
  select.value = options.some(({ value }) => value === selected) ? selected : (options[0]?.value ?? "");
}
