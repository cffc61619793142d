// The webcam: verdicts one after the other, as fast as they come, while the page is seen.

import { wordsOf } from "../ui/dom.js";

/** What the page gives the webcam to work with. */
export interface WebcamHost {
  video: HTMLVideoElement;
  /** The verdict on what the video shows. */
  look(video: HTMLVideoElement): Promise<void>;
  /** Verdicts a second, over the last ones. */
  onRate(perSecond: number): void;
  /** The webcam stopped: because it was told to, or with a reason. */
  onStop(problem?: string): void;
}

/** Starts the webcam; the result stops it. */
export async function startWebcam(host: WebcamHost): Promise<() => void> {
  const { video } = host;
  let stopped = false;
  let stream: MediaStream | undefined;
  const stop = (problem?: string): void => {
    if (stopped) return;
    stopped = true;
    for (const track of stream?.getTracks() ?? []) track.stop();
    video.srcObject = null;
    document.removeEventListener("visibilitychange", hidden);
    host.onStop(problem);
  };
  const hidden = (): void => {
    if (document.hidden) stop();
  };
  document.addEventListener("visibilitychange", hidden);
  try {
    if (!navigator.mediaDevices) throw new Error("This browser gives no webcam to pages that don't come by https.");
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    if (stopped) {
      for (const track of stream.getTracks()) track.stop();
      return stop;
    }
    video.srcObject = stream;
    await video.play();
    void run();
  } catch (thrown) {
    const refused = thrown instanceof DOMException && (thrown.name === "NotAllowedError" || thrown.name === "NotFoundError");
    stop(refused ? "There is no webcam, or this page may not use it." : wordsOf(thrown));
  }
  return stop;

  async function run(): Promise<void> {
    const times: number[] = [];
    while (!stopped) {
      await host.look(video);
      const now = performance.now();
      times.push(now);
      while (times.length > 2 && now - (times[0] as number) > 2000) times.shift();
      const span = now - (times[0] as number);
      if (span > 0) host.onRate(((times.length - 1) * 1000) / span);
      await new Promise(requestAnimationFrame);
    }
  }
}
