//! The files that the flags of `rerank` name.

use super::Arguments;
use crate::command::Output;
use crate::command::paths::Paths;
use plackett::Pipeline;

impl Arguments {
    /// Refuses files that would be written over while they are read, and flags about files that are not read.
    pub(super) fn check_files(&self, output: &Output) -> anyhow::Result<()> {
        let of_a_run = [("--queries", self.queries.is_some()), ("--documents", self.documents.is_some())];
        let of_a_run = of_a_run.into_iter().find_map(|(flag, given)| given.then_some(flag));
        if let (None, Some(flag)) = (&self.run, of_a_run.or(self.kept.given())) {
            anyhow::bail!(
                "{flag}: is about the --documents of a --run; requests bring their documents, leave the flag out"
            );
        }
        let files = Paths::default().reads("FILE", &self.file).reads("--run", &self.run);
        let files = files.reads("--queries", &self.queries).reads("--documents", &self.documents);
        let calibration = self.calibration.as_ref().filter(|path| !super::is_stored(path));
        let files = files.reads("--qrels", &self.comparing.qrels).reads("--calibration", calibration);
        self.written(files.opens("--model", &self.model)).check(output)
    }

    /// The same for the models and prompts that stand in the methods.
    pub(super) fn check_files_of(&self, pipeline: &Pipeline, output: &Output) -> anyhow::Result<()> {
        self.written(Paths::default().opens_methods(pipeline)).check(output)
    }

    /// All files that are written, also those whose names follow from that of `--output`.
    fn written(&self, files: Paths) -> Paths {
        let files = files.writes("--trace", &self.trace).writes("--output", &self.to_file.output);
        let files = files.writes("the finished requests of --output", self.to_file.unfinished_path());
        files.writes("--manifest", self.to_file.manifest_path())
    }
}
