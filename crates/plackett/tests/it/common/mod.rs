//! Runs the built command as a user's shell would.
#![allow(dead_code)]

use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What a command did.
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// Standard output as the one JSON document that `--json` promises.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}\n{}\n{}", self.stdout, self.stderr))
    }

    /// Fails with everything that was printed unless the exit code is the wanted one.
    pub fn expect(self, code: i32) -> Done {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Done {
        Done {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plackett"));
    command.current_dir(folder).args(arguments).env_remove("PLACKETT_MODEL").env_remove("PLACKETT_PIPELINE");
    command
}

/// Runs with an empty standard input.
pub fn plackett(folder: &Path, arguments: &[&str]) -> Done {
    command(folder, arguments).stdin(Stdio::null()).output().unwrap().into()
}

/// Runs with text on standard input.
pub fn plackett_with_input(folder: &Path, arguments: &[&str], input: &str) -> Done {
    let mut child = command(folder, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_string();
    let feeder = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let done = child.wait_with_output().unwrap().into();
    // A command that ends early closes its input: that is its right.
    let _ = feeder.join();
    done
}

/// Starts a command and kills it (signal 9 on Unix) as soon as something is so. Fails where it ends before.
pub fn kill_when(folder: &Path, arguments: &[&str], is_so: impl Fn() -> bool) {
    let quiet = || Stdio::null();
    let mut child =
        command(folder, arguments).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn().unwrap();
    let start = Instant::now();
    while !is_so() {
        assert!(child.try_wait().unwrap().is_none(), "{arguments:?} ended before it could be killed");
        assert!(start.elapsed() < Duration::from_secs(120), "it never came to that");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
