//! The block index of `plackett index`: made with the documents, following them, and removed.

use super::super::Output;
use super::super::open::listed;
use super::super::terminal::plain;
use anyhow::{Context, bail};
use clap::Args;
use plackett::blocks;
use plackett::pipeline::Models;
use plackett_core::pipeline::Pipeline as Expression;
use plackett_rank::engine::{Agreement, BlockIndexInfo, BlockIndexWriter, BlockUpdate, Decoder};
use plackett_rank::prompting::BlockRecipe;
use plackett_rank::{MethodSpec, block_recipe};
use plackett_search::Index;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// The one method whose documents can be stored.
const METHOD: &str = "block-rank";

/// What is done with the block index.
#[derive(Args)]
pub struct BlockArguments {
    /// Keep what a local decoder computes of every document, so that `block-rank` in `search` computes the query alone.
    /// Later changes of the index are followed. Takes much room: 15 kB a token with SmolLM2-135M
    #[arg(long, value_name = "MODEL", conflicts_with = "drop_blocks")]
    blocks: Option<String>,
    /// How blocks are made, as in 'block-rank(tokens=160, layer=12)': prompt, words, tokens, style and layer
    /// [default: block-rank]
    #[arg(long, value_name = "EXPR", requires = "blocks")]
    blocks_method: Option<String>,
    /// Remove the block index
    #[arg(long, conflicts_with = "overwrite")]
    drop_blocks: bool,
}

/// What will be done when the documents are committed.
pub struct Plan {
    decoder: Arc<Decoder>,
    name: String,
    /// How a new block index is made.
    recipe: Option<BlockRecipe>,
    /// The writer of a block index that is there already.
    writer: Option<BlockIndexWriter>,
}

/// What was done.
pub struct BlockSummary {
    model: String,
    update: BlockUpdate,
    layers: (usize, usize),
    agreement: Option<Agreement>,
    removed: u64,
    seconds: f64,
}

impl BlockArguments {
    /// Whether the block index is to be removed.
    pub fn drops(&self) -> bool {
        self.drop_blocks
    }

    /// Refuses to remove what is not there.
    pub fn check_drop(&self, index: Option<&Index>, directory: &Path) -> anyhow::Result<()> {
        if self.drop_blocks && (index.is_none() || !blocks::folder(directory).exists()) {
            bail!("--drop-blocks: {} has no block index; leave the flag out", directory.display());
        }
        Ok(())
    }

    /// Removes the block index, where that is asked for.
    pub fn drop_asked(&self, directory: &Path, output: &Output) -> anyhow::Result<()> {
        if self.drop_blocks {
            let folder = blocks::folder(directory);
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("--drop-blocks: {}", folder.display()))?;
            output.warn(&format!("{}: the block index was removed", directory.display()));
        }
        Ok(())
    }

    /// Opens the model and checks everything before any document is read. `follows` says whether documents change.
    pub fn plan(
        &self,
        index: Option<&Index>,
        follows: bool,
        models: &Models,
    ) -> anyhow::Result<Option<Plan>> {
        if self.drop_blocks {
            return Ok(None);
        }
        let folder = index.map(|index| blocks::folder(index.directory()));
        let known = folder.as_deref().map(BlockIndexInfo::read).transpose()?.flatten();
        let (name, decoder) = match (&self.blocks, &known) {
            (Some(name), _) => {
                (name.clone(), models.decoder(name).with_context(|| format!("--blocks {name}"))?)
            }
            (None, Some(known)) if follows => {
                let name = &known.model.name;
                let opened = models.decoder(name).with_context(|| {
                    format!(
                        "the index has a block index of the model {}, which follows its documents; get the model, or remove \
                         the blocks with --drop-blocks",
                        known.model
                    )
                })?;
                (name.clone(), opened)
            }
            _ => return Ok(None),
        };
        let options = self.blocks_method.as_deref().map_or(Ok(Vec::new()), read_method)?;
        let values = MethodSpec::find(METHOD)?
            .values(options.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            .context("--blocks-method")?;
        let recipe = match known.is_none() || self.blocks_method.is_some() {
            true => Some(block_recipe(&values).context("--blocks-method")?),
            false => None,
        };
        let name = Models::lasting_name(&name);
        let open = |folder: &Path| BlockIndexWriter::open(folder, &decoder, &name, recipe.as_ref());
        let writer = known.and(folder).map(|folder| open(&folder)).transpose()?;
        Ok(Some(Plan { decoder, name, recipe, writer }))
    }
}

/// The options of an expression such as `block-rank(tokens=160)`.
fn read_method(expression: &str) -> anyhow::Result<Vec<(String, String)>> {
    let parsed: Expression = expression.parse().context("--blocks-method")?;
    match parsed.stages.as_slice() {
        [stage]
            if stage.depth.is_none()
                && stage.inputs.is_empty()
                && MethodSpec::find(&stage.name).is_ok_and(|spec| spec.name == METHOD) =>
        {
            Ok(stage.options.clone())
        }
        _ => bail!("--blocks-method {expression}: blocks are those of {METHOD}, with options in parentheses"),
    }
}

impl Plan {
    /// Makes the blocks be those of the index.
    pub fn run(self, index: &Index, say: &dyn Fn(String)) -> anyhow::Result<BlockSummary> {
        let started = Instant::now();
        let mut writer = match self.writer {
            Some(writer) => writer,
            None => {
                let folder = blocks::folder(index.directory());
                BlockIndexWriter::open(&folder, &self.decoder, &self.name, self.recipe.as_ref())?
            }
        };
        let all = index.passages();
        let update = blocks::follow(index, &mut writer, |progress| {
            let megabytes = progress.bytes as f64 / 1e6;
            say(format!("blocks: {} of {all} documents, {megabytes:.0} MB", progress.documents));
        })?;
        if writer.agreement().is_none() && update.with_block > 1 {
            say("blocks: comparing rankings".into());
            let measured = blocks::measure(index, &self.decoder);
            if let Some(agreement) = measured.map_err(|error| anyhow::anyhow!(error))? {
                writer.record_agreement(agreement)?;
            }
        }
        Ok(BlockSummary {
            model: self.name,
            update,
            layers: (writer.layers(), self.decoder.info().layers),
            agreement: writer.agreement().cloned(),
            removed: writer.removed(),
            seconds: started.elapsed().as_secs_f64(),
        })
    }
}

impl BlockSummary {
    /// What one must know to use it.
    pub fn remark(&self, output: &Output) {
        if self.removed > 0 {
            let megabytes = self.removed as f64 / 1e6;
            output.warn(&format!("blocks: removed {megabytes:.1} MB that an interrupted command had left"));
        }
        let cut: Vec<&str> = self.update.truncated.iter().map(|cut| cut.id.as_str()).collect();
        if !cut.is_empty() {
            let texts = listed(&cut, "text", "texts");
            output.warn(&format!(
                "blocks hold only the beginning of {texts}, longer than their prompt lets them be"
            ));
        }
        if let Some((_, reason)) = self.update.left_out.first() {
            let ids: Vec<&str> = self.update.left_out.iter().map(|(id, _)| id.as_str()).collect();
            output.warn(&format!("no block for {}: {reason}", listed(&ids, "document", "documents")));
        }
    }

    /// For `--json`.
    pub fn json(&self) -> Value {
        let update = &self.update;
        json!({
            "model": self.model, "documents": update.with_block, "computed": update.computed,
            "layers": self.layers.0, "bytes": update.bytes, "unused_bytes": update.unused_bytes,
            "truncated": update.truncated, "without_block": update.left_out.iter().map(|(id, _)| id).collect::<Vec<_>>(),
            "agreement": self.agreement, "seconds": self.seconds,
        })
    }

    /// For people.
    pub fn text(&self) -> String {
        let (update, megabytes) = (&self.update, self.update.bytes as f64 / 1e6);
        let mut text = format!(
            "  blocks of {}: {} of {} documents ({} computed), {} of {} layers, {megabytes:.1} MB, {:.1} s\n",
            plain(&self.model),
            update.with_block,
            update.documents,
            update.computed,
            self.layers.0,
            self.layers.1,
            self.seconds
        );
        if update.unused_bytes > 0 {
            let unused = update.unused_bytes as f64 / 1e6;
            text.push_str(&format!(
                "    {unused:.1} MB of them are of documents that are gone or replaced\n"
            ));
        }
        let Some(Agreement { queries, documents, computed, difference, query_first }) = self.agreement else {
            return text;
        };
        text.push_str(&format!(
            "    against blocks computed anew: Kendall's τ {computed:.3}, scores differ by at most {difference:.1e} ({queries} \
             queries over {documents} documents)\n"
        ));
        if let Some(tau) = query_first {
            text.push_str(&format!(
                "    against the prompt with the query before the documents, which cannot be stored: τ {tau:.3}\n"
            ));
        }
        text
    }
}
