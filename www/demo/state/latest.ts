// One thing at a time: of what is asked for meanwhile, only the newest is done.

/** Runs `work` on what it is given, once a frame at most; while it runs, only the newest waits. */
export function latest<Wish>(work: (wish: Wish) => Promise<void>): (wish: Wish) => void {
  let waiting: { wish: Wish } | undefined;
  let running = false;
  const run = async (): Promise<void> => {
    running = true;
    try {
      while (waiting) {
        const { wish } = waiting;
        waiting = undefined;
        await work(wish);
        await nextFrame();
      }
    } finally {
      running = false;
    }
  };
  return (wish) => {
    waiting = { wish };
    if (!running) void run();
  };
}

function nextFrame(): Promise<unknown> {
  // A hidden page draws no frames, but work goes on there.
  return new Promise((resolve) => (document.hidden ? setTimeout(resolve) : requestAnimationFrame(resolve)));
}
