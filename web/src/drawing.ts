// Labels as pixels over the frame.

import type { View } from "./editor";
import type { Dirty } from "./painting";
import type { Tracked } from "./types";

const ALPHA = { overlay: 115, outline: 0, masks: 255 } as const;
const BACKGROUNDS = { black: 0xff000000, white: 0xffffffff, green: 0xff3ec300 } as const;
const OUTLINE = 235;
const THICK = 2; // pixels of lines that stand alone, without an area
const DASH = [0xe6ffffff, 0xe6000000] as const; // of the frame before: no object has both

function little(colour: string, alpha: number): number {
  const value = parseInt(colour.slice(1), 16);
  return ((alpha << 24) | ((value & 255) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
}

/** Lighter, so that a line stands out on its own area. */
function bright(colour: string): string {
  const value = parseInt(colour.slice(1), 16);
  const part = (shift: number) => Math.min(255, Math.round(((value >> shift) & 255) * 0.5 + 127));
  return `#${((part(16) << 16) | (part(8) << 8) | part(0)).toString(16).padStart(6, "0")}`;
}

/** Turns labels into the pixels of the upper canvas: each, or every second or further where the picture is shown small. */
export class Drawing {
  private readonly image: ImageData;
  private readonly pixels: Uint32Array;
  private readonly inside = new Uint32Array(256);
  private readonly edge = new Uint32Array(256);
  private readonly shown = new Uint8Array(256);
  /** Size of the canvas. */
  readonly across: number;
  readonly down: number;

  /**
   * @param width of the clip
   * @param height of the clip
   * @param step pixels of the clip for one of the canvas, in both directions
   */
  constructor(
    private readonly context: CanvasRenderingContext2D,
    readonly width: number,
    readonly height: number,
    readonly step: number,
  ) {
    this.across = Math.ceil(width / step);
    this.down = Math.ceil(height / step);
    context.canvas.width = this.across;
    context.canvas.height = this.down;
    this.image = context.createImageData(this.across, this.down);
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  colours(objects: Tracked[], view: View): void {
    this.inside.fill(0);
    this.edge.fill(0);
    this.shown.fill(0);
    for (const one of objects) {
      if (one.hidden) continue;
      this.shown[one.id] = 1;
      const alpha = view in ALPHA ? ALPHA[view as keyof typeof ALPHA] : 0;
      this.inside[one.id] = little(one.colour, alpha);
      this.edge[one.id] = view === "overlay" ? little(bright(one.colour), OUTLINE) : little(one.colour, 255);
    }
  }

  draw(labels: Uint8Array | null, onion: Uint8Array | null, view: View, dirty?: Dirty): void {
    const { pixels, width, inside, edge, shown, step, across, down } = this;
    const area = dirty ?? { left: 0, top: 0, right: width, bottom: this.height };
    const left = Math.max(0, Math.floor(area.left / step) - THICK);
    const top = Math.max(0, Math.floor(area.top / step) - THICK);
    const right = Math.min(across, Math.ceil(area.right / step) + THICK);
    const bottom = Math.min(down, Math.ceil(area.bottom / step) + THICK);
    const lines = view === "overlay" || view === "outline";
    const cut = view === "checkers" || view in BACKGROUNDS || view === "masks";
    for (let y = top; y < bottom; y++) {
      for (let x = left, i = (y * width + left) * step, at = y * across + left; x < right; x++, i += step, at++) {
        const label = labels ? labels[i]! : 0;
        let value = 0;
        if (shown[label]) {
          value = inside[label]!;
          if (lines && (this.border(labels!, i, x, y, label) || (view === "outline" && this.border(labels!, i, x, y, label, THICK)))) value = edge[label]!;
        } else if (cut) value = view === "checkers" ? this.checker(x * step, y * step) : view === "masks" ? 0xff000000 : BACKGROUNDS[view as keyof typeof BACKGROUNDS];
        if (onion && lines) {
          const then = onion[i]!;
          if (shown[then] && this.border(onion, i, x, y, then)) value = DASH[((x + y) >> 2) & 1]!;
        }
        pixels[at] = value;
      }
    }
    this.context.putImageData(this.image, 0, 0, left, top, Math.max(0, right - left), Math.max(0, bottom - top));
  }

  /** Whether another label is so far from a pixel, in rows or columns; what is beyond the picture is none. */
  private border(labels: Uint8Array, i: number, x: number, y: number, label: number, far = 1): boolean {
    const side = far * this.step;
    const row = side * this.width;
    return (
      (x >= far && labels[i - side] !== label) ||
      (x < this.across - far && labels[i + side] !== label) ||
      (y >= far && labels[i - row] !== label) ||
      (y < this.down - far && labels[i + row] !== label)
    );
  }

  private checker(x: number, y: number): number {
    return ((x >> 3) + (y >> 3)) & 1 ? 0xff9a9a9a : 0xff666666;
  }
}
