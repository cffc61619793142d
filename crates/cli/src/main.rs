//! The program `itp`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(itp_ood_cli::run(std::env::args_os()))
}
