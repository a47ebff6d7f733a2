// What the page holds: the project, the frame that is shown, its masks, and every change to them.

import { GoneError, ProjectApi, RefusedError } from "./api";
import { toast } from "./dom";
import { Keep } from "./keep";
import { Saving } from "./saving";
import type { Box, Click, Direction, Facts, ServiceEvent, Tracked } from "./types";

export type View = "overlay" | "outline" | "checkers" | "black" | "white" | "green" | "masks";
export type Tool = "point" | "brush" | "eraser" | "polygon" | "edges" | "fill" | "hand";
export type Signal = "facts" | "frame" | "masks" | "tool" | "task" | "saving" | "points";

const FRAME_BYTES = 160 << 20;
const LABEL_BYTES = 64 << 20;
const LARGEST_SIDE = 1920;
export const SURE = 0.7;

export interface Progress {
  kind: "run" | "export";
  direction: string;
  start: number;
  end: number;
  at: number;
  done: number;
  of: number;
  rate: number;
}

export class Editor {
  facts: Facts | null = null;
  index = 0;
  selected: number | null = null;
  tool: Tool = "point";
  view: View = "overlay";
  brush = 18;
  onion = false;
  follow = true;
  points: Click[] = [];
  box: Box | null = null;
  confidence: number | null = null;
  progress: Progress | null = null;
  labels: Uint8Array | null = null;
  before: Uint8Array | null = null;
  picture: ImageBitmap | null = null;
  connected = true;
  clicking = false;
  stroking = false;
  private talking = false;

  readonly saving = new Saving(
    () => this.api,
    (_, wrong) => {
      if (wrong) this.wrong = wrong;
      else this.wrong = "";
      this.tell("saving");
    },
  );
  wrong = "";
  api!: ProjectApi;
  private readonly frames = new Keep<ImageBitmap>(FRAME_BYTES, (bitmap) => bitmap !== this.picture && bitmap.close());
  private readonly known = new Keep<Uint8Array>(LABEL_BYTES);
  private readonly asked = new Map<number, Promise<void>>();
  private readonly listeners = new Map<Signal, (() => void)[]>();
  private refreshing: Promise<void> | null = null;
  private again = false;

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

  get object(): Tracked | undefined {
    return this.facts?.objects.find((one) => one.id === this.selected);
  }

  async open(key: string, index = 0): Promise<void> {
    this.api = new ProjectApi(key);
    this.frames.clear();
    this.known.clear();
    this.asked.clear();
    this.labels = this.before = this.picture = null;
    this.facts = await this.api.facts();
    const task = this.facts.task;
    this.progress = task && task.project === key ? this.begun(task) : null;
    this.selected = this.facts.objects[0]?.id ?? null;
    this.tell("facts", "tool", "task");
    await this.show(Math.min(index, this.facts.frames - 1));
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
        const facts = await this.api.facts();
        this.facts = facts;
      } while (this.again);
      if (!this.facts!.objects.some((one) => one.id === this.selected)) {
        this.selected = this.facts!.objects.at(-1)?.id ?? null;
        this.forgetPoints();
      }
      this.tell("facts");
    })().finally(() => (this.refreshing = null));
    return this.refreshing;
  }

  // Frames.

  async show(index: number, playing = false): Promise<void> {
    const frames = this.project.frames;
    index = Math.max(0, Math.min(frames - 1, Math.round(index)));
    if (index !== this.index) this.forgetPoints();
    this.index = index;
    this.before = null;
    this.tell("frame");
    await Promise.all([this.need(index), this.needLabels(index)]).catch((error: Error) => {
      if (index === this.index) toast(error.message, "wrong");
    });
    if (index !== this.index) return;
    this.picture = this.frames.get(index) ?? this.picture;
    this.labels = this.known.get(index) ?? null;
    this.tell("frame", "masks");
    if (!playing) for (const near of [index + 1, index - 1, index + 2]) this.fetchAhead(near);
  }

  fetchAhead(index: number): void {
    if (index < 0 || index >= this.project.frames) return;
    this.need(index).catch(() => undefined);
    this.needLabels(index).catch(() => undefined);
  }

  ready(index: number): boolean {
    return this.frames.has(index) && this.known.has(index);
  }

  labelsOf(index: number): Uint8Array | undefined {
    return this.known.get(index);
  }

  private need(index: number): Promise<void> {
    if (this.frames.has(index)) return Promise.resolve();
    const waiting = this.asked.get(index);
    if (waiting) return waiting;
    const [width, height] = this.project.size;
    const api = this.api;
    const asking = api
      .frame(index, Math.max(width, height) > LARGEST_SIDE ? LARGEST_SIDE : null)
      .then((bitmap) => {
        if (api === this.api) this.frames.set(index, bitmap, bitmap.width * bitmap.height * 4);
      })
      .finally(() => this.asked.delete(index));
    this.asked.set(index, asking);
    return asking;
  }

  async needLabels(index: number): Promise<void> {
    if (this.known.has(index)) return;
    const api = this.api;
    const labels = await api.labels(index);
    // What was painted meanwhile, and is not with the service yet, is newer.
    if (api === this.api && !this.known.has(index)) this.known.set(index, labels, labels.length);
  }

  private async reload(index: number): Promise<void> {
    if (this.saving.has(index) || (this.stroking && index === this.index)) return;
    this.known.drop(index);
    if (index !== this.index) return;
    await this.needLabels(index);
    if (index !== this.index) return;
    this.labels = this.known.get(index) ?? null;
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
    this.points = [];
    this.box = null;
    this.confidence = null;
    this.tell("points");
  }

  /** Put a painted mask in place, and send it. */
  painted(object: number, mask: Uint8Array): void {
    this.forgetPoints();
    this.known.set(this.index, this.labels!, this.labels!.length);
    this.saving.put(this.index, object, mask);
  }

  /** Remember what is there, to compare with what comes. */
  remember(): void {
    this.before = this.labels ? this.labels.slice() : null;
  }

  /** Resolves when all clicks are answered and all that was painted is kept. */
  private async settled(): Promise<void> {
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
        const answer = await this.attempt(() => this.api.click(index, one.id, asked, this.box, engine, begin));
        begin = false;
        if (!answer) return this.forgetPoints();
        this.confidence = answer[1];
        await this.reload(index);
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
      if (frame !== null && frame !== this.index) {
        this.known.drop(frame);
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
      this.known.clear();
      await this.reload(this.index);
      await this.refresh();
    });
  }

  // Runs.

  async run(direction: Direction, start: number | null, stop: number | null): Promise<void> {
    await this.settled();
    await this.attempt(() => this.api.run(direction, start, stop));
  }

  async stop(): Promise<void> {
    await this.attempt(() => this.api.stop());
  }

  private begun(task: { kind: "run" | "export"; direction?: string; start?: number; end?: number }): Progress {
    const start = task.start ?? 0;
    const end = task.end ?? this.project.frames;
    return { kind: task.kind, direction: task.direction ?? "", start, end, at: start, done: 0, of: end - start, rate: 0 };
  }

  heard(event: ServiceEvent): void {
    if (event.type === "lost") {
      toast(event.error, "wrong");
      return;
    }
    if (!this.facts || event.project !== this.api.key) return;
    if (event.type === "changed") {
      void this.attempt(() => this.refresh());
      if (event.frame === null) this.known.clear();
      void this.attempt(() => this.reload(event.frame ?? this.index));
    } else if (event.type === "begun") {
      this.progress = this.begun(event);
      this.tell("task");
    } else if (event.type === "frame" || event.type === "passed") {
      this.answered(event);
    } else if (event.type === "exporting" && this.progress) {
      Object.assign(this.progress, { done: event.done, of: event.of });
      this.tell("task");
    } else if (event.type === "ended") {
      this.ended(event);
    }
  }

  private answered(event: Extract<ServiceEvent, { type: "frame" | "passed" }>): void {
    if (this.progress) {
      this.progress.at = event.frame;
      this.progress.done += event.type === "frame" ? 1 : 0;
      if (event.type === "frame") this.progress.rate = event.rate;
    }
    if (event.type === "frame") {
      for (const [id, value] of Object.entries(event.confidence)) this.mark(event.frame, id, value);
      if (this.follow && event.frame !== this.index) {
        this.known.drop(event.frame);
        void this.show(event.frame, true);
      } else void this.attempt(() => this.reload(event.frame));
    }
    this.tell("task");
  }

  private mark(frame: number, id: string, confidence: number): void {
    const codes = this.project.timeline[id];
    if (codes === undefined || codes[frame] === "g") return;
    const code = confidence === 0 ? "a" : confidence < SURE ? "u" : "s";
    this.project.timeline[id] = codes.slice(0, frame) + code + codes.slice(frame + 1);
  }

  private ended(event: Extract<ServiceEvent, { type: "ended" }>): void {
    this.progress = null;
    if (event.error) toast(event.error, "wrong");
    else if (event.kind === "export") this.exported(event.folder ?? "", event.stopped);
    else {
      const rate = event.frames && event.seconds ? `, ${(event.frames / event.seconds).toFixed(1)} frames/s` : "";
      toast(`${event.stopped ? "Stopped" : "Done"}: ${event.frames ?? 0} frames${rate}`);
    }
    void this.attempt(() => this.refresh());
    this.tell("task");
  }

  exported: (folder: string, stopped: boolean) => void = () => undefined;

  /** The next frame, after the one shown, on which an object that is shown is unsure; null if there is none. */
  next(code: "u" | "g", step: 1 | -1): number | null {
    const rows = this.project.objects.filter((one) => !one.hidden).map((one) => this.project.timeline[one.id] ?? "");
    for (let at = this.index + step; at >= 0 && at < this.project.frames; at += step) {
      if (rows.some((row) => row[at] === code)) return at;
    }
    return null;
  }
}
