// Pictures and labels of frames: fetched once, ahead where that helps, and kept within bounds.

import type { ProjectApi } from "./api";
import { Keep } from "./keep";

const FRAME_BYTES = 160 << 20;
const LABEL_BYTES = 64 << 20;
const SIDES = [640, 960, 1280, 1920, 2560, 3840];

export class Pictures {
  /** Longer side of the pictures that are asked for; null for the clip's own. */
  side: number | null = null;
  /** What is on the screen, which is not let go of. */
  shown: ImageBitmap | null = null;
  private readonly frames = new Keep<ImageBitmap>(FRAME_BYTES, (bitmap) => bitmap !== this.shown && bitmap.close());
  private readonly known = new Keep<Uint8Array>(LABEL_BYTES);
  private readonly asked = new Map<number, Promise<void>>();
  private readonly asking = new Map<number, Promise<void>>();

  constructor(
    private readonly api: ProjectApi,
    private readonly size: [number, number],
  ) {}

  /** The side that is enough for pictures shown at a scale, in pixels of the screen by pixels of the clip. */
  sideAt(scale: number): number | null {
    const longer = Math.max(...this.size);
    const side = SIDES.find((one) => one >= 0.95 * longer * scale);
    return side === undefined || side >= longer ? null : side;
  }

  /** Ask for pictures of another size from now on; true if it is another. */
  resize(side: number | null): boolean {
    if (side === this.side) return false;
    this.side = side;
    this.frames.clear();
    this.asked.clear();
    return true;
  }

  clear(): void {
    this.frames.clear();
    this.known.clear();
    this.asked.clear();
    this.asking.clear();
  }

  has(index: number): boolean {
    return this.frames.has(index) && this.known.has(index);
  }

  frame(index: number): ImageBitmap | undefined {
    return this.frames.get(index);
  }

  labels(index: number): Uint8Array | undefined {
    return this.known.get(index);
  }

  put(index: number, labels: Uint8Array): void {
    this.known.set(index, labels, labels.length);
    this.asking.delete(index);
  }

  /** Forget the labels of a frame, or of all. */
  drop(index?: number): void {
    if (index === undefined) {
      this.known.clear();
      this.asking.clear();
    } else {
      this.known.drop(index);
      this.asking.delete(index);
    }
  }

  async both(index: number, soon = true): Promise<void> {
    await Promise.all([this.needFrame(index, soon), this.needLabels(index, soon)]);
  }

  /** Fetch a frame that may be wanted next; that it cannot be had is said when it is. */
  ahead(index: number): void {
    this.both(index, false).catch(() => undefined);
  }

  private needFrame(index: number, soon: boolean): Promise<void> {
    if (this.frames.has(index)) return Promise.resolve();
    const waiting = this.asked.get(index);
    if (waiting) return waiting;
    const side = this.side;
    const asking: Promise<void> = this.api
      .frame(index, side, soon)
      .then((bitmap) => {
        if (side === this.side) this.frames.set(index, bitmap, bitmap.width * bitmap.height * 4);
        else bitmap.close();
      })
      .finally(() => this.asked.get(index) === asking && this.asked.delete(index));
    this.asked.set(index, asking);
    return asking;
  }

  needLabels(index: number, soon = true): Promise<void> {
    if (this.known.has(index)) return Promise.resolve();
    const waiting = this.asking.get(index);
    if (waiting) return waiting;
    const asking: Promise<void> = this.api
      .labels(index, soon)
      .then((labels) => {
        // What was painted meanwhile, or changed, is newer.
        if (this.asking.get(index) !== asking) return;
        labels ??= new Uint8Array(this.size[0] * this.size[1]);
        this.known.set(index, labels, labels.length);
      })
      .finally(() => this.asking.get(index) === asking && this.asking.delete(index));
    this.asking.set(index, asking);
    return asking;
  }
}
