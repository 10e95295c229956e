//! What `plackett index` refuses before it reads a document: flags that do not go together, and settings that an index does not have.

use super::{Arguments, Graph, Vectors};
use anyhow::bail;
use plackett::indexing::DocumentEmbedder;
use plackett_core::names_field;
use plackett_search::{HAS_HNSW, Index, MANIFEST, SearchError, VectorFormat};

impl Arguments {
    /// Refuses flags that do not go together, before anything is opened.
    pub(super) fn check(&self, changing: bool) -> anyhow::Result<()> {
        let path = self.output.display();
        let exists = self.output.read_dir().is_ok_and(|mut entries| entries.next().is_some());
        let has_index = self.output.join(MANIFEST).is_file();
        if exists && self.overwrite && !has_index {
            bail!(
                "--overwrite: {path} holds other files and no index (there is no {MANIFEST}), and only an index is \
                 written over; name a new folder"
            );
        }
        if exists && has_index && !changing && !self.overwrite {
            bail!(
                "{path}: there is an index; add to it with --append, make it anew with --overwrite, or name a new folder"
            );
        }
        if exists && !changing && !self.overwrite {
            bail!(
                "{path}: the folder is not empty; add to the index in it with --append, or name a new folder"
            );
        }
        if self.delete.is_some() && !changing {
            bail!(
                "--delete: a new index has nothing to remove; name an index with --append, or leave the flag out"
            );
        }
        if let (None, Some(flag)) = (&self.collection, self.documents.given()) {
            bail!("{flag}: says how documents are kept, and there is no collection; leave it out");
        }
        if let (true, Some(model)) = (self.no_vectors, self.asked_model()) {
            bail!(
                "--model {model}: --no-vectors makes no vectors, so that no model is used; leave one of them out"
            );
        }
        let types = self.field_types.as_deref().unwrap_or_default();
        for (place, (name, kind)) in types.iter().enumerate() {
            if types.iter().take(place).any(|(other, _)| other == name) {
                bail!("--field-types {name}={kind}: the field `{name}` is named twice; give it one type");
            }
        }
        if self.graph == Some(Graph::Always) && !HAS_HNSW {
            return Err(SearchError::WithoutUsearch.into());
        }
        Ok(())
    }

    /// Refuses passages that are longer than the model reads.
    pub(super) fn check_chunking(&self, embedder: Option<&DocumentEmbedder<'_>>) -> anyhow::Result<()> {
        let (Some(chunking), Some(embedder)) = (&self.chunk, embedder) else { return Ok(()) };
        let name = &embedder.identity().name;
        chunking
            .check(embedder)
            .map_err(|error| anyhow::anyhow!("--chunk {chunking}: {error} (model {name})"))
    }

    /// The model that was asked for. The environment's is a default, and an index has a model of its own.
    pub(super) fn asked_model(&self) -> Option<&str> {
        let default = std::env::var("PLACKETT_MODEL").ok();
        self.model.as_deref().filter(|name| default.as_deref() != Some(*name))
    }

    /// Refuses settings that an index does not have: they hold for its whole life.
    pub(super) fn check_settings(&self, index: &Index, model: Option<&str>) -> anyhow::Result<()> {
        let settings = index.settings();
        let refuse = |given: String, has: String| {
            let path = index.directory().display();
            anyhow::anyhow!(
                "{given}: the index {path} has {has}, which does not change; leave the flag out, or index the whole \
                 collection again into a new folder"
            )
        };
        if let Some(name) = self.analyzer.as_ref().filter(|name| **name != settings.analyzer) {
            return Err(refuse(format!("--analyzer {name}"), format!("the analyser {}", settings.analyzer)));
        }
        if let Some(fields) = self.fields.as_ref().filter(|fields| **fields != settings.fields) {
            let has = format!("the searched fields {}", settings.fields.join(","));
            return Err(refuse(format!("--fields {}", fields.join(",")), has));
        }
        for (name, kind) in self.field_types.iter().flatten() {
            let same = |own: &str| names_field(name, own) || names_field(own, name);
            let known = settings.types.iter().find(|(own, _)| same(own)).map(|(_, own)| own);
            let has = match known {
                Some(own) if own == kind => continue,
                Some(own) => format!("the type {own} for that field"),
                None => "no such type".into(),
            };
            return Err(refuse(format!("--field-types {name}={kind}"), has));
        }
        if let Some(chunking) = self.chunk.as_ref().filter(|own| settings.chunking.as_ref() != Some(own)) {
            let has = match &settings.chunking {
                Some(own) => format!("passages of {own}"),
                None => "whole documents".into(),
            };
            return Err(refuse(format!("--chunk {chunking}"), has));
        }
        let Some(own) = &settings.model else {
            let given = [
                model.map(|name| format!("--model {name}")),
                self.vectors.map(|format| format!("--vectors {}", format.name())),
                self.graph.map(|_| "--graph".to_string()),
            ];
            return match given.into_iter().flatten().next() {
                Some(given) => Err(refuse(given, "no vectors".into())),
                None => Ok(()),
            };
        };
        if self.no_vectors {
            return Err(refuse("--no-vectors".into(), format!("vectors of the model {}", own.name)));
        }
        if let Some(format) = self.vectors.filter(|format| format.format() != settings.vectors) {
            let has = if settings.vectors == VectorFormat::F32 { Vectors::F32 } else { Vectors::Int8 };
            return Err(refuse(format!("--vectors {}", format.name()), format!("{} vectors", has.name())));
        }
        match &self.collection {
            Some(_) => self.own.check_given(settings, index.directory(), self.sync, model),
            None => Ok(()),
        }
    }
}
