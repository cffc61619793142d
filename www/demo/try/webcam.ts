// The webcam: gives one frame after the other while the page is visible.

import type { Subject } from "../state/app.js";
import { messageOf } from "../state/errors.js";

/** What the webcam needs of the page. */
export interface WebcamHost {
  video: HTMLVideoElement;
  /** Gets each frame; the next one is taken when this is done. */
  onFrame(frame: Subject): Promise<void>;
  /** Gets the recent number of results per second. */
  onRate(perSecond: number): void;
  /** Called when the webcam stops; `problem` says why, unless it was stopped on purpose. */
  onStop(problem?: string): void;
}

const NO_CAMERA = "There is no webcam, or this page is not allowed to use it.";

/** What visitors can do about errors, whose messages say little. */
const PROBLEMS: Record<string, string | undefined> = {
  NotAllowedError: NO_CAMERA,
  NotFoundError: NO_CAMERA,
  OverconstrainedError: NO_CAMERA,
  NotReadableError: "Another program is using the webcam.",
};

/** OverconstrainedError is no DOMException everywhere. */
const nameOf = (error: unknown): string => (Object(error) as { name?: string }).name ?? "";

/** The camera that looks away from the visitor; where the browser insists that there is none, any. */
async function openCamera(): Promise<MediaStream> {
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    if (nameOf(error) !== "OverconstrainedError") throw error;
    return navigator.mediaDevices.getUserMedia({ video: true });
  }
}

/** Starts the webcam; the returned function stops it. */
export function startWebcam(host: WebcamHost): () => void {
  const { video } = host;
  let stopped = false;
  let stream: MediaStream | undefined;
  const stop = (problem?: string): void => {
    if (stopped) return;
    stopped = true;
    for (const track of stream?.getTracks() ?? []) track.stop();
    video.srcObject = null;
    document.removeEventListener("visibilitychange", onVisibilityChange);
    host.onStop(problem);
  };
  const onVisibilityChange = (): void => {
    if (document.hidden) stop();
  };
  document.addEventListener("visibilitychange", onVisibilityChange);

  const begin = async (): Promise<void> => {
    try {
      if (!navigator.mediaDevices) throw new Error("This browser allows the webcam only on pages served over https.");
      stream = await openCamera();
      if (stopped) {
        for (const track of stream.getTracks()) track.stop();
        return;
      }
      video.srcObject = stream;
      await video.play();
      await run();
    } catch (error) {
      stop(PROBLEMS[nameOf(error)] ?? messageOf(error));
    }
  };
  void begin();
  return stop;

  async function run(): Promise<void> {
    const times: number[] = [];
    // Of its own, so that the last frame stays when the webcam is off.
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("2d", { willReadFrequently: true });
    while (!stopped) {
      canvas.width = video.videoWidth;
      canvas.height = video.videoHeight;
      context?.drawImage(video, 0, 0);
      await host.onFrame({ title: "Your webcam", input: canvas, drawable: canvas, series: "camera" });
      const now = performance.now();
      times.push(now);
      while (times.length > 2 && now - (times[0] as number) > 2000) times.shift();
      const span = now - (times[0] as number);
      if (span > 0) host.onRate(((times.length - 1) * 1000) / span);
      await new Promise(requestAnimationFrame);
    }
  }
}
