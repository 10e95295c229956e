//! The `plackett` command: a thin reader of intentions over the library.
#![forbid(unsafe_code)]

mod command;

fn main() -> std::process::ExitCode {
    command::main()
}
