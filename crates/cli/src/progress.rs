//! Progress bars with rate and time left, and Ctrl-C.

use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use itp_ood::{Error, ErrorKind, Result};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C makes [`check`] fail, so that nothing is left half-written; a second one ends
/// the program at once.
pub fn watch_interrupts() {
    let watching = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    if let Err(error) = watching {
        eprintln!("itp: Ctrl-C will end the program at once: {error}");
    }
}

/// Fails once the user has pressed Ctrl-C.
pub fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) {
        return Err(Error::new(ErrorKind::Cancelled, "stopped by Ctrl-C; no file was written"));
    }
    Ok(())
}

/// A bar on standard error; nothing where that is no terminal.
pub fn bar(len: usize, name: &str, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(len as u64).with_message(name.to_owned());
    let template = "{msg} {wide_bar} {human_pos}/{human_len} {per_sec}, {eta} left";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
