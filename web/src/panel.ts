// The column at the right: objects, and what is known of the one that is chosen.

import { button, h } from "./dom";
import type { Editor } from "./editor";
import { icon } from "./icons";
import type { Tracked } from "./types";

export class Panel {
  readonly element: HTMLElement;
  private readonly list = h("ul", { class: "objects", "aria-label": "objects" });
  private readonly engines = h("select", { id: "engine", title: "What makes a mask of clicks: the click network, or GrabCut without one" });
  private readonly ways: HTMLElement;
  private readonly about = h("p", { class: "quiet about", role: "status" });

  constructor(private readonly editor: Editor) {
    const add = button("+ New", "New object (A)", () => void editor.addObject(), { id: "new-object" });
    this.ways = h(
      "div",
      { class: "row wrap" },
      button("Grow", "Grow the mask by a pixel (+)", () => this.grow(1)),
      button("Shrink", "Shrink the mask by a pixel (−)", () => this.grow(-1)),
      button("Not here", "The object is not on this frame (Delete)", () => this.gone("here")),
      button("Ends here", "The object is gone from this frame on (Shift Delete)", () => this.gone("from")),
      button("Take back", "Take the given mask back; the next run finds it anew (X)", () => this.release()),
    );
    this.engines.addEventListener("change", () => {
      editor.engine = this.engines.value;
      editor.forgetPoints();
      this.engines.blur();
    });
    const answered = h("label", { class: "row quiet" }, "Clicks by", this.engines);
    this.element = h("aside", { class: "panel" }, h("header", {}, h("h2", {}, "Objects"), add), this.list, this.ways, this.about, h("span", { class: "gap" }), answered);
    editor.on("facts", () => this.draw());
    for (const signal of ["frame", "points", "task"] as const) editor.on(signal, () => this.tellAbout());
  }

  /** What may answer clicks; the first does unless another is chosen. */
  tools(names: string[]): void {
    this.engines.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
  }

  /** Lock or hide the chosen object, or the other way. */
  toggle(what: "locked" | "hidden"): void {
    const { object } = this.editor;
    if (object) this.change(object, { [what]: !object[what] });
  }

  /** Write a name for the chosen object. */
  rename(): void {
    this.list.querySelector<HTMLInputElement>(`[data-object="${this.editor.selected}"] input[type=text]`)?.select();
  }

  private change(one: Tracked, changes: Partial<Tracked>): void {
    const { editor } = this;
    void editor.attempt(async () => {
      await editor.api.changeObject(one.id, changes);
      await editor.refresh();
    });
  }

  grow(pixels: number): void {
    const { object, index } = this.editor;
    if (object) void this.editor.change((api) => api.grow(index, object.id, pixels));
  }

  gone(how: "here" | "from" | "everywhere"): void {
    const { object, index } = this.editor;
    if (object) void this.editor.change((api) => api.deleteObject(object.id, how, index));
  }

  release(): void {
    const { object, index } = this.editor;
    if (object) void this.editor.change((api) => api.release(index, object.id));
  }

  private draw(): void {
    const { editor } = this;
    if (this.list.contains(document.activeElement) && document.activeElement?.tagName === "INPUT") {
      this.tellAbout();
      return; // somebody is writing a name
    }
    for (const way of this.ways.querySelectorAll("button")) way.disabled = !editor.object;
    this.list.replaceChildren(...editor.project.objects.map((one, n) => this.row(one, n)));
    this.tellAbout();
  }

  private row(one: Tracked, n: number): HTMLElement {
    const { editor } = this;
    const change = (changes: Partial<Tracked>) => this.change(one, changes);
    const colour = h("input", { type: "color", value: one.colour, title: "Colour on the page and in the exported overlay", "aria-label": `colour of ${one.name}` });
    colour.addEventListener("change", () => change({ colour: colour.value }));
    const name = h("input", { type: "text", value: one.name, maxlength: 60, "aria-label": "name", spellcheck: "false" });
    name.addEventListener("focus", () => editor.select(one.id));
    name.addEventListener("keydown", (event) => event.key === "Enter" && name.blur());
    name.addEventListener("change", () => change({ name: name.value || `object ${one.id}` }));
    const lock = button(icon(one.locked ? "locked" : "open"), one.locked ? "Unlock (U)" : "Lock: nothing overwrites it (U)", () => change({ locked: !one.locked }), { class: "plain", "aria-pressed": one.locked });
    const hide = button(icon(one.hidden ? "hidden" : "shown"), one.hidden ? "Show (I)" : "Hide (I)", () => change({ hidden: !one.hidden }), { class: "plain", "aria-pressed": one.hidden });
    const away = button(icon("gone"), "Delete everywhere; undo brings it back (Ctrl Delete)", () => {
      editor.select(one.id);
      this.gone("everywhere");
    }, { class: "plain" });
    const row = h("li", { class: one.id === editor.selected ? "chosen" : "", "data-object": one.id }, h("span", { class: "key" }, n < 9 ? String(n + 1) : ""), colour, name, lock, hide, away);
    row.addEventListener("pointerdown", (event) => {
      if (event.target === row || (event.target as Element).classList.contains("key")) editor.select(one.id);
    });
    return row;
  }

  private tellAbout(): void {
    const { editor } = this;
    const one = editor.object;
    const code = one && editor.project.timeline[one.id]?.[editor.index];
    const why = one && code !== "g" ? editor.reasons(one.id, editor.index) : [];
    const said: Record<string, string> = {
      g: "given on this frame",
      s: "found here, sure",
      u: "found here, worth a look",
      a: "not on this frame",
      ".": "not known on this frame yet",
    };
    const sure = editor.confidence !== null ? ` · mask ${Math.round(editor.confidence * 100)} % sure` : "";
    const look = why.length ? ` (${why.join(", ")})` : "";
    this.about.textContent = one ? `${one.name}: ${said[code ?? "."] ?? ""}${look}${sure}` : "Click on something in the picture to cut it out.";
  }
}
