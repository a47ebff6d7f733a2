// The whole clip in a strip: a row for each object, and where it is sure, unsure, absent or given.

import { h } from "./dom";
import type { Editor } from "./editor";

const ROW = 15;
const RULER = 16;
const NAMES = 104;
const MOST_ROWS = 8;

export class Timeline {
  readonly element: HTMLElement;
  private readonly canvas = h("canvas", { class: "strip", tabindex: 0, role: "slider", "aria-label": "frame" });
  private readonly context = this.canvas.getContext("2d")!;
  private dragging = false;
  private waiting = false;

  constructor(private readonly editor: Editor) {
    this.element = h("div", { class: "timeline" }, this.canvas);
    this.canvas.addEventListener("pointerdown", (event) => {
      this.dragging = true;
      this.canvas.setPointerCapture(event.pointerId);
      this.seek(event);
    });
    this.canvas.addEventListener("pointermove", (event) => this.dragging && this.seek(event));
    this.canvas.addEventListener("pointerup", () => (this.dragging = false));
    for (const signal of ["facts", "frame", "task"] as const) editor.on(signal, () => this.soon());
    new ResizeObserver(() => this.soon()).observe(this.element);
  }

  private soon(): void {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      if (this.editor.facts) this.draw();
    });
  }

  private seek(event: PointerEvent): void {
    if (!this.editor.facts) return;
    const room = this.canvas.getBoundingClientRect();
    const share = (event.clientX - room.left - NAMES) / (room.width - NAMES);
    this.editor.follow = false;
    void this.editor.show(Math.floor(share * this.editor.project.frames));
  }

  draw(): void {
    const { objects, frames, timeline, stale } = this.editor.project;
    const rows = objects.slice(0, MOST_ROWS);
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
    const height = RULER + ROW * Math.max(1, rows.length) + 4;
    const width = this.element.clientWidth;
    const dense = devicePixelRatio;
    if (this.canvas.width !== Math.round(width * dense) || this.canvas.height !== Math.round(height * dense)) {
      this.canvas.width = Math.round(width * dense);
      this.canvas.height = Math.round(height * dense);
      this.canvas.style.height = `${height}px`;
    }
    const { context } = this;
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    const room = width - NAMES;
    const x = (frame: number) => NAMES + (frame / frames) * room;
    this.ruler(frames, room, x, colour("quiet"));
    context.fillStyle = colour("field");
    context.fillRect(NAMES, RULER, room, height - RULER - 2);
    rows.forEach((one, row) => this.row(timeline[one.id] ?? "", one.colour, RULER + row * ROW, room, frames, colour("unsure")));
    rows.forEach((one, row) => {
      context.fillStyle = one.id === this.editor.selected ? colour("text") : colour("quiet");
      context.fillText(one.name.slice(0, 16), 6, RULER + row * ROW + ROW / 2, NAMES - 12);
    });
    if (stale !== null && objects.length) {
      context.fillStyle = colour("stale");
      context.fillRect(x(stale), height - 4, width - x(stale), 2);
    }
    if (this.editor.progress?.kind === "run") {
      context.fillStyle = colour("accent");
      context.fillRect(x(this.editor.progress.at), RULER - 3, Math.max(2, room / frames), 3);
    }
    context.fillStyle = colour("playhead");
    const at = x(this.editor.index) + room / frames / 2;
    context.fillRect(at - 1, RULER - 3, 2, height - RULER + 3); // its head stands below the numbers
    context.beginPath();
    context.moveTo(at - 5, RULER - 6);
    context.lineTo(at + 5, RULER - 6);
    context.lineTo(at, RULER + 2);
    context.fill();
    this.canvas.setAttribute("aria-valuemax", String(frames - 1));
    this.canvas.setAttribute("aria-valuenow", String(this.editor.index));
  }

  private ruler(frames: number, room: number, x: (frame: number) => number, quiet: string): void {
    const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];
    const step = steps.find((n) => (n / frames) * room > 48) ?? 20000;
    this.context.fillStyle = quiet;
    for (let frame = 0; frame < frames; frame += step) {
      this.context.fillRect(x(frame), RULER - 4, 1, 4);
      this.context.fillText(String(frame), x(frame) + 3, 7);
    }
  }

  /** One object's row; where a pixel stands for several frames, what most needs a look is shown. */
  private row(codes: string, colour: string, top: number, room: number, frames: number, unsure: string): void {
    const columns = Math.min(frames, Math.max(1, Math.floor(room)));
    const wide = room / columns;
    const { context } = this;
    for (let column = 0; column < columns; column++) {
      const part = codes.slice(Math.floor((column * frames) / columns), Math.max(Math.floor(((column + 1) * frames) / columns), Math.floor((column * frames) / columns) + 1));
      const code = ["g", "u", "a", "s"].find((one) => part.includes(one));
      if (!code) continue;
      const left = NAMES + column * wide;
      context.globalAlpha = code === "s" ? 0.85 : 1;
      context.fillStyle = code === "u" ? unsure : colour;
      if (code === "a") context.fillRect(left, top + ROW / 2 - 0.5, wide + 0.3, 1);
      else context.fillRect(left, top + (code === "g" ? 1 : 3), wide + 0.3, code === "g" ? ROW - 2 : ROW - 6);
      if (code === "g") {
        context.fillStyle = "#fff";
        context.fillRect(left + wide / 2 - 1, top + ROW / 2 - 2, Math.max(2, Math.min(4, wide)), 4);
      }
    }
    context.globalAlpha = 1;
  }
}
