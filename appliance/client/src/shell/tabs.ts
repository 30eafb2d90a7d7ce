// One writer per device: of all tabs of this box, the one that holds the Web Lock. The others wait
// for it, and a person may ask the present writer to hand over; one that is frozen is overruled.

const HAND_OVER_WITHIN_MS = 2_000;

export class Turn {
  private readonly channel: BroadcastChannel;
  private release: (() => void) | null = null;
  private readonly name: string;

  constructor(
    box: string,
    private readonly events: { gained(): void; lost(): Promise<void> },
  ) {
    this.name = `linnet-${box}`;
    this.channel = new BroadcastChannel(this.name);
    this.channel.onmessage = (event: MessageEvent) => {
      if (event.data === "hand over" && this.release) void this.yield();
    };
  }

  /** True while this tab is the writer. */
  get held(): boolean {
    return this.release !== null;
  }

  /** Waits for the turn in the background; `gained` is called when it comes. */
  wait(steal = false): void {
    const held = new Promise<void>((resolve) => {
      const options = steal ? { steal: true } : {};
      navigator.locks
        .request(this.name, options, () => this.hold(resolve))
        .catch(() => this.overruled());
    });
    void held;
  }

  /** Asks the tab that has the turn to give it up; takes it after a while. */
  ask(): void {
    this.channel.postMessage("hand over");
    setTimeout(() => {
      if (!this.release) this.wait(true);
    }, HAND_OVER_WITHIN_MS);
  }

  private hold(started: () => void): Promise<void> {
    return new Promise((resolve) => {
      if (this.release) return resolve();
      this.release = resolve;
      started();
      this.events.gained();
    });
  }

  private async yield(): Promise<void> {
    const release = this.release;
    this.release = null;
    await this.events.lost();
    release?.();
    this.wait();
  }

  private overruled(): void {
    if (!this.release) return;
    this.release = null;
    void this.events.lost();
    this.wait();
  }
}
