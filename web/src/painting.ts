// The brush: soft-edged strokes into one object's mask, and the labels that follow from it.

import type { Tracked } from "./types";

export interface Dirty {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** One object's mask while it is painted: 0 to 255 a pixel, beside the labels of the frame. */
export class Painting {
  private readonly locked = new Uint8Array(256);

  constructor(
    readonly frame: number,
    readonly width: number,
    readonly height: number,
    readonly labels: Uint8Array,
    readonly mask: Uint8Array,
    readonly object: number,
    objects: Tracked[],
  ) {
    for (const one of objects) if (one.locked && one.id !== object) this.locked[one.id] = 1;
  }

  /** A line from one place to another, as a round brush draws it; the edge falls off over one pixel. */
  stroke(x0: number, y0: number, x1: number, y1: number, radius: number, erase: boolean): Dirty {
    const left = Math.max(0, Math.floor(Math.min(x0, x1) - radius - 1));
    const top = Math.max(0, Math.floor(Math.min(y0, y1) - radius - 1));
    const right = Math.min(this.width, Math.ceil(Math.max(x0, x1) + radius + 2));
    const bottom = Math.min(this.height, Math.ceil(Math.max(y0, y1) + radius + 2));
    const dx = x1 - x0;
    const dy = y1 - y0;
    const length = dx * dx + dy * dy;
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) {
        // From the pixel's middle to the nearest place of the line.
        const px = x + 0.5 - x0;
        const py = y + 0.5 - y0;
        const t = length ? Math.max(0, Math.min(1, (px * dx + py * dy) / length)) : 0;
        const ax = px - t * dx;
        const ay = py - t * dy;
        const distance = Math.sqrt(ax * ax + ay * ay); // Math.hypot takes ten times as long
        const cover = Math.max(0, Math.min(1, radius - distance + 0.5));
        if (cover > 0) this.put(y * this.width + x, Math.round(cover * 255), erase);
      }
    }
    return { left, top, right, bottom };
  }

  /** All pixels inside a closed line. */
  polygon(corners: [number, number][], erase: boolean): Dirty {
    const canvas = new OffscreenCanvas(this.width, this.height);
    const context = canvas.getContext("2d", { willReadFrequently: true })!;
    context.beginPath();
    for (const [x, y] of corners) context.lineTo(x, y);
    context.closePath();
    context.fill();
    const alpha = context.getImageData(0, 0, this.width, this.height).data;
    for (let i = 0; i < this.labels.length; i++) {
      const cover = alpha[4 * i + 3]!;
      if (cover) this.put(i, cover, erase);
    }
    return { left: 0, top: 0, right: this.width, bottom: this.height };
  }

  private put(i: number, cover: number, erase: boolean): void {
    const label = this.labels[i]!;
    if (this.locked[label]) return;
    const value = erase ? Math.min(this.mask[i]!, 255 - cover) : Math.max(this.mask[i]!, cover);
    this.mask[i] = value;
    if (value > 127) this.labels[i] = this.object;
    else if (label === this.object) this.labels[i] = 0;
  }
}

/** The mask of one object, whole, from labels. */
export function maskOf(labels: Uint8Array, object: number): Uint8Array {
  const mask = new Uint8Array(labels.length);
  for (let i = 0; i < labels.length; i++) if (labels[i] === object) mask[i] = 255;
  return mask;
}
