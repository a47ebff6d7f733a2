// Where the picture is in the window, and how large: zoom and pan.

const LARGEST = 40; // pixels of the screen for one of the clip
const SMALLEST = 0.05;
const MARGIN = 0.97; // share of the room that a fitted picture takes

export class Camera {
  scale = 1;
  x = 0;
  y = 0;
  fitted = true;

  constructor(private readonly element: HTMLElement) {}

  private get room(): DOMRect {
    return this.element.getBoundingClientRect();
  }

  /** The scale at which a picture of a size is whole in view; 0 if there is no room yet. */
  whole(width: number, height: number): number {
    const { width: across, height: down } = this.room;
    return Math.min(across / width, down / height) * MARGIN;
  }

  fit(width: number, height: number): boolean {
    const scale = this.whole(width, height);
    if (!scale) return false;
    const { room } = this;
    this.scale = scale;
    this.x = (room.width - width * scale) / 2;
    this.y = (room.height - height * scale) / 2;
    this.fitted = true;
    return true;
  }

  /** Zoom by a factor around a place of the window, or its middle. */
  zoom(factor: number, at?: { x: number; y: number }): void {
    const { room } = this;
    const x = (at?.x ?? room.left + room.width / 2) - room.left;
    const y = (at?.y ?? room.top + room.height / 2) - room.top;
    const scale = Math.max(SMALLEST, Math.min(LARGEST, this.scale * factor));
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
  }

  pan(x: number, y: number): void {
    this.x += x;
    this.y += y;
    this.fitted = false;
  }

  /** A place of the window in pixels of the clip. */
  at(event: { clientX: number; clientY: number }): [number, number] {
    const { room } = this;
    return [(event.clientX - room.left - this.x) / this.scale, (event.clientY - room.top - this.y) / this.scale];
  }

  get transform(): string {
    return `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
  }
}
