// The two canvases, one on the other, and the hand that moves, points and paints on them.

import { Brush } from "./brush";
import { Camera } from "./camera";
import { h, svg, toast } from "./dom";
import { Drawing } from "./drawing";
import type { Editor } from "./editor";
import { Lines } from "./lines";
import type { Dirty } from "./painting";
import type { Box } from "./types";

const DRAG = 5; // pixels of the screen from which a press is a drag

export class Stage {
  readonly element: HTMLElement;
  private readonly world = h("div", { class: "world" });
  private readonly below = h("canvas", { class: "frame" });
  private readonly above = h("canvas", { class: "masks" });
  private readonly marks = svg("svg", { class: "marks" });
  private readonly lower = this.below.getContext("2d", { alpha: false })!;
  private readonly upper = this.above.getContext("2d")!;
  private drawing: Drawing | null = null;
  private readonly camera: Camera;
  readonly lines: Lines;
  private coloured = "";
  private queued: { frame: boolean; masks: boolean; dirty: Dirty | undefined } | null = null;
  private panning: { x: number; y: number } | null = null;
  private pressed: { x: number; y: number; button: number; alt: boolean } | null = null;
  private band: Box | null = null;
  private readonly brush: Brush;
  private hover: [number, number] | null = null;
  space = false;
  private comparing = false;

  constructor(private readonly editor: Editor) {
    this.world.append(this.below, this.above, this.marks);
    this.element = h("div", { class: "stage", tabindex: 0, "aria-label": "frame and masks" }, this.world);
    this.camera = new Camera(this.element);
    this.brush = new Brush(editor, (dirty) => this.drawMasks(dirty));
    editor.leaving = () => this.cancel();
    this.lines = new Lines(editor, () => this.camera.scale, () => this.drawMarks(), () => this.brush.open());
    this.element.addEventListener("pointerdown", (event) => void this.down(event));
    this.element.addEventListener("pointermove", (event) => this.move(event));
    this.element.addEventListener("pointerup", (event) => void this.up(event));
    this.element.addEventListener("pointercancel", () => this.cancel());
    this.element.addEventListener("pointerleave", () => ((this.hover = null), this.drawMarks()));
    this.element.addEventListener("dblclick", () => this.lines.finish());
    this.element.addEventListener("contextmenu", (event) => event.preventDefault());
    this.element.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    new ResizeObserver(() => this.camera.fitted && this.fit()).observe(this.element);
    editor.on("frame", () => (this.queue().frame = true));
    editor.on("masks", () => this.drawMasks());
    editor.on("facts", () => this.recolour());
    editor.on("points", () => this.drawMarks());
    editor.on("tool", () => this.cancel());
  }

  /** Take the size of a newly opened video. */
  sized(): void {
    const [width, height] = this.editor.project.size;
    this.drawing = null;
    this.lower.fillRect(0, 0, this.below.width, this.below.height);
    this.marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
    for (const element of [this.world, this.below]) {
      element.style.width = `${width}px`;
      element.style.height = `${height}px`;
    }
    this.fit();
  }

  fit(): void {
    if (this.editor.facts && this.camera.fit(...this.editor.project.size)) this.place();
  }

  zoom(factor: number, at?: { x: number; y: number }): void {
    this.camera.zoom(factor, at);
    this.place();
  }

  private place(): void {
    const { editor, camera } = this;
    if (!editor.facts) return;
    this.world.style.transform = camera.transform;
    this.world.classList.toggle("near", camera.scale > 3);
    this.drawMarks();
    this.refine();
    editor.fitted = editor.pictures.sideAt(camera.whole(...editor.project.size) * devicePixelRatio);
    void editor.scaled(camera.scale * devicePixelRatio);
  }

  /** Draw masks as finely as the screen shows them, no finer: of a large clip that is a quarter of the work. */
  private refine(): void {
    const [width, height] = this.editor.project.size;
    const step = Math.max(1, Math.floor(1 / (this.camera.scale * devicePixelRatio)));
    if (this.drawing?.step === step) return;
    this.drawing = new Drawing(this.upper, width, height, step);
    this.above.style.width = `${this.drawing.across * step}px`;
    this.above.style.height = `${this.drawing.down * step}px`;
    this.drawMasks();
  }

  private at(event: MouseEvent): [number, number] {
    return this.camera.at(event);
  }

  private inside([x, y]: [number, number]): boolean {
    const [width, height] = this.editor.project.size;
    return x >= 0 && y >= 0 && x < width && y < height;
  }

  // Drawing.

  private drawFrame(): void {
    const picture = this.editor.pictures?.shown;
    if (!picture) return;
    if (this.below.width !== picture.width || this.below.height !== picture.height) {
      this.below.width = picture.width;
      this.below.height = picture.height;
    }
    this.lower.drawImage(picture, 0, 0);
  }

  /** Show what was there before the last change of the frame, or no longer. */
  compare(before: boolean): void {
    if (this.comparing === before) return;
    this.comparing = before;
    this.drawMasks();
  }

  /** Draw masks anew if an object looks different now. */
  private recolour(): void {
    const look = JSON.stringify(this.editor.project.objects.map((one) => [one.id, one.colour, one.hidden]));
    if (look === this.coloured) return;
    this.coloured = look;
    this.drawMasks();
  }

  /** Draw masks before the next picture of the screen: all, or the part that a brush has changed. */
  drawMasks(dirty?: Dirty): void {
    const queued = this.queue();
    queued.dirty = dirty && queued.masks ? queued.dirty && joined(dirty, queued.dirty) : dirty;
    queued.masks = true;
  }

  private queue(): NonNullable<Stage["queued"]> {
    if (!this.queued) requestAnimationFrame(() => this.drawQueued());
    return (this.queued ??= { frame: false, masks: false, dirty: undefined });
  }

  private drawQueued(): void {
    const { editor, queued } = this;
    this.queued = null;
    if (queued?.frame) this.drawFrame();
    if (!queued?.masks || !this.drawing || !editor.facts) return;
    this.drawing.colours(editor.project.objects, editor.view);
    const onion = editor.onion && editor.index > 0 ? (editor.pictures.labels(editor.index - 1) ?? null) : null;
    const labels = this.comparing && editor.before ? editor.before : editor.labels;
    this.drawing.draw(labels, onion, editor.view, queued.dirty);
  }

  private drawMarks(): void {
    const { editor } = this;
    const one = 1 / this.camera.scale;
    const parts: SVGElement[] = [];
    const box = this.band ?? editor.box;
    if (box) {
      const [left, top, right, bottom] = box;
      parts.push(svg("rect", { x: left, y: top, width: right - left, height: bottom - top, class: "box", "stroke-width": 1.5 * one }));
    }
    for (const point of editor.points) {
      parts.push(svg("circle", { cx: point.x, cy: point.y, r: 6 * one, class: point.wanted ? "wanted" : "unwanted", "stroke-width": 2 * one }));
    }
    const { line, trail } = this.lines;
    const path = [...line, ...trail];
    if (path.length) {
      parts.push(svg("polyline", { points: path.map((p) => p.join(",")).join(" "), class: "line", "stroke-width": 2 * one }));
      const [x, y] = line[0] ?? path[0]!;
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
    if (!editor.facts) return;
    if (event.button === 1 || this.space || editor.tool === "hand") {
      this.panning = { x: event.clientX, y: event.clientY };
      this.element.setPointerCapture(event.pointerId);
      return;
    }
    if (!editor.ready) return toast(`Frame ${editor.index} has not come yet.`, "wrong");
    const place = this.at(event);
    this.pressed = { x: event.clientX, y: event.clientY, button: event.button, alt: event.altKey };
    if (editor.tool === "brush" || editor.tool === "eraser") {
      this.element.setPointerCapture(event.pointerId);
      await this.brush.begin(place, this.erases(event));
    } else if (editor.tool === "point" && event.button === 0) this.element.setPointerCapture(event.pointerId);
  }

  private erases(event: MouseEvent): boolean {
    return (this.editor.tool === "eraser") !== (event.altKey || event.button === 2 || (event.buttons & 2) !== 0);
  }

  private move(event: PointerEvent): void {
    if (!this.editor.facts) return;
    if (this.panning) {
      this.camera.pan(event.clientX - this.panning.x, event.clientY - this.panning.y);
      this.panning = { x: event.clientX, y: event.clientY };
      this.place();
      return;
    }
    this.hover = this.at(event);
    const { pressed, editor } = this;
    if (this.brush.down && pressed) {
      for (const one of event.getCoalescedEvents?.() ?? [event]) this.brush.move(this.at(one), this.erases(event));
    } else if (pressed && editor.tool === "point" && pressed.button === 0) {
      if (this.band || Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > DRAG) this.band = this.boxOf(pressed, event);
    } else this.lines.hover(this.hover);
    this.drawMarks();
  }

  private boxOf(from: { x: number; y: number }, event: MouseEvent): Box {
    const [width, height] = this.editor.project.size;
    const [x0, y0] = this.camera.at({ clientX: from.x, clientY: from.y });
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
    if (editor.tool === "brush" || editor.tool === "eraser") return this.brush.end();
    const place = this.at(event);
    const away = pressed.alt || pressed.button === 2;
    if (editor.tool === "point" || editor.tool === "fill") {
      const engine = editor.tool === "fill" ? "flood" : "";
      const box = this.band;
      this.band = null;
      if (box && box[2] > box[0] && box[3] > box[1]) await editor.click(null, box, engine);
      else if (this.inside(place)) await editor.click({ x: place[0], y: place[1], wanted: !away }, null, engine);
    } else if (editor.tool === "polygon" || editor.tool === "edges") this.lines.click(place, away);
  }

  cancel(): void {
    this.pressed = this.panning = this.band = null;
    this.lines.cancel();
    if (this.brush.down) this.brush.end();
    this.drawMarks();
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

function joined(one: Dirty, other: Dirty): Dirty {
  return {
    left: Math.min(one.left, other.left),
    top: Math.min(one.top, other.top),
    right: Math.max(one.right, other.right),
    bottom: Math.max(one.bottom, other.bottom),
  };
}
