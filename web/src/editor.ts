// What the page holds: the project, the frame that is shown, its masks, and every change to them.

import { GoneError, PAGE, ProjectApi, RefusedError } from "./api";
import { toast } from "./dom";
import type { Painting } from "./painting";
import { Pictures } from "./pictures";
import { Runs, type Progress } from "./runs";
import { Saving } from "./saving";
import type { Box, Click, Direction, Facts, ServiceEvent, Tracked } from "./types";

export type View = "overlay" | "outline" | "checkers" | "black" | "white" | "green" | "masks";
export type Tool = "point" | "brush" | "eraser" | "polygon" | "edges" | "fill" | "hand";
export type Signal = "facts" | "frame" | "masks" | "tool" | "task" | "saving" | "points";

const SETTLED = 40; // milliseconds on a frame from which it is looked at, rather than passed on the way
const AGAIN = 1000; // milliseconds from a fetch that did not reach the service to the next
const REFRESH = 120; // milliseconds that changes may wait to be shown in lists

export class Editor {
  facts: Facts | null = null;
  index = 0;
  selected: number | null = null;
  tool: Tool = "point";
  /** What answers clicks; the service's first unless another is chosen. */
  engine = "";
  view: View = "overlay";
  brush = 18;
  onion = false;
  follow = true;
  points: Click[] = [];
  box: Box | null = null;
  confidence: number | null = null;
  labels: Uint8Array | null = null;
  before: Uint8Array | null = null;
  connected = true;
  clicking = false;
  stroking = false;
  wrong = "";
  /** Called before another frame is shown: what the hand has begun ends. */
  leaving: () => void = () => undefined;
  /** Reasons that there are to look at a frame, in the order of their bits. */
  known: string[] = [];
  /** Longer side of pictures when the whole frame is in view. */
  fitted: number | null = null;
  api!: ProjectApi;
  pictures!: Pictures;
  readonly runs = new Runs(this);
  readonly saving = new Saving(
    () => this.api,
    (_, wrong) => {
      this.wrong = wrong ?? "";
      this.tell("saving");
    },
  );
  private shown = -1;
  private talking = false;
  private readonly listeners = new Map<Signal, (() => void)[]>();
  private refreshing: Promise<void> | null = null;
  private again = false;
  private later = 0;
  private showing: Promise<void> | null = null;
  private settling = 0;

  on(signal: Signal, act: () => void): void {
    this.listeners.set(signal, [...(this.listeners.get(signal) ?? []), act]);
  }

  tell(...signals: Signal[]): void {
    for (const signal of signals) for (const act of this.listeners.get(signal) ?? []) act();
  }

  /** Do something with the service, and say what is wrong if it refuses. */
  async attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof RefusedError || error instanceof GoneError) toast(error.message, "wrong");
      else throw error;
      return undefined;
    }
  }

  get project(): Facts {
    return this.facts!;
  }

  /** Whether what is on the screen is the frame that the page is at, so that the hand may work on it. */
  get ready(): boolean {
    return this.facts !== null && this.labels !== null && this.shown === this.index;
  }

  get object(): Tracked | undefined {
    return this.facts?.objects.find((one) => one.id === this.selected);
  }

  get progress(): Progress | null {
    return this.runs.progress;
  }

  async open(key: string, index = 0): Promise<void> {
    this.api = new ProjectApi(key);
    const facts = await this.api.facts();
    this.pictures?.clear();
    this.pictures = new Pictures(this.api, facts.size);
    this.labels = this.before = null;
    this.shown = -1;
    this.facts = facts;
    this.runs.begun(facts.task);
    this.selected = facts.objects[0]?.id ?? null;
    this.index = Math.min(index, facts.frames - 1);
    this.tell("facts", "tool", "task");
  }

  /** Fetch what changed; calls that come while it is on its way share the next fetch. */
  refresh(): Promise<void> {
    if (this.refreshing) {
      this.again = true;
      return this.refreshing;
    }
    this.refreshing = (async () => {
      do {
        this.again = false;
        this.facts = await this.api.facts();
      } while (this.again);
      if (!this.object) {
        this.selected = this.facts!.objects.at(-1)?.id ?? null;
        this.forgetPoints();
      }
      this.tell("facts");
    })().finally(() => (this.refreshing = null));
    return this.refreshing;
  }

  /** Refresh when the hand rests. */
  private refreshSoon(): void {
    clearTimeout(this.later);
    this.later = setTimeout(() => (this.stroking ? this.refreshSoon() : void this.attempt(() => this.refresh())), REFRESH);
  }

  // Frames.

  /** Show a frame. While one is on its way, others that are asked for wait, and only the last of them is fetched. */
  show(index: number, playing = false): Promise<void> {
    index = Math.max(0, Math.min(this.project.frames - 1, Math.round(index)));
    if (index !== this.index) {
      this.leaving();
      this.forgetPoints();
      this.before = null;
    }
    this.index = index;
    if (this.pictures.has(index)) {
      this.display(index, playing);
      return Promise.resolve();
    }
    this.tell("frame");
    this.showing ??= this.fetch(playing).finally(() => (this.showing = null));
    return this.showing;
  }

  /** Fetch the frame that is asked for; where the service cannot be reached, again and again until it can. */
  private async fetch(playing: boolean): Promise<void> {
    let told = false;
    while (!this.pictures.has(this.index)) {
      const { pictures, index } = this;
      try {
        await pictures.both(index);
      } catch (error) {
        if (pictures !== this.pictures || index !== this.index) continue;
        if (!told) toast((error as Error).message, "wrong");
        if (!(error instanceof GoneError)) return;
        told = true;
        await new Promise((resolve) => setTimeout(resolve, AGAIN));
      }
    }
    this.display(this.index, playing);
  }

  private display(index: number, playing: boolean): void {
    const { pictures } = this;
    pictures.shown = pictures.frame(index) ?? pictures.shown;
    if (!this.stroking || !this.ready) this.labels = pictures.labels(index) ?? null;
    this.shown = index;
    this.tell("frame", "masks");
    clearTimeout(this.settling);
    if (!playing) this.settling = setTimeout(() => this.settle(index), SETTLED);
  }

  /** Make ready for what may come next: clicks here, the neighbours, the next frame that is unsure. */
  private settle(index: number): void {
    if (index !== this.index) return;
    const { frames } = this.project;
    this.api.look(index, this.fitted, this.engine).catch(() => undefined);
    for (const near of [index + 1, index - 1, index + 2, this.next("u", 1)]) {
      if (near !== null && near >= 0 && near < frames) this.pictures.ahead(near);
    }
    if (this.onion && index > 0) void this.pictures.needLabels(index - 1).then(() => this.tell("masks"), () => undefined);
  }

  /** Ask for pictures that are good at a scale; the frame shown comes again if it is too small. */
  async scaled(scale: number): Promise<void> {
    const { pictures, index } = this;
    if (!pictures.resize(pictures.sideAt(scale))) return;
    await pictures.both(index).catch(() => undefined);
    if (pictures === this.pictures && index === this.index && pictures.has(index)) this.display(index, false);
  }

  async reload(index: number): Promise<void> {
    if (this.saving.has(index) || (this.stroking && index === this.index)) return;
    this.pictures.drop(index);
    if (index !== this.index) return;
    await this.pictures.needLabels(index);
    if (index !== this.index) return;
    this.labels = this.pictures.labels(index) ?? null;
    this.tell("masks");
  }

  // Masks.

  /** The object to draw on; a first one is made for who begins. */
  async target(): Promise<Tracked | null> {
    if (!this.object) await this.addObject();
    const one = this.object;
    if (!one) return null;
    if (one.locked) {
      toast(`${one.name} is locked. Unlock it to change it.`, "wrong");
      return null;
    }
    return one;
  }

  async addObject(): Promise<void> {
    await this.attempt(async () => {
      const one = await this.api.addObject();
      if (this.selected !== null) this.forgetPoints();
      this.selected = one.id;
      await this.refresh();
    });
  }

  select(id: number): void {
    if (id !== this.selected) this.forgetPoints();
    this.selected = id;
    this.tell("facts");
  }

  setTool(tool: Tool): void {
    this.tool = tool;
    this.forgetPoints();
    this.tell("tool");
  }

  forgetPoints(): void {
    this.talking = false;
    if (!this.points.length && !this.box && this.confidence === null) return;
    this.points = [];
    this.box = null;
    this.confidence = null;
    this.tell("points");
  }

  /** Put a painted mask in place, and send it. */
  painted({ frame, object, mask, labels }: Painting): void {
    this.forgetPoints();
    this.pictures.put(frame, labels);
    this.saving.put(frame, object, mask.slice());
  }

  /** Remember what is there, to compare with what comes. */
  remember(): void {
    this.before = this.labels ? this.labels.slice() : null;
  }

  /** Resolves when all clicks are answered and all that was painted is kept. */
  async settled(): Promise<void> {
    while (this.clicking) await new Promise((resolve) => setTimeout(resolve, 10));
    await this.saving.done();
  }

  /** Add a click or a box, and ask for the mask of all so far; clicks that come meanwhile are asked about together. */
  async click(add: Click | null, box: Box | null, engine: string): Promise<void> {
    if (engine) this.forgetPoints();
    if (box) this.box = box;
    if (add) this.points = [...this.points, add];
    this.tell("points");
    if (this.clicking) return;
    this.clicking = true;
    try {
      const one = await this.target();
      if (!one) return this.forgetPoints();
      const index = this.index;
      let asked: Click[];
      let begin = !this.talking;
      this.talking = true;
      do {
        asked = this.points;
        await this.saving.done();
        this.remember();
        const answer = await this.attempt(() => this.api.click(index, one.id, asked, this.box, engine || this.engine, begin));
        begin = false;
        if (!answer) return this.forgetPoints();
        this.confidence = answer[1];
        this.pictures.put(index, answer[0]);
        if (index === this.index) {
          this.labels = answer[0];
          this.tell("masks");
        }
      } while (asked !== this.points && this.points.length && index === this.index);
      this.tell("points");
    } finally {
      this.clicking = false;
    }
  }

  async turn(way: "undo" | "redo"): Promise<void> {
    await this.settled();
    await this.attempt(async () => {
      const frame = await this.api.turn(way);
      this.forgetPoints();
      if (frame === null) this.pictures.drop();
      if (frame !== null && frame !== this.index) {
        this.pictures.drop(frame);
        await this.show(frame);
      } else await this.reload(this.index);
      await this.refresh();
    });
  }

  /** Something that changes the mask of the frame shown. */
  async change(work: (api: ProjectApi) => Promise<unknown>): Promise<void> {
    await this.settled();
    this.remember();
    await this.attempt(async () => {
      await work(this.api);
      this.forgetPoints();
      this.pictures.drop();
      await this.reload(this.index);
      await this.refresh();
    });
  }

  // Runs, and what others do.

  async run(direction: Direction, start: number | null, stop: number | null): Promise<void> {
    await this.settled();
    await this.attempt(() => this.api.run(direction, start, stop));
  }

  async stop(): Promise<void> {
    await this.attempt(() => this.api.stop());
  }

  heard(event: ServiceEvent): void {
    if (event.type === "lost") toast(event.error, "wrong");
    else if (!this.facts || event.project !== this.api.key) return;
    else if (event.type === "changed") {
      this.refreshSoon();
      if (event.by === PAGE) return; // it has what it did itself
      if (event.frame === null) this.pictures.drop();
      void this.attempt(() => this.reload(event.frame ?? this.index));
    } else this.runs.heard(event);
  }

  /** Whether an object that is shown is worth a look on a frame, or (g) given there. */
  isAt(frame: number, code: "u" | "g"): boolean {
    return this.thoseAt(frame, code).length > 0;
  }

  /** The objects of which that holds. */
  thoseAt(frame: number, code: "u" | "g"): Tracked[] {
    const { objects, timeline, look } = this.project;
    return objects.filter((one) => {
      if (one.hidden) return false;
      const there = timeline[one.id]?.[frame];
      return there === code || (code === "u" && there !== "g" && look[one.id]?.[frame] !== undefined);
    });
  }

  /** Why an object is worth a look on a frame. */
  reasons(object: number, frame: number): string[] {
    const bits = this.project.look[object]?.[frame] ?? 0;
    return this.known.filter((_, n) => (bits >> n) & 1);
  }

  /** The next such frame after the one shown, or after another; null if there is none. */
  next(code: "u" | "g", step: 1 | -1, after = this.index): number | null {
    for (let at = after + step; at >= 0 && at < this.project.frames; at += step) if (this.isAt(at, code)) return at;
    return null;
  }
}
