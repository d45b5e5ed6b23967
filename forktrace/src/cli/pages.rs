//! `forktrace man` and `forktrace completions`: both come from the flags themselves.

use std::{
    io::{self, Write},
    path::Path,
};

use clap::{Command, CommandFactory as _};

use super::{
    args::{Cli, Shell},
    failure::{Failure, cause},
    usage,
};

/// Writes one page to stdout, or all of them to a folder. `name`: a subcommand.
pub(super) fn man(name: Option<&str>, folder: Option<&Path>) -> Result<u8, Failure> {
    let command = built();
    if let Some(folder) = folder {
        return clap_mangen::generate_to(command, folder).map(|()| 0).map_err(|error| {
            Failure::CannotWrite { path: folder.to_owned(), cause: cause(&error) }
        });
    }
    let command = match name {
        None => command,
        Some(name) => {
            let page = command.find_subcommand(name).cloned();
            page.ok_or_else(|| usage(&format!("no command is named `{}`", name.escape_debug())))?
        }
    };
    clap_mangen::Man::new(command).render(&mut io::stdout())?;
    Ok(0)
}

/// Writes the completions of a shell to stdout.
pub(super) fn completions(shell: Shell) -> Result<u8, Failure> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::Zsh => clap_complete::Shell::Zsh,
    };
    // It panics where it cannot write, so it writes to memory.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "forktrace", &mut text);
    io::stdout().write_all(&text)?;
    Ok(0)
}

/// The command with the names of its subcommands as they are typed.
fn built() -> Command {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    command
}
