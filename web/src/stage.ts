// The two canvases, one on the other, and the hand that moves, points and paints on them.

import { h, svg } from "./dom";
import { Drawing } from "./drawing";
import type { Editor } from "./editor";
import { maskOf, Painting, type Dirty } from "./painting";
import type { Box } from "./types";

const DRAG = 5; // pixels of the screen from which a press is a drag
const CLOSE = 9; // pixels of the screen within which a click closes a line
const LARGEST = 40;

export class Stage {
  readonly element: HTMLElement;
  private readonly world = h("div", { class: "world" });
  private readonly below = h("canvas", { class: "frame" });
  private readonly above = h("canvas", { class: "masks" });
  private readonly marks = svg("svg", { class: "marks" });
  private readonly lower = this.below.getContext("2d", { alpha: false })!;
  private readonly upper = this.above.getContext("2d")!;
  private drawing: Drawing | null = null;
  private scale = 1;
  private x = 0;
  private y = 0;
  private fitted = true;
  private panning: { x: number; y: number } | null = null;
  private pressed: { x: number; y: number; button: number; alt: boolean } | null = null;
  private band: Box | null = null;
  private painting: Painting | null = null;
  private early: [number, number][] | null = null;
  private lifted = false;
  private last: [number, number] = [0, 0];
  private line: [number, number][] = [];
  private trail: [number, number][] = [];
  private anchors: number[] = [];
  private hover: [number, number] | null = null;
  private asking = false;
  private steps: Promise<void> = Promise.resolve();
  space = false;
  comparing = false;

  constructor(private readonly editor: Editor) {
    this.world.append(this.below, this.above, this.marks);
    this.element = h("div", { class: "stage", tabindex: 0, "aria-label": "frame and masks" }, this.world);
    this.element.addEventListener("pointerdown", (event) => void this.down(event));
    this.element.addEventListener("pointermove", (event) => this.move(event));
    this.element.addEventListener("pointerup", (event) => void this.up(event));
    this.element.addEventListener("pointercancel", () => this.cancel());
    this.element.addEventListener("pointerleave", () => ((this.hover = null), this.drawMarks()));
    this.element.addEventListener("dblclick", () => this.finishLine());
    this.element.addEventListener("contextmenu", (event) => event.preventDefault());
    this.element.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    new ResizeObserver(() => this.fitted && this.fit()).observe(this.element);
    editor.on("frame", () => this.drawFrame());
    editor.on("masks", () => this.drawMasks());
    editor.on("facts", () => this.drawMasks());
    editor.on("points", () => this.drawMarks());
    editor.on("tool", () => this.cancel());
  }

  /** Take the size of a newly opened video. */
  sized(): void {
    const [width, height] = this.editor.project.size;
    for (const canvas of [this.below, this.above]) {
      canvas.width = width;
      canvas.height = height;
    }
    this.marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.world.style.width = `${width}px`;
    this.world.style.height = `${height}px`;
    this.drawing = new Drawing(this.upper, width, height);
    this.fit();
  }

  fit(): void {
    if (!this.editor.facts) return;
    const [width, height] = this.editor.project.size;
    const room = this.element.getBoundingClientRect();
    if (!room.width || !room.height) return;
    this.scale = Math.min(room.width / width, room.height / height) * 0.97;
    this.x = (room.width - width * this.scale) / 2;
    this.y = (room.height - height * this.scale) / 2;
    this.fitted = true;
    this.place();
  }

  zoom(factor: number, at?: { x: number; y: number }): void {
    const room = this.element.getBoundingClientRect();
    const x = (at?.x ?? room.left + room.width / 2) - room.left;
    const y = (at?.y ?? room.top + room.height / 2) - room.top;
    const scale = Math.max(0.05, Math.min(LARGEST, this.scale * factor));
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
    this.place();
  }

  private place(): void {
    this.world.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.world.classList.toggle("near", this.scale > 3);
    this.drawMarks();
  }

  private at(event: MouseEvent): [number, number] {
    const room = this.element.getBoundingClientRect();
    return [(event.clientX - room.left - this.x) / this.scale, (event.clientY - room.top - this.y) / this.scale];
  }

  private inside([x, y]: [number, number]): boolean {
    const [width, height] = this.editor.project.size;
    return x >= 0 && y >= 0 && x < width && y < height;
  }

  // Drawing.

  private drawFrame(): void {
    const picture = this.editor.picture;
    if (picture) this.lower.drawImage(picture, 0, 0, this.below.width, this.below.height);
  }

  drawMasks(dirty?: Dirty): void {
    if (!this.drawing || !this.editor.facts) return;
    const { editor } = this;
    this.drawing.colours(editor.project.objects, editor.view);
    const onion = editor.onion && editor.index > 0 ? (editor.labelsOf(editor.index - 1) ?? null) : null;
    const labels = this.comparing && editor.before ? editor.before : editor.labels;
    this.drawing.draw(labels, onion, editor.view, dirty);
  }

  private drawMarks(): void {
    const { editor } = this;
    const one = 1 / this.scale;
    const parts: SVGElement[] = [];
    const box = this.band ?? editor.box;
    if (box) {
      const [left, top, right, bottom] = box;
      parts.push(svg("rect", { x: left, y: top, width: right - left, height: bottom - top, class: "box", "stroke-width": 1.5 * one }));
    }
    for (const point of editor.points) {
      parts.push(svg("circle", { cx: point.x, cy: point.y, r: 6 * one, class: point.wanted ? "wanted" : "unwanted", "stroke-width": 2 * one }));
    }
    const path = [...this.line, ...this.trail];
    if (path.length) {
      parts.push(svg("polyline", { points: path.map((p) => p.join(",")).join(" "), class: "line", "stroke-width": 2 * one }));
      const [x, y] = this.line[0] ?? path[0]!;
      parts.push(svg("circle", { cx: x, cy: y, r: 5 * one, class: "start", "stroke-width": 1.5 * one }));
    }
    if (this.hover && (editor.tool === "brush" || editor.tool === "eraser") && !this.space) {
      const [cx, cy] = this.hover;
      parts.push(svg("circle", { cx, cy, r: editor.brush, class: `brush ${editor.tool}`, "stroke-width": 1.5 * one }));
    }
    this.marks.replaceChildren(...parts);
    this.element.dataset.tool = this.space ? "hand" : editor.tool;
  }

  // The hand.

  private async down(event: PointerEvent): Promise<void> {
    this.element.focus({ preventScroll: true });
    const { editor } = this;
    if (!editor.facts || !editor.labels) return;
    if (event.button === 1 || this.space || editor.tool === "hand") {
      this.panning = { x: event.clientX, y: event.clientY };
      this.element.setPointerCapture(event.pointerId);
      return;
    }
    const place = this.at(event);
    this.pressed = { x: event.clientX, y: event.clientY, button: event.button, alt: event.altKey };
    if (editor.tool === "brush" || editor.tool === "eraser") {
      this.element.setPointerCapture(event.pointerId);
      await this.beginStroke(place, this.erases(event));
    } else if (editor.tool === "point" && event.button === 0) this.element.setPointerCapture(event.pointerId);
  }

  private erases(event: MouseEvent): boolean {
    return (this.editor.tool === "eraser") !== (event.altKey || event.button === 2 || (event.buttons & 2) !== 0);
  }

  /** Begin a stroke; what the hand does until the object's mask has come is drawn then. */
  private async beginStroke(place: [number, number], erase: boolean): Promise<void> {
    const { editor } = this;
    this.last = place;
    this.early = [place];
    this.lifted = false;
    editor.stroking = true;
    editor.tell("saving");
    const one = await editor.target();
    const labels = editor.labels;
    const mask = one && labels && (await this.softMask(one.id, labels));
    const early = this.early;
    this.early = null;
    if (!mask || !early || labels !== editor.labels) {
      editor.stroking = false;
      editor.tell("saving");
      return;
    }
    editor.remember();
    const [width, height] = editor.project.size;
    this.painting = new Painting(width, height, labels, mask, one.id, editor.project.objects);
    for (const at of early) this.stroke(at, erase);
    if (this.lifted) this.endStroke();
  }

  /** The object's mask to go on from: as it was painted last, else as the service has it, with its soft edges. */
  private soft: { frame: number; object: number; of: Uint8Array; mask: Uint8Array } | null = null;

  private async softMask(object: number, labels: Uint8Array): Promise<Uint8Array> {
    const { editor } = this;
    if (this.soft && this.soft.frame === editor.index && this.soft.object === object && this.soft.of === labels) return this.soft.mask;
    let mask = maskOf(labels, object);
    if (mask.includes(255) && !editor.saving.waiting) mask = (await editor.attempt(() => editor.api.mask(editor.index, object))) ?? mask;
    return mask;
  }

  private stroke(to: [number, number], erase: boolean): void {
    const dirty = this.painting!.stroke(...this.last, ...to, this.editor.brush, erase);
    this.last = to;
    this.drawMasks(dirty);
  }

  private move(event: PointerEvent): void {
    if (!this.editor.facts) return;
    if (this.panning) {
      this.x += event.clientX - this.panning.x;
      this.y += event.clientY - this.panning.y;
      this.panning = { x: event.clientX, y: event.clientY };
      this.fitted = false;
      this.place();
      return;
    }
    this.hover = this.at(event);
    const { pressed, editor } = this;
    if (this.early && pressed) this.early.push(this.hover);
    else if (this.painting && pressed) {
      for (const one of event.getCoalescedEvents?.() ?? [event]) this.stroke(this.at(one), this.erases(event));
    } else if (pressed && editor.tool === "point" && pressed.button === 0) {
      if (this.band || Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > DRAG) this.band = this.boxOf(pressed, event);
    } else if (this.line.length && editor.tool === "polygon") this.trail = [this.hover];
    else if (this.line.length && editor.tool === "edges") void this.follow(this.hover);
    this.drawMarks();
  }

  private boxOf(from: { x: number; y: number }, event: MouseEvent): Box {
    const [width, height] = this.editor.project.size;
    const room = this.element.getBoundingClientRect();
    const x0 = (from.x - room.left - this.x) / this.scale;
    const y0 = (from.y - room.top - this.y) / this.scale;
    const [x1, y1] = this.at(event);
    const within = (value: number, most: number) => Math.max(0, Math.min(most, Math.round(value)));
    return [within(Math.min(x0, x1), width), within(Math.min(y0, y1), height), within(Math.max(x0, x1), width), within(Math.max(y0, y1), height)];
  }

  private async up(event: PointerEvent): Promise<void> {
    const { pressed, editor } = this;
    this.pressed = null;
    if (this.panning) {
      this.panning = null;
      return;
    }
    if (!pressed) return;
    if (editor.tool === "brush" || editor.tool === "eraser") return this.endStroke();
    const place = this.at(event);
    const away = pressed.alt || pressed.button === 2;
    if (editor.tool === "point" || editor.tool === "fill") {
      const engine = editor.tool === "fill" ? "flood" : "";
      const box = this.band;
      this.band = null;
      if (box && box[2] > box[0] && box[3] > box[1]) await editor.click(null, box, engine);
      else if (this.inside(place)) await editor.click({ x: place[0], y: place[1], wanted: !away }, null, engine);
    } else if (editor.tool === "polygon" || editor.tool === "edges") this.inOrder(() => this.anchor(place, away));
  }

  private endStroke(): void {
    const { painting, editor } = this;
    this.lifted = true;
    if (!painting) return; // its mask is still on the way
    this.painting = null;
    editor.stroking = false;
    this.soft = { frame: editor.index, object: painting.object, of: painting.labels, mask: painting.mask };
    editor.painted(painting.object, painting.mask.slice());
  }

  cancel(): void {
    this.pressed = this.panning = this.band = null;
    this.line = [];
    this.trail = [];
    this.anchors = [];
    if (this.painting) this.endStroke();
    this.drawMarks();
  }

  // Lines: corners by hand, or along edges.

  private async anchor(place: [number, number], erase: boolean): Promise<void> {
    const [width, height] = this.editor.project.size;
    const corner: [number, number] = [Math.max(0, Math.min(width, place[0])), Math.max(0, Math.min(height, place[1]))];
    const first = this.line[0];
    if (first && this.line.length > 2 && Math.hypot(corner[0] - first[0], corner[1] - first[1]) * this.scale < CLOSE) return this.close(erase);
    if (first && this.editor.tool === "edges") await this.follow(corner, true);
    this.anchors.push(this.line.length);
    this.line.push(...(this.editor.tool === "edges" ? this.trail : []), corner);
    this.trail = [];
    this.drawMarks();
  }

  /** One step of a line after the other, also where the service takes its time. */
  private inOrder(step: () => Promise<void>): void {
    this.steps = this.steps.then(step);
  }

  /** Whether a line has been begun. */
  drawn(): boolean {
    return this.line.length > 0;
  }

  /** Take the last corner back. */
  back(): boolean {
    const from = this.anchors.pop();
    if (from === undefined) return false;
    this.line.length = from;
    this.trail = [];
    this.drawMarks();
    return true;
  }

  private async follow(to: [number, number], wait = false): Promise<void> {
    if (this.asking && !wait) return;
    while (this.asking) await new Promise((resolve) => setTimeout(resolve, 10));
    this.asking = true;
    const from = this.line.at(-1);
    const path = from && (await this.editor.attempt(() => this.editor.api.edges(this.editor.index, [...from], [...to])));
    this.asking = false;
    if (!path || from !== this.line.at(-1)) return;
    this.trail = path;
    this.drawMarks();
  }

  finishLine(): void {
    this.inOrder(() => this.close(false));
  }

  private async close(erase: boolean): Promise<void> {
    const { editor } = this;
    if (this.line.length < 3 || !editor.labels) return;
    const line = this.line;
    if (editor.tool === "edges") {
      await this.follow(line[0]!, true);
      line.push(...this.trail);
    }
    const one = await editor.target();
    if (one) {
      editor.remember();
      const [width, height] = editor.project.size;
      const mask = await this.softMask(one.id, editor.labels);
      const painting = new Painting(width, height, editor.labels, mask, one.id, editor.project.objects);
      painting.polygon(line, erase);
      editor.painted(one.id, mask);
      this.drawMasks();
    }
    this.cancel();
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const { editor } = this;
    if ((editor.tool === "brush" || editor.tool === "eraser") && !event.ctrlKey) {
      this.setBrush(editor.brush * Math.exp(-event.deltaY * 0.0012));
    } else this.zoom(Math.exp(-event.deltaY * 0.0015), { x: event.clientX, y: event.clientY });
  }

  setBrush(radius: number): void {
    this.editor.brush = Math.max(1, Math.min(250, radius));
    this.editor.tell("tool");
  }
}
