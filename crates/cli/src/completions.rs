//! `itp completions` and `itp man`: what a package of this program installs beside it.

use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use itp_ood::Result;

use crate::output;

/// Print completions for a shell
///
/// For bash: itp completions bash > ~/.local/share/bash-completion/completions/itp
#[derive(clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Print the manual page
///
/// To read it: itp man | man -l -
#[derive(clap::Args)]
pub struct ManArgs {
    /// Write a page for the program and one for each subcommand into this folder instead
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

pub fn completions(args: &CompletionsArgs, mut program: Command) -> Result<()> {
    let name = program.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut program, name, &mut text);
    output::bytes(&text)
}

pub fn man(args: &ManArgs, program: Command) -> Result<()> {
    match &args.folder {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|e| output::unwritable(folder, e))?;
            clap_mangen::generate_to(program, folder).map_err(|e| output::unwritable(folder, e))
        }
        None => {
            let mut text = Vec::new();
            let page = Man::new(program);
            page.render(&mut text).map_err(|e| output::unwritable("-".as_ref(), e))?;
            output::bytes(&text)
        }
    }
}
