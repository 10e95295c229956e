//! The ranker of `--ranker`, with what it needs.

use super::failure;
use crate::command::{Failure, Global};
use anyhow::{Context, bail};
use plackett::pipeline::Models;
use plackett::pointer_ranker::PointerRanker;
use plackett_core::Document;
use plackett_rank::ask::{
    AskError, Asker, Aspect, CoverageRanker, Given, Ordered, PointedList, Pool, RANKERS, Vectors,
};
use plackett_rank::method::nearest;
use plackett_rank::model::Need;
use plackett_rank::{MethodSpec, Settings};
use std::path::Path;

/// What λ of MMR is when nothing is said.
const USUAL_LAMBDA: f64 = 0.5;

/// Passages in one prompt of the list ranker, unless more are wanted.
const WINDOW: usize = 20;

/// Passages in one prompt at most, as the method's own window has it.
const MOST: usize = 10_000;

/// The rankers there are.
pub fn help() -> String {
    let named = |ranker: &CoverageRanker| format!("{} ({})", ranker.name, ranker.help);
    let all: Vec<String> = RANKERS.iter().map(named).collect();
    format!("How passages are put in order: {}", all.join("; "))
}

/// The ranker of a name, with the flags that it takes.
pub fn find(
    name: &str,
    lambda: Option<f64>,
    trained: Option<&Path>,
) -> anyhow::Result<&'static CoverageRanker> {
    let Some(ranker) = CoverageRanker::find(name) else {
        let names: Vec<&str> = RANKERS.iter().map(|ranker| ranker.name).collect();
        let near = nearest(name, names.iter().copied());
        let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        bail!("--ranker {name}: there is no such ranker; {near}use one of: {}", names.join(", "));
    };
    if lambda.is_some() && ranker.name != "mmr" {
        bail!("--lambda has no effect with --ranker {name}; leave it out, or use --ranker mmr");
    }
    match (ranker.is_trained, trained) {
        (false, Some(_)) => {
            bail!("--ranker-model has no effect with --ranker {name}; leave it out, or use --ranker pointer")
        }
        (true, None) => bail!(
            "--ranker {name} needs --ranker-model DIR: the folder that `plackett train` leaves for a file with a table [pointer]"
        ),
        _ => Ok(ranker),
    }
}

/// Opens the trained ranker of a folder, with the model of its vectors.
pub fn open_trained(folder: &Path, global: &Global) -> anyhow::Result<PointerRanker> {
    if !folder.is_dir() {
        bail!("--ranker-model {}: there is no such folder", folder.display());
    }
    PointerRanker::open(folder, &Models::new(None, global.models()))
        .with_context(|| format!("--ranker-model {}", folder.display()))
}

/// A ranker and what it may need.
pub struct Choice<'a> {
    pub ranker: &'static CoverageRanker,
    pub asker: Option<&'a Asker>,
    pub trained: Option<&'a PointerRanker>,
    pub models: &'a Models,
    pub settings: &'a Settings,
    /// The model of the index's vectors.
    pub embedding_model: Option<String>,
    pub global: &'a Global,
    pub lambda: Option<f64>,
    pub k: usize,
}

impl Choice<'_> {
    /// The best candidates in order, and what has to be said of the way there.
    pub fn order(
        &self,
        question: &str,
        aspects: &[Aspect],
        pool: &Pool,
        documents: &[&Document],
    ) -> Result<(Ordered, Vec<String>), Failure> {
        let mut remarks = Vec::new();
        if documents.is_empty() {
            return Ok((
                Ordered { positions: Vec::new(), scores: Vec::new(), trace: Default::default() },
                remarks,
            ));
        }
        let k = self.k.min(documents.len());
        let vectors = match self.ranker.compares_texts {
            true => Some(self.vectors(question, documents)?),
            false => None,
        };
        let pointed = self.pointed(question, aspects, documents, &mut remarks)?;
        let mut given = Given {
            question,
            aspects,
            pool,
            documents,
            k,
            lambda: self.lambda.unwrap_or(USUAL_LAMBDA),
            vectors: vectors.as_ref(),
            list: None,
            pointed: pointed.as_ref(),
        };
        if !self.ranker.asks_model {
            return Ok((self.ranker.order(&given).map_err(failure)?, remarks));
        }
        let free = self.asker.and_then(|asker| asker.model().can(Need::ConstrainedGeneration).err());
        if let Some(reason) = &free {
            remarks.push(format!(
                "the model cannot be held to a list of passages ({reason}); it writes freely, and its list is read and repaired"
            ));
        }
        let method = MethodSpec::find("listwise").map_err(anyhow::Error::from)?;
        let (top, window) = (k.to_string(), WINDOW.max(2 * k).min(MOST).to_string());
        let mut options = vec![("prompt", "richrag"), ("top", top.as_str()), ("window", window.as_str())];
        if free.is_some() {
            options.push(("mode", "free"));
        }
        let values = method.values(options).map_err(anyhow::Error::from)?;
        let model = self.models.reranker(None).map_err(anyhow::Error::from)?;
        let ranker = method.ranker(model, values, self.settings.clone()).map_err(anyhow::Error::from)?;
        let list = |request: &plackett_core::RankRequest| {
            let ranked = ranker.rank(std::slice::from_ref(request)).pop();
            ranked
                .unwrap_or_else(|| {
                    let query = request.query.id.clone();
                    Err(plackett_rank::RankError::Request {
                        query,
                        problem: "the ranker gave no list".into(),
                    })
                })
                .map_err(AskError::from)
        };
        given.list = Some(&list);
        Ok((self.ranker.order(&given).map_err(failure)?, remarks))
    }

    /// The list of the trained ranker, where there is one.
    fn pointed(
        &self,
        question: &str,
        aspects: &[Aspect],
        documents: &[&Document],
        remarks: &mut Vec<String>,
    ) -> Result<Option<PointedList>, Failure> {
        let Some(trained) = self.trained else { return Ok(None) };
        remarks.extend(trained.remark().map(str::to_string));
        Ok(Some(trained.list(question, aspects, documents, self.k).map_err(failure)?))
    }

    /// Vectors by the index's own model, or by the bundled one.
    fn vectors(&self, question: &str, documents: &[&Document]) -> Result<Vectors, Failure> {
        let models = Models::new(None, self.global.models());
        let model = models.open(self.embedding_model.as_deref()).map_err(anyhow::Error::from)?;
        let wrong = |reason| AskError::WrongModel { model: model.info().name.clone(), reason };
        let embedder = model.abilities().text_embedder().map_err(wrong)?;
        Vectors::read(embedder.as_ref(), question, documents).map_err(failure)
    }
}
