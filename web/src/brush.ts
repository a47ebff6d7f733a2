// The brush in the hand: strokes on the frame that they were begun on, whatever is shown meanwhile.

import type { Editor } from "./editor";
import { maskOf, Painting, type Dirty } from "./painting";

type Place = [number, number];

export class Brush {
  private painting: Painting | null = null;
  private early: Place[] | null = null;
  private lifted = false;
  private last: Place = [0, 0];
  /** The mask that was painted last, with its soft edges, and the labels that it belongs to. */
  private soft: { frame: number; object: number; of: Uint8Array; mask: Uint8Array } | null = null;

  constructor(
    private readonly editor: Editor,
    private readonly changed: (dirty?: Dirty) => void,
  ) {}

  get down(): boolean {
    return this.painting !== null || this.early !== null;
  }

  /** An object's mask on the frame that is shown now, to be painted on; null if there is none to paint on. */
  async open(): Promise<Painting | null> {
    const { editor } = this;
    const frame = editor.index;
    const one = await editor.target();
    let { labels } = editor;
    if (!one || !labels || frame !== editor.index) return null;
    const mask = await this.mask(frame, one.id, labels);
    if (frame === editor.index && editor.labels) labels = editor.labels; // they may have been fetched again
    const [width, height] = editor.project.size;
    return new Painting(frame, width, height, labels, mask, one.id, editor.project.objects);
  }

  /** Begin a stroke; what the hand does until the object's mask has come is drawn then. */
  async begin(place: Place, erase: boolean): Promise<void> {
    const { editor } = this;
    this.last = place;
    this.early = [place];
    this.lifted = false;
    editor.stroking = true;
    editor.tell("saving");
    editor.remember();
    const painting = await this.open();
    const early = this.early;
    this.early = null;
    if (!painting || !early) {
      editor.stroking = false;
      editor.tell("saving");
      return;
    }
    this.painting = painting;
    for (const at of early) this.move(at, erase);
    if (this.lifted) this.end();
  }

  move(to: Place, erase: boolean): void {
    if (this.early) this.early.push(to);
    if (!this.painting) return;
    const dirty = this.painting.stroke(...this.last, ...to, this.editor.brush, erase);
    this.last = to;
    if (this.painting.frame === this.editor.index) this.changed(dirty);
  }

  end(): void {
    const { painting, editor } = this;
    this.lifted = true;
    if (!painting) return; // its mask is still on the way
    this.painting = null;
    editor.stroking = false;
    this.soft = { frame: painting.frame, object: painting.object, of: painting.labels, mask: painting.mask };
    editor.painted(painting);
  }

  private async mask(frame: number, object: number, labels: Uint8Array): Promise<Uint8Array> {
    const { editor, soft } = this;
    if (soft && soft.frame === frame && soft.object === object && soft.of === labels) return soft.mask;
    const mask = maskOf(labels, object);
    if (!mask.includes(255) || editor.saving.waiting) return mask;
    return (await editor.attempt(() => editor.api.mask(frame, object))) ?? mask;
  }
}
