// Coalesces requests: while one is being processed, only the newest of the others is kept.

/** Calls `work` at most once per frame; while it runs, only the latest argument is kept. */
export function latest<T>(work: (argument: T) => Promise<void>): (argument: T) => void {
  let waiting: { argument: T } | undefined;
  let running = false;
  const run = async (): Promise<void> => {
    running = true;
    try {
      while (waiting) {
        const { argument } = waiting;
        waiting = undefined;
        await work(argument);
        await nextFrame();
      }
    } finally {
      running = false;
    }
  };
  return (argument) => {
    waiting = { argument };
    if (!running) void run();
  };
}

function nextFrame(): Promise<unknown> {
  // Hidden pages get no animation frames.
  return new Promise((resolve) => (document.hidden ? setTimeout(resolve) : requestAnimationFrame(resolve)));
}
