//! Runs mutants one after another, and says on standard output what became of each.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Options;

/// Panics that the hook saw, caught ones included.
static PANICS: AtomicU64 = AtomicU64::new(0);

pub fn run(options: &Options, seeds: &[Vec<u8>]) -> Result<(), String> {
    std::panic::set_hook(Box::new(|info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        let place = info.location().map_or_else(String::new, ToString::to_string);
        let message = info.payload_as_str().unwrap_or_default().replace('\n', " ");
        println!("panic {place}: {message}");
    }));
    for case in options.first..options.first + options.cases {
        let file = options.target.mutant(seeds, options.seed, case);
        println!("start {case}");
        let before = PANICS.load(Ordering::SeqCst);
        let outcome = options.target.outcome(&file);
        if PANICS.load(Ordering::SeqCst) == before {
            println!("end {case} {outcome}");
        } else {
            println!("panicked {case}");
        }
        std::io::stdout().flush().map_err(|error| error.to_string())?;
    }
    Ok(())
}
