// The transport: one WebSocket with JSON text frames, to the place this page came from.
import { decode, encode, type ClientMessage, type ServerFrame } from "../core/wire.ts";

export interface SocketEvents {
  opened(): void;
  frame(frame: ServerFrame): void;
  closed(): void;
}

export class Socket {
  private readonly ws: WebSocket;
  private request = 0;
  private over = false;

  constructor(events: SocketEvents) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.ws = new WebSocket(`${scheme}://${location.host}/ws`, "linnet.json");
    this.ws.onopen = () => this.over || events.opened();
    this.ws.onmessage = (event: MessageEvent) => this.receive(event.data, events);
    this.ws.onclose = () => this.end(events);
    this.ws.onerror = () => this.end(events);
  }

  /** Sends one message and returns its request number. */
  send(message: ClientMessage): number {
    this.request += 1;
    if (this.ws.readyState === WebSocket.OPEN) this.ws.send(encode(message, this.request));
    return this.request;
  }

  /** No event follows. */
  close(): void {
    this.over = true;
    this.ws.close();
  }

  private receive(data: unknown, events: SocketEvents): void {
    if (this.over || typeof data !== "string") return;
    const frame = decode(data);
    if (frame) events.frame(frame);
  }

  private end(events: SocketEvents): void {
    if (this.over) return;
    this.over = true;
    events.closed();
  }
}
