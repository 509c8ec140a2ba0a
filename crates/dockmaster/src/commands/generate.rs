//! `completions` and `man`: what is made from the command line's own description.

use std::io;
use std::path::Path;

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use fs_err as fs;

use crate::cli::Cli;
use crate::exit::Exit;

/// Prints the completions of a shell.
pub(crate) fn completions(shell: Shell) -> Result<Exit> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "dockmaster", &mut text);
    io::Write::write_all(&mut io::stdout().lock(), &text)?;
    Ok(Exit::Done)
}

/// Prints the man page, or writes all of them.
pub(crate) fn man(folder: Option<&Path>) -> Result<Exit> {
    match folder {
        None => Man::new(Cli::command()).render(&mut io::stdout().lock())?,
        Some(folder) => {
            fs::create_dir_all(folder)?;
            clap_mangen::generate_to(Cli::command(), folder)?;
        }
    }
    Ok(Exit::Done)
}
