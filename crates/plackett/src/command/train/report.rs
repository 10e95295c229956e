//! What is told of a training that has ended: the model card, and what people and scripts read.

use super::file::TrainingFile;
use super::identity::WORK;
use super::kind::{Measured, Prepared};
use super::{page, unlearn};
use crate::command::open::many;
use crate::command::{Outcome, Output, depths};
use plackett_core::formats::atomic;
use plackett_train::trainer::{
    ADAPTER, Evaluated, Outcome as Learned, PHASE_ADAPTER, PhaseRecord, phase_folder,
};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The model card: what it was made from and how.
///
/// # Errors
/// The file cannot be written.
pub fn write_card(
    folder: &Path,
    (file, prepared): (&TrainingFile, &dyn Prepared),
    (learned, measured): (&Learned, &Measured),
    hashes: &[(String, String)],
) -> anyhow::Result<()> {
    let mut card = format!(
        "# A {}\n\nMade from {} by `plackett train` {}. {}\n\n\
         | file | SHA-256 |\n| --- | --- |\n",
        prepared.model(),
        file.base,
        env!("CARGO_PKG_VERSION"),
        prepared.does()
    );
    for (name, hash) in hashes {
        let _ = writeln!(card, "| {name} | {hash} |");
    }
    if let Some([shown, _]) = prepared.fingerprint() {
        let _ = writeln!(card, "| the examples in their prompts, as tokens | {shown} |");
    }
    let _ = write!(
        card,
        "\n{} of {} numbers were trained in {}.",
        learned.trainable,
        learned.parameters,
        many(learned.report.total, "step")
    );
    if let Some([before, after]) = learned.validation {
        let _ = write!(card, " The loss over the validation examples went from {before:.4} to {after:.4}.");
    }
    if let Some(ndcg) = &measured.ndcg {
        let (before, after, sure) = (ndcg.before, ndcg.after, ndcg.words("lists"));
        let _ = write!(card, " Their nDCG@10 went from {before:.4} to {after:.4} ({sure}).");
    }
    if let Some(div) = &measured.div {
        let (before, after, sure) = (div.before, div.after, div.words("lists"));
        let _ = write!(card, " Their div went from {before:.4} to {after:.4} ({sure}).");
    }
    card.push_str(&in_card(learned));
    let _ = write!(card, "{}{}", depths::table(&measured.depths), unlearn::table(&measured.known));
    let _ = write!(card, "\n\n```toml\n{}```\n", toml::to_string(file)?);
    Ok(atomic::write(&folder.join("README.md"), |out| write!(out, "{card}"))?)
}

/// What evaluations and phases have left, as the card of a model says it.
pub fn in_card(learned: &Learned) -> String {
    let evaluated = learned.report.evaluated.as_ref();
    let sentence = evaluated.map_or_else(String::new, |own| format!(" {}", evaluated_sentence(own)));
    sentence + &phase_table(&learned.report.members)
}

/// The same for somebody who looks on.
pub fn in_words(learned: &Learned) -> String {
    let evaluated = learned.report.evaluated.as_ref();
    let sentence = evaluated.map_or_else(String::new, |own| format!("{}\n", evaluated_sentence(own)));
    sentence + phase_table(&learned.report.members).trim_start()
}

/// Which step was best and whether the training stopped for want of a better one.
fn evaluated_sentence(evaluated: &Evaluated) -> String {
    let Evaluated { measure, best, value, stopped, .. } = evaluated;
    let stopped = stopped.map_or_else(String::new, |step| {
        format!(
            "; it stopped after step {step}, since none of the evaluations that `patience` allows was better"
        )
    });
    format!("The {measure} was best after step {best}, {value:.4}, and those weights are saved{stopped}.")
}

/// What the phases of an adapter have left, as a table; nothing where there is one adapter at the end of all.
fn phase_table(members: &[PhaseRecord]) -> String {
    let mut table = String::new();
    for PhaseRecord { phase, setting, size, measured, .. } in members {
        if table.is_empty() {
            table
                .push_str("\n\n| adapter after | numbers | measured | folder |\n| --- | --- | --- | --- |\n");
        }
        let measured =
            measured.as_ref().map_or_else(String::new, |(name, value)| format!("{name} {value:.4}"));
        let folder = phase_folder(Path::new(WORK), *phase);
        let _ = writeln!(table, "| {setting} | {size} | {measured} | {} |", folder.display());
    }
    table
}

/// Says what came out.
///
/// # Errors
/// Standard output cannot be written.
pub fn say(
    folder: &Path,
    (learned, measured): (&Learned, &Measured),
    prepared: &dyn Prepared,
    output: &Output,
) -> Outcome {
    let ([one, several], count) = prepared.count();
    let last = learned.report.final_loss();
    if output.json {
        return Ok(output.print_json(&document(folder, (learned, measured), prepared))?);
    }
    output.print(&format!(
        "{}: {} over {count} {}, {} of {} numbers trained, loss {last:.4} at the end\n",
        folder.display(),
        many(learned.report.total, "step"),
        if count == 1 { one } else { several },
        learned.trainable,
        learned.parameters
    ))?;
    if let Some([before, after]) = learned.validation {
        output.print(&format!("validation loss {before:.4} before, {after:.4} after\n"))?;
    }
    if let Some(ndcg) = &measured.ndcg {
        let (before, after, sure) = (ndcg.before, ndcg.after, ndcg.words("lists"));
        output.print(&format!("validation nDCG@10 {before:.4} before, {after:.4} after ({sure})\n"))?;
    }
    if let Some(div) = &measured.div {
        let (before, after, sure) = (div.before, div.after, div.words("lists"));
        output.print(&format!("validation div {before:.4} before, {after:.4} after ({sure})\n"))?;
    }
    output.print(&in_words(learned))?;
    output.print(depths::table(&measured.depths).trim_start())?;
    output.print(unlearn::table(&measured.known).trim_start())?;
    let prefix = if folder.is_absolute() { "" } else { "./" };
    let model = folder.display();
    output.print(&beside_the_weights(folder))?;
    let next = prepared.next(&format!("{prefix}{model}"));
    output.print(&format!("\nTry next: plackett {next}\n"))?;
    Ok(())
}

/// Where the adapter and the page lie in the folder of a model.
pub fn beside_the_weights(folder: &Path) -> String {
    let adapter = saved_adapter(folder).map_or_else(String::new, |adapter| {
        let form = match adapter.join(PHASE_ADAPTER).is_file() {
            true => "for `plackett model merge`",
            false => "as PEFT saves it",
        };
        format!("the adapter alone, {form}: {}\n", adapter.display())
    });
    format!("{adapter}curves of the training: {}/{}\n", folder.display(), page::FILE)
}

/// The folder of the adapter, where it was saved.
fn saved_adapter(model: &Path) -> Option<PathBuf> {
    let folder = model.join(ADAPTER);
    folder.is_dir().then_some(folder)
}

/// What came out, for scripts.
fn document(folder: &Path, (learned, measured): (&Learned, &Measured), prepared: &dyn Prepared) -> Value {
    let ([_, what], count) = prepared.count();
    let mut document = json!({
        "output": folder,
        what: count,
        "steps": learned.report.total,
        "trainable": learned.trainable,
        "parameters": learned.parameters,
        "loss": learned.report.final_loss(),
        "validation": learned.validation,
        "resumed": learned.report.resumed,
        "cut": learned.cut.pairs,
        "ranks": learned.ranks.iter().map(|(name, rank)| json!({"layer": name, "rank": rank})).collect::<Vec<_>>(),
    });
    add_what_is_left(&mut document, folder, learned);
    prepared.tell(measured, &mut document);
    document
}

/// Adds the page and what evaluations, phases and a saved adapter have left.
pub fn add_what_is_left(document: &mut Value, folder: &Path, learned: &Learned) {
    document["page"] = json!(folder.join(page::FILE));
    if let Some(Evaluated { measure, phase, best, value, stopped }) = &learned.report.evaluated {
        document["evaluated"] =
            json!({"measure": measure, "phase": phase, "best": best, "value": value, "stopped": stopped});
    }
    if !learned.report.members.is_empty() {
        document["phases"] = phases(&folder.join(WORK), &learned.report.members);
    }
    if let Some(adapter) = saved_adapter(folder) {
        document["adapter"] = json!(adapter);
    }
}

/// What the phases of an adapter have left, for scripts.
fn phases(work: &Path, members: &[PhaseRecord]) -> Value {
    let member = |member: &PhaseRecord| {
        json!({
            "phase": member.phase,
            "setting": member.setting,
            "numbers": member.size,
            "measure": member.measured.as_ref().map(|(name, _)| name),
            "value": member.measured.as_ref().map(|(_, value)| value),
            "adapter": phase_folder(work, member.phase).join(PHASE_ADAPTER),
        })
    };
    members.iter().map(member).collect()
}
