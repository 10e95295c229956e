//! `plackett completions` and `plackett man`: what shells and `man` know of the commands, made from their declarations.

use super::{Outcome, Output};
use clap::{Args, Command};
use clap_complete::Shell;
use plackett_core::formats::atomic;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Print the completions of a shell
#[derive(Args)]
#[command(
    after_help = "Examples:\n  plackett completions bash > ~/.local/share/bash-completion/completions/plackett\n  \
                  plackett completions zsh > ~/.zfunc/_plackett        (a folder of $fpath)\n  \
                  plackett completions fish > ~/.config/fish/completions/plackett.fish"
)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

/// Write the manual pages of all commands into a folder
#[derive(Args)]
#[command(after_help = "Example:\n  plackett man -o ~/.local/share/man/man1\n  man plackett-search")]
pub struct ManArguments {
    /// The folder; it is made where it is missing, and pages in it are written anew
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
}

/// Prints the completions of a shell for the whole command.
pub fn run(arguments: &Arguments, command: &mut Command, output: &Output) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, command, "plackett", &mut script);
    let script = String::from_utf8_lossy(&script);
    if output.json {
        return Ok(output.print_json(&json!({"shell": arguments.shell.to_string(), "script": script}))?);
    }
    Ok(output.print(&script)?)
}

/// Writes a page for the command and for each of its subcommands.
pub fn man(arguments: &ManArguments, mut command: Command, output: &Output) -> Outcome {
    let folder = &arguments.output;
    std::fs::create_dir_all(folder)
        .map_err(|error| anyhow::anyhow!("--output {}: {error}; name a folder", folder.display()))?;
    // Gives every subcommand its whole name with hyphens, by which its page is found.
    command.build();
    let mut pages = Vec::new();
    write_pages(&command, folder, &mut pages)?;
    if output.json {
        return Ok(output.print_json(&json!({"output": folder, "pages": pages}))?);
    }
    Ok(output.print(&format!("{}: {} pages, from plackett.1 on\n", folder.display(), pages.len()))?)
}

fn write_pages(command: &Command, folder: &Path, pages: &mut Vec<String>) -> anyhow::Result<()> {
    let page = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text)?;
    atomic::write(&folder.join(page.get_filename()), |out| out.write_all(&text))?;
    pages.push(page.get_filename());
    let mut below =
        command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help");
    below.try_for_each(|below| write_pages(below, folder, pages))
}
