// What the service says; see src/rotoscope/app/actions.py.

export interface Entry {
  key: string;
  label: string;
  kind: "video" | "frames" | "project" | "masks" | "set" | "run" | "demo";
}

export interface Launch {
  entries: Entry[];
  first: string;
  method: string;
  tools: string[];
  formats: string[];
  /** Those for other programs, which show objects as a Delivery says. */
  delivered: string[];
  reasons: string[];
}

export interface Tracked {
  id: number;
  name: string;
  colour: string;
  locked: boolean;
  hidden: boolean;
  ends: number | null;
}

export interface TaskFacts {
  kind: "run" | "export" | "import";
  project?: string;
  direction?: string;
  start?: number;
  end?: number;
}

export interface Facts {
  name: string;
  folder: string;
  frames: number;
  size: [number, number];
  fps: number;
  objects: Tracked[];
  /** By object, a letter a frame: g given, s sure, u unsure, a absent, . not known. */
  timeline: Record<string, string>;
  /** By object and frame, why it is worth a look: bits, in the order of Launch.reasons. */
  look: Record<string, Record<number, number>>;
  stale: number | null;
  undo: number;
  redo: number;
  task: TaskFacts | null;
}

export type ServiceEvent =
  | { type: "changed"; project: string; frame: number | null; by: string }
  | { type: "frame"; project: string; frame: number; confidence: Record<string, number>; look: Record<string, number>; rate: number }
  | { type: "passed"; project: string; frame: number }
  | ({ type: "begun" } & TaskFacts)
  | { type: "steps"; project: string; done: number; of: number }
  | {
      type: "ended";
      kind: "run" | "export" | "import";
      project?: string;
      stopped: boolean;
      error?: string;
      frames?: number;
      seconds?: number;
      folder?: string;
    }
  | { type: "lost"; error: string };

/** How objects are shown in formats for other programs. */
export interface Delivery {
  objects: string;
  alpha: string;
  refine: boolean;
}

export type Direction = "forward" | "backward" | "both";

export interface Click {
  x: number;
  y: number;
  wanted: boolean;
}

export type Box = [number, number, number, number];
