// A closed line around an area: corners by hand, or along edges between them.

import type { Editor } from "./editor";
import type { Painting } from "./painting";

type Place = [number, number];
const CLOSE = 9; // pixels of the screen within which a click closes a line

export class Lines {
  line: Place[] = [];
  trail: Place[] = [];
  private anchors: number[] = [];
  private asking: Promise<void> | null = null;
  private steps: Promise<void> = Promise.resolve();

  /**
   * @param scale pixels of the screen for one of the clip
   * @param draw shows the line
   * @param open gives the chosen object's mask on the frame shown, to be painted on
   */
  constructor(
    private readonly editor: Editor,
    private readonly scale: () => number,
    private readonly draw: () => void,
    private readonly open: () => Promise<Painting | null>,
  ) {}

  get drawn(): boolean {
    return this.line.length > 0;
  }

  cancel(): void {
    this.line = [];
    this.trail = [];
    this.anchors = [];
  }

  /** Take the last corner back. */
  back(): boolean {
    const from = this.anchors.pop();
    if (from === undefined) return false;
    this.line.length = from;
    this.trail = [];
    this.draw();
    return true;
  }

  /** Show where the line would go on to. */
  hover(to: Place): void {
    if (!this.drawn) return;
    if (this.editor.tool === "polygon") this.trail = [to];
    else if (!this.asking) void this.follow(to);
  }

  click(place: Place, erase: boolean): void {
    this.inOrder(() => this.anchor(place, erase));
  }

  finish(): void {
    this.inOrder(() => this.close(false));
  }

  /** One step of a line after the other, also where the service takes its time. */
  private inOrder(step: () => Promise<void>): void {
    this.steps = this.steps.then(step);
  }

  private async anchor(place: Place, erase: boolean): Promise<void> {
    const [width, height] = this.editor.project.size;
    const corner: Place = [Math.max(0, Math.min(width, place[0])), Math.max(0, Math.min(height, place[1]))];
    const first = this.line[0];
    if (first && this.line.length > 2 && Math.hypot(corner[0] - first[0], corner[1] - first[1]) * this.scale() < CLOSE) return this.close(erase);
    if (first && this.editor.tool === "edges") await this.follow(corner);
    this.anchors.push(this.line.length);
    this.line.push(...(this.editor.tool === "edges" ? this.trail : []), corner);
    this.trail = [];
    this.draw();
  }

  private async follow(to: Place): Promise<void> {
    while (this.asking) await this.asking;
    this.asking = this.ask(to).finally(() => (this.asking = null));
    await this.asking;
  }

  private async ask(to: Place): Promise<void> {
    const { editor } = this;
    const from = this.line.at(-1);
    const path = from && (await editor.attempt(() => editor.api.edges(editor.index, [...from], [...to])));
    if (!path || from !== this.line.at(-1)) return;
    this.trail = path;
    this.draw();
  }

  private async close(erase: boolean): Promise<void> {
    const { editor, line } = this;
    if (line.length < 3 || !editor.ready) return;
    if (editor.tool === "edges") {
      await this.follow(line[0]!);
      line.push(...this.trail);
    }
    editor.remember();
    const painting = await this.open();
    if (painting) {
      painting.polygon(line, erase);
      editor.painted(painting);
      editor.tell("masks");
    }
    this.cancel();
    this.draw();
  }
}
