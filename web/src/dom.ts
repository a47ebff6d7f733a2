// Elements, made in one line each.

type Attributes = Record<string, string | number | boolean | ((event: never) => void) | undefined>;
type Child = Node | string | null | undefined;

function fill(element: Element, attributes: Attributes, children: Child[]): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value as EventListener);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
}

export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  fill(element, attributes, children);
  return element;
}

export function svg(tag: string, attributes: Attributes = {}, ...children: Child[]): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(element, attributes, children);
  return element;
}

/** A button that looks like one, says what it does, and what key does the same. */
export function button(label: string | Node, title: string, act: () => void, extra: Attributes = {}): HTMLButtonElement {
  return h("button", { type: "button", title, "aria-label": title, click: act, ...extra }, label);
}

const toasts = h("div", { class: "toasts", role: "status", "aria-live": "polite", popover: "manual" });

/** Take away what was said: it is of what went before. */
export function hush(): void {
  toasts.replaceChildren();
}

/** Say something for a few seconds, also in front of a window that is open: what comes up last is in front. */
export function toast(text: string, kind: "note" | "wrong" = "note"): void {
  if (!toasts.isConnected) document.body.append(toasts);
  else toasts.hidePopover();
  toasts.showPopover();
  const line = h("div", { class: `toast ${kind}` }, text);
  toasts.append(line);
  setTimeout(() => line.remove(), kind === "wrong" ? 9000 : 4000);
}
