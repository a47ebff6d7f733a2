// Requests to the service that this page came from. Addresses are relative: the token is part of the page's own.

import type { Box, Click, Delivery, Direction, Facts, Launch, ServiceEvent, Tracked } from "./types";

/** Something the service refused, in its own words. */
export class RefusedError extends Error {}

/** The service cannot be reached. */
export class GoneError extends Error {}

/** What this page calls itself: the service says with each change which page made it. */
export const PAGE = Math.random().toString(36).slice(2);

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers: { ...init.headers, "x-page": PAGE } });
  } catch {
    throw new GoneError("the service cannot be reached");
  }
  if (response.ok) return response;
  const text = await response.text();
  let said = text;
  try {
    said = (JSON.parse(text) as { error: string }).error;
  } catch {
    // a refusal of the guard is plain text
  }
  throw new RefusedError(said.trim());
}

async function post<T>(path: string, body: unknown = {}): Promise<T> {
  const response = await ask(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return (await response.json()) as T;
}

export async function launch(): Promise<Launch> {
  return (await (await ask("api/state")).json()) as Launch;
}

export async function open(key: string): Promise<string> {
  return (await post<{ project: string }>("api/open", { key })).project;
}

const reader = new OffscreenCanvas(1, 1);
const context = reader.getContext("2d", { willReadFrequently: true })!;

/** The values of a grey PNG, one byte a pixel. */
async function grey(response: Response): Promise<Uint8Array> {
  const bitmap = await createImageBitmap(await response.blob(), {
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  });
  const { width, height } = bitmap;
  if (reader.width !== width || reader.height !== height) {
    reader.width = width;
    reader.height = height;
  }
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const pixels = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  const values = new Uint8Array(width * height);
  for (let i = 0; i < values.length; i++) values[i] = pixels[i]! & 255;
  return values;
}

/** One open project of the service. */
export class ProjectApi {
  private readonly root: string;

  constructor(readonly key: string) {
    this.root = `api/projects/${key}`;
  }

  async facts(): Promise<Facts> {
    return (await (await ask(this.root)).json()) as Facts;
  }

  /** Where to look if no frame is unsure; nulls where nothing was found yet. */
  async weakest(): Promise<{ frame: number | null; object: number | null }> {
    return (await (await ask(`${this.root}/weakest`)).json()) as { frame: number | null; object: number | null };
  }

  async frame(index: number, side: number | null, soon: boolean): Promise<ImageBitmap> {
    const response = await ask(`${this.root}/frames/${index}${side ? `?side=${side}` : ""}`, { priority: soon ? "high" : "low" });
    return createImageBitmap(await response.blob());
  }

  /** Ids of a frame; null where nothing is known. */
  async labels(index: number, soon: boolean): Promise<Uint8Array | null> {
    const response = await ask(`${this.root}/labels/${index}`, { priority: soon ? "high" : "low" });
    return response.status === 204 ? null : grey(response);
  }

  look(frame: number, side: number | null, engine: string): Promise<unknown> {
    return post(`${this.root}/look`, { frame, side, engine });
  }

  async mask(index: number, object: number): Promise<Uint8Array> {
    return grey(await ask(`${this.root}/mask/${index}/${object}`));
  }

  async paint(index: number, object: number, mask: Uint8Array): Promise<void> {
    await ask(`${this.root}/mask/${index}/${object}`, { method: "POST", body: mask as Uint8Array<ArrayBuffer> });
  }

  async click(frame: number, object: number, points: Click[], box: Box | null, engine: string, begin: boolean): Promise<[Uint8Array, number | null]> {
    const response = await ask(`${this.root}/click`, {
      method: "POST",
      body: JSON.stringify({ frame, object, engine, begin, box, points: points.map((p) => [p.x, p.y, p.wanted]) }),
    });
    const sure = response.headers.get("x-confidence");
    return [await grey(response), sure ? Number(sure) : null];
  }

  async edges(frame: number, from: [number, number], to: [number, number]): Promise<[number, number][]> {
    return (await post<{ path: [number, number][] }>(`${this.root}/edges`, { frame, from, to })).path;
  }

  grow(frame: number, object: number, pixels: number): Promise<unknown> {
    return post(`${this.root}/grow`, { frame, object, pixels });
  }

  release(frame: number, object: number): Promise<unknown> {
    return post(`${this.root}/release/${frame}/${object}`);
  }

  addObject(): Promise<Tracked> {
    return post<Tracked>(`${this.root}/objects`);
  }

  changeObject(id: number, changes: Partial<Tracked>): Promise<Tracked> {
    return post<Tracked>(`${this.root}/objects/${id}`, changes);
  }

  deleteObject(id: number, how: "here" | "from" | "everywhere", frame: number): Promise<unknown> {
    return post(`${this.root}/objects/${id}/delete`, { how, frame });
  }

  async turn(way: "undo" | "redo"): Promise<number | null> {
    return (await post<{ frame: number | null }>(`${this.root}/${way}`)).frame;
  }

  run(direction: Direction, start: number | null, stop: number | null): Promise<unknown> {
    return post(`${this.root}/run`, { direction, start, stop });
  }

  stop(): Promise<unknown> {
    return post(`${this.root}/stop`);
  }

  export(formats: string[], shown: Delivery): Promise<unknown> {
    return post(`${this.root}/export`, { formats, ...shown });
  }

  async command(formats: string[], shown: Delivery): Promise<string> {
    const query = new URLSearchParams({ formats: formats.join(","), objects: shown.objects, alpha: shown.alpha, ...(shown.refine && { refine: "1" }) });
    const response = await ask(`${this.root}/command?${query}`);
    return ((await response.json()) as { command: string }).command;
  }

  /** Take masks in; a finished run is only begun to be, and tells nothing yet. */
  takeIn(key: string, frame: number, resize: boolean): Promise<{ frames?: number[]; objects?: string[]; notes?: string[] }> {
    return post(`${this.root}/import`, { key, frame, resize });
  }
}

/** Listen to the service, and come back to it whenever it was lost. */
export function listen(heard: (event: ServiceEvent) => void, connected: (there: boolean) => void): void {
  const address = new URL("events", location.href);
  address.protocol = "ws:";
  address.hash = "";
  const socket = new WebSocket(address);
  socket.onopen = () => connected(true);
  socket.onmessage = (message) => heard(JSON.parse(message.data as string) as ServiceEvent);
  socket.onclose = () => {
    connected(false);
    setTimeout(() => listen(heard, connected), 1000);
  };
}
