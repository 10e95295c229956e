//! The files of a command line: none of them is read and written, and standard input is given once.

use super::Output;
use anyhow::bail;
use plackett::Pipeline;
use plackett::content_hash::is_stream;
use plackett_core::formats::{AtomicFile, BeirFolder, SingleKind};
use std::fs::Metadata;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// What a command reads and writes, collected before anything is opened.
#[derive(Default)]
pub struct Paths {
    read: Vec<Input>,
    written: Vec<(&'static str, PathBuf)>,
}

struct Input {
    /// The flag or argument that names it, for messages.
    named: &'static str,
    path: PathBuf,
    /// Whether all files of a folder are read and not those alone that hold documents, queries and judgments.
    whole: bool,
}

impl Paths {
    /// Files that are read, and folders of which documents, queries and judgments are read.
    pub fn reads<P: AsRef<Path>>(self, named: &'static str, paths: impl IntoIterator<Item = P>) -> Paths {
        self.input(named, paths, false)
    }

    /// Models and indexes: every file of the folder counts.
    pub fn opens<P: AsRef<Path>>(self, named: &'static str, paths: impl IntoIterator<Item = P>) -> Paths {
        self.input(named, paths, true)
    }

    /// The models and prompts that the methods of a pipeline name.
    pub fn opens_methods(self, pipeline: &Pipeline) -> Paths {
        let stages = pipeline.descriptions();
        let prompts = stages.iter().filter_map(|stage| stage.options.get("prompt"));
        let models = stages.iter().map(|stage| &stage.model);
        self.reads("a prompt of the methods", prompts).opens("a model of the methods", models)
    }

    /// Files that are written.
    pub fn writes<P: AsRef<Path>>(
        mut self,
        named: &'static str,
        paths: impl IntoIterator<Item = P>,
    ) -> Paths {
        self.written.extend(paths.into_iter().map(|path| (named, path.as_ref().to_path_buf())));
        self
    }

    fn input<P: AsRef<Path>>(
        mut self,
        named: &'static str,
        paths: impl IntoIterator<Item = P>,
        whole: bool,
    ) -> Paths {
        let input = |path: P| Input { named, path: path.as_ref().to_path_buf(), whole };
        self.read.extend(paths.into_iter().map(input));
        self
    }

    /// Refuses a file that would be written over while it is an input, two outputs under one name, and a standard input
    /// that is asked for twice; says what is waited for where somebody has to type it.
    pub fn check(&self, output: &Output) -> anyhow::Result<()> {
        self.refuse_conflicts()?;
        if let Some(input) = self.read.iter().find(|input| is_stdin(&input.path)) {
            say_awaited(input.named, output);
        }
        Ok(())
    }

    fn refuse_conflicts(&self) -> anyhow::Result<()> {
        let from_stdin: Vec<&str> =
            self.read.iter().filter(|input| is_stdin(&input.path)).map(|input| input.named).collect();
        if let [one, other, ..] = from_stdin.as_slice() {
            bail!(
                "standard input (`-`) can be read once, and is given for {one} and for {other}; name a file for one of them"
            );
        }
        for (place, (flag, path)) in self.written.iter().enumerate() {
            if let Some(input) = self.read.iter().find(|input| input.is_overwritten_by(path)) {
                bail!(
                    "{flag} {}: is read by this command ({} {}) and would be overwritten; name another file",
                    path.display(),
                    input.named,
                    input.path.display()
                );
            }
            let before = self.written.iter().take(place);
            if let Some((other, _)) = before.into_iter().find(|(_, other)| is_one_file(path, other)) {
                bail!("{other} and {flag} {}: both are written to the same file; name two", path.display());
            }
        }
        let Some(stdout) = stdout_file() else { return Ok(()) };
        let of = |path: &Path| if is_stdin(path) { stdin_file() } else { regular(path) };
        if let Some(input) = self.read.iter().find(|input| of(&input.path).as_ref() == Some(&stdout)) {
            bail!(
                "standard output goes to the file that is read ({} {}); let it go to another one",
                input.named,
                input.path.display()
            );
        }
        if let Some((flag, path)) =
            self.written.iter().find(|(_, path)| regular(path).as_ref() == Some(&stdout))
        {
            bail!("{flag} {}: standard output goes to the same file; name two", path.display());
        }
        Ok(())
    }
}

impl Input {
    fn is_overwritten_by(&self, output: &Path) -> bool {
        let Some(found) = regular(output) else { return false };
        if regular(&self.path).is_some_and(|own| own == found) {
            return true;
        }
        let Ok(folder) = self.path.canonicalize() else { return false };
        let Ok(file) = output.canonicalize() else { return false };
        if !folder.is_dir() {
            return false;
        }
        file.strip_prefix(&folder).is_ok_and(|inside| self.whole || holds_data(&folder, inside))
    }
}

/// Refuses a file that cannot be written, before any work; and standard output, where what was made is told.
pub fn check_made(flag: &str, path: &Path) -> anyhow::Result<()> {
    if path == Path::new("-") {
        bail!("{flag} -: what was made is told on standard output; name a file");
    }
    match is_stream(path) {
        // A pipe would be at its end for its reader after that.
        true => Ok(()),
        false => Ok(AtomicFile::create(path).map(drop)?),
    }
}

/// Says what standard input is read for where it is a terminal: a command that only waits looks like one that hangs.
pub fn say_awaited(what: &str, output: &Output) {
    if std::io::stdin().is_terminal() {
        output.note(&awaited(what));
    }
}

fn awaited(what: &str) -> String {
    format!("waiting for {what} on standard input; Ctrl-D at the beginning of a line ends it")
}

fn is_stdin(path: &Path) -> bool {
    let names = ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];
    // A file that stands behind those names can be opened as often as any other.
    path == Path::new("-") || is_stream(path) && names.iter().any(|name| path == Path::new(name))
}

/// Whether a file of this place in a folder is one of those that readers of folders read: those of BEIR, or documents.
fn holds_data(folder: &Path, inside: &Path) -> bool {
    let name = inside.to_string_lossy().to_ascii_lowercase();
    let bare = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    if [".jsonl", ".tsv"].iter().any(|ending| bare.ends_with(ending)) {
        return true;
    }
    SingleKind::of(inside).is_some() && BeirFolder::open(folder).is_err()
}

/// What tells one file from all others, whatever its names are.
#[derive(Debug, PartialEq, Eq)]
enum Identity {
    #[cfg(unix)]
    Inode(u64, u64),
    #[cfg(not(unix))]
    Path(PathBuf),
}

#[cfg(unix)]
fn identity(_: &Path, data: &Metadata) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    Some(Identity::Inode(data.dev(), data.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path, _: &Metadata) -> Option<Identity> {
    path.canonicalize().ok().map(Identity::Path)
}

/// A file that is there and is neither folder nor device: writing to those destroys nothing that was read.
fn regular(path: &Path) -> Option<Identity> {
    let data = std::fs::metadata(path).ok().filter(Metadata::is_file)?;
    identity(path, &data)
}

/// Whether two names are those of one file, also of one that is not there yet.
fn is_one_file(one: &Path, other: &Path) -> bool {
    match (regular(one), regular(other)) {
        (Some(one), Some(other)) => one == other,
        _ if is_stream(one) || is_stream(other) => false,
        _ => place(one) == place(other),
    }
}

/// Where a file is or would be, under the name that its folder has without links and `..`.
fn place(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => Some(folder.join(name)),
        _ => std::path::absolute(path).ok(),
    }
}

#[cfg(unix)]
fn stream_file(stream: impl std::os::fd::AsFd) -> Option<Identity> {
    let file = std::fs::File::from(stream.as_fd().try_clone_to_owned().ok()?);
    let data = file.metadata().ok().filter(Metadata::is_file)?;
    identity(Path::new("-"), &data)
}

/// The file to which standard output goes, where it is one.
#[cfg(unix)]
fn stdout_file() -> Option<Identity> {
    stream_file(std::io::stdout())
}

/// The file from which standard input comes, where it is one.
#[cfg(unix)]
fn stdin_file() -> Option<Identity> {
    stream_file(std::io::stdin())
}

#[cfg(not(unix))]
fn stdout_file() -> Option<Identity> {
    None
}

#[cfg(not(unix))]
fn stdin_file() -> Option<Identity> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn refused(paths: &Paths) -> String {
        paths.refuse_conflicts().err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn an_input_is_not_written_over_under_any_of_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["run", "corpus.jsonl", "old.html"] {
            fs::write(at(name), "x").unwrap();
        }
        fs::hard_link(at("run"), at("hard")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(at("run"), at("soft")).unwrap();
        let writes = |name: &str| Paths::default().reads("RUN", [at("run")]).writes("--report", [at(name)]);
        for name in ["run", "hard", "soft", "./run"] {
            let message = refused(&writes(name));
            assert!(message.contains("--report") && message.contains("RUN"), "{name}: {message}");
        }
        for name in ["new", "old.html", "no/such/folder"] {
            assert_eq!(refused(&writes(name)), "", "{name}");
        }
        assert_eq!(
            refused(&Paths::default().reads("RUN", ["/dev/null"]).writes("--trace", ["/dev/null"])),
            ""
        );
        let inside = |name: &str| {
            let paths = Paths::default().reads("QRELS", [folder.path()]);
            refused(&paths.writes("--report", [at(name)]))
        };
        assert!(inside("corpus.jsonl").contains("QRELS"));
        assert_eq!(inside("old.html"), "");
        let model = Paths::default().opens("--model", [folder.path()]).writes("--trace", [at("old.html")]);
        assert!(refused(&model).contains("--model"));
    }

    #[test]
    fn two_outputs_are_two_files() {
        let folder = tempfile::tempdir().unwrap();
        let new = folder.path().join("new");
        fs::create_dir(folder.path().join("sub")).unwrap();
        for same in ["./new", "sub/../new"] {
            let same = folder.path().join(same);
            let both = Paths::default().writes("--trace", [&new]).writes("--manifest", [&same]);
            assert!(refused(&both).contains("--trace and --manifest"), "{}", same.display());
        }
        // In the folder of the process too, where a bare name has no folder before it.
        let bare = Paths::default().writes("--trace", ["x.new"]).writes("--manifest", ["./src/../x.new"]);
        assert!(refused(&bare).contains("--trace and --manifest"));
        fs::write(&new, "").unwrap();
        let other =
            Paths::default().writes("--trace", [&new]).writes("--manifest", [folder.path().join("o")]);
        assert_eq!(refused(&other), "");
        let null = Paths::default().writes("--trace", ["/dev/null"]).writes("--manifest", ["/dev/null"]);
        assert_eq!(refused(&null), "");
    }

    #[test]
    fn standard_input_is_given_once() {
        let twice = Paths::default().reads("QRELS", ["-"]).reads("RUN", ["a", "-"]);
        assert!(refused(&twice).contains("given for QRELS and for RUN"), "{}", refused(&twice));
        assert_eq!(refused(&Paths::default().reads("QRELS", ["q"]).reads("RUN", ["-", "a"])), "");
        assert!(awaited("RUN").starts_with("waiting for RUN on standard input; Ctrl-D"));
    }
}
