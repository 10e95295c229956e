//! On a tiny random model, whose attention means nothing but must agree with itself.

use super::*;
use crate::model::{PromptPart, PromptParts};
use plackett_lm::Precision;
use plackett_lm::decoder::{CacheFormat, DecoderOptions};
use std::path::Path;

fn model() -> DecoderModel {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/golden/decoder/llama");
    let options = DecoderOptions {
        precision: Precision::F32,
        cache: Some(CacheFormat::F32),
        ..DecoderOptions::default()
    };
    DecoderModel::open(path, &options).unwrap()
}

fn prompt(documents: &[&str], endings: &[&str]) -> PromptParts {
    let mut parts = vec![PromptPart::Common("Read:\n\n".into())];
    for document in documents {
        parts.push(PromptPart::Document((*document).into()));
        parts.push(PromptPart::Common("\n\n".into()));
    }
    let endings = endings.iter().map(|ending| (*ending).to_string()).collect();
    PromptParts { chat: false, system: "You read.".into(), parts, endings, answer: " [".into() }
}

fn blocks_of(documents: &[&str]) -> PromptParts {
    let mut prompt = prompt(documents, &["\nQuery: tart:"]);
    prompt.parts.retain(|part| *part != PromptPart::Common("\n\n".into()));
    prompt
}

fn options() -> AttentionOptions {
    AttentionOptions {
        layout: BlockLayout::Causal,
        layers: AttentionLayers::All,
        heads: Vec::new(),
        last: None,
        over: AttentionOver::All,
        per_token: true,
        per_head: false,
        answers: Vec::new(),
    }
}

fn block_options(query_position: usize) -> AttentionOptions {
    AttentionOptions {
        layout: BlockLayout::Blocks { query_position },
        layers: AttentionLayers::Depth(0.6),
        last: Some(2),
        over: AttentionOver::Documents,
        per_token: false,
        ..options()
    }
}

fn mass(model: &DecoderModel, parts: &PromptParts, options: &AttentionOptions) -> AttentionMass {
    attention(model, None, &[AttentionRequest { parts, options }]).remove(0).unwrap()
}

fn refusal(model: &DecoderModel, parts: &PromptParts, options: &AttentionOptions) -> CallError {
    attention(model, None, &[AttentionRequest { parts, options }]).remove(0).unwrap_err()
}

fn assert_near(a: &[Vec<f64>], b: &[Vec<f64>]) {
    assert_eq!(a.iter().map(Vec::len).collect::<Vec<_>>(), b.iter().map(Vec::len).collect::<Vec<_>>());
    let near = a.iter().flatten().zip(b.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(near, "{a:?} {b:?}");
}

#[test]
fn parts_of_a_conversation_are_the_tokens_of_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/golden/decoder/llama");
    for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(golden.join(file), folder.path().join(file)).unwrap();
    }
    let template = "{% for message in messages %}<{{ message.role }}>{{ message.content | trim }}</>\n{% endfor %}<assistant>";
    std::fs::write(folder.path().join("chat_template.jinja"), template).unwrap();
    let model = DecoderModel::open(folder.path(), &DecoderOptions::default()).unwrap();
    let reader = Reader::new(model.tokenizer());
    let chat = PromptParts { chat: true, ..prompt(&DOCUMENTS, &["Query: tart", "Query: N/A"]) };
    let tokens = PartTokens::read(reader, &chat, None).unwrap();
    for (n, ending) in tokens.endings.iter().enumerate() {
        let mut ids = tokens.before.clone();
        ids.extend(tokens.blocks.iter().flat_map(|block| &block.ids));
        ids.extend(ending);
        assert_eq!(ids, reader.encode(&chat.prompt(n)).unwrap().ids);
    }
}

const DOCUMENTS: [&str; 3] = ["[1] apple pie", "[2] a pear", "[3] figs"];

#[test]
fn documents_that_are_read_once_get_what_they_get_in_one_whole_pass() {
    let model = model();
    let endings = ["Query: tart", "Query: N/A"];
    let both = mass(&model, &prompt(&DOCUMENTS, &endings), &options());
    let tokens =
        PartTokens::read(Reader::new(model.tokenizer()), &prompt(&DOCUMENTS, &endings), None).unwrap();
    assert_eq!(both.usage.cached_tokens, tokens.common());
    let lengths: Vec<usize> = both.endings[0].iter().map(Vec::len).collect();
    assert_eq!(lengths, tokens.spans().iter().map(Range::len).collect::<Vec<_>>());
    assert!(lengths.iter().all(|length| *length > 3));
    for (n, ending) in endings.iter().enumerate() {
        let alone = mass(&model, &prompt(&DOCUMENTS, &[ending]), &options());
        assert_near(&alone.endings[0], &both.endings[n]);
        assert_eq!(alone.usage.cached_tokens, 0);
        // The same sequence without any cache.
        let mut whole = tokens.before.clone();
        whole.extend(tokens.blocks.iter().flat_map(|block| &block.ids));
        let queries: Vec<usize> = (whole.len()..whole.len() + tokens.endings[n].len()).collect();
        whole.extend(&tokens.endings[n]);
        let keys: Vec<Range<usize>> = tokens.spans().into_iter().flatten().map(|at| at..at + 1).collect();
        let wanted = Sums { layers: &[0, 1, 2], queries: &queries, keys: &keys, summed: true };
        let request = Request {
            tokens: &whole,
            cache: None,
            pattern: AttentionPattern::Causal,
            adapter: None,
            outputs: OutputRequest { attention: Some(wanted), ..OutputRequest::default() },
        };
        let found = over_layers(&model.forward(&[request]).unwrap()[0].attention, keys.len());
        let own: Vec<f64> = both.endings[n].concat();
        assert_near(&[found], &[own]);
    }
    assert_ne!(both.endings[0], both.endings[1], "endings attend differently");
}

#[test]
fn equal_endings_give_equal_attention() {
    let both = mass(&model(), &prompt(&DOCUMENTS, &["Query: N/A", "Query: N/A"]), &options());
    assert_eq!(both.endings[0], both.endings[1]);
}

#[test]
fn layers_and_heads_add_up_and_unknown_ones_are_refused() {
    let model = model();
    let parts = prompt(&DOCUMENTS, &["Query: tart"]);
    let all = mass(&model, &parts, &options());
    assert_eq!((all.heads, all.layers.clone()), (12, vec![0, 1, 2]));
    let heads: Vec<(usize, usize)> = (0..3).flat_map(|layer| (0..4).map(move |head| (layer, head))).collect();
    let listed = mass(&model, &parts, &AttentionOptions { heads: heads.clone(), ..options() });
    assert_near(&listed.endings[0], &all.endings[0]);
    let mut sum = vec![0.0; all.endings[0].concat().len()];
    for head in heads {
        let layers = AttentionLayers::At(vec![head.0]);
        let one = mass(&model, &parts, &AttentionOptions { heads: vec![head], layers, ..options() });
        assert_eq!((one.heads, one.layers.clone()), (1, vec![head.0]));
        sum.iter_mut().zip(one.endings[0].concat()).for_each(|(sum, own)| *sum += own);
    }
    assert_near(&[sum], &[all.endings[0].concat()]);
    let by_head = AttentionOptions { per_token: false, per_head: true, ..options() };
    let found = mass(&model, &parts, &by_head);
    assert_eq!(found.endings[0].iter().map(Vec::len).collect::<Vec<_>>(), [12; 3]);
    let whole = mass(&model, &parts, &AttentionOptions { per_token: false, ..options() });
    let summed: Vec<Vec<f64>> = found.endings[0].iter().map(|heads| vec![heads.iter().sum()]).collect();
    assert_near(&summed, &whole.endings[0]);
    let layers = AttentionLayers::At(vec![1]);
    let third = AttentionOptions { heads: vec![(1, 2)], layers, per_token: false, ..options() };
    let one = mass(&model, &parts, &third);
    let own: Vec<Vec<f64>> = found.endings[0].iter().map(|heads| vec![heads[4 + 2]]).collect();
    assert_near(&own, &one.endings[0]);
    let both = AttentionOptions { per_token: true, ..by_head };
    assert!(refusal(&model, &parts, &both).to_string().contains("each head"));
    let layers = AttentionLayers::At(vec![3]);
    let error = refusal(&model, &parts, &AttentionOptions { layers, ..options() });
    assert!(error.to_string().contains("has the layers 0 to 2"), "{error}");
    let error = refusal(&model, &parts, &AttentionOptions { heads: vec![(0, 4)], ..options() });
    assert!(error.to_string().contains("heads 0 to 3"), "{error}");
}

#[test]
fn shares_of_blocks_sum_to_one_for_each_head_and_do_not_depend_on_their_order() {
    let model = model();
    let given = mass(&model, &blocks_of(&DOCUMENTS), &block_options(100));
    assert_eq!((given.layers.clone(), given.query_position), (vec![2], Some(100)));
    let total: f64 = given.endings[0].iter().flatten().sum();
    assert!((total - given.heads as f64).abs() < 1e-5, "{total}");
    let order = [2, 0, 1];
    let moved = order.map(|n| DOCUMENTS[n]);
    let wanted: Vec<Vec<f64>> = order.iter().map(|n| given.endings[0][*n].clone()).collect();
    assert_near(&mass(&model, &blocks_of(&moved), &block_options(100)).endings[0], &wanted);
    // In one text, places matter.
    let causal = AttentionOptions { layout: BlockLayout::Causal, ..block_options(100) };
    let one = mass(&model, &blocks_of(&DOCUMENTS), &causal).endings[0].concat();
    let other = mass(&model, &blocks_of(&moved), &causal).endings[0].concat();
    assert!(order.iter().zip(&other).any(|(n, share)| (one[*n] - share).abs() > 1e-4), "{one:?} {other:?}");
}

#[test]
fn one_block_at_its_own_position_is_one_text() {
    let model = model();
    let parts = blocks_of(&DOCUMENTS[..1]);
    let layout = BlockLayout::Causal;
    for over in [AttentionOver::All, AttentionOver::Documents] {
        let own = AttentionOptions { over, per_token: true, ..block_options(1) };
        let block = mass(&model, &parts, &own);
        let text = mass(&model, &parts, &AttentionOptions { layout, ..own });
        assert_near(&block.endings[0], &text.endings[0]);
    }
}

#[test]
fn what_has_no_place_is_refused() {
    let model = model();
    let error = refusal(&model, &prompt(&DOCUMENTS, &["Query"]), &block_options(100));
    assert!(error.to_string().contains("separator"), "{error}");
    let long = "long ".repeat(100);
    let error = refusal(&model, &prompt(&[&long], &["Query"]), &options());
    assert!(matches!(error, CallError::TooLong { limit: 256, .. }), "{error}");
    let error = refusal(&model, &blocks_of(&[&long]), &block_options(100));
    assert!(matches!(error, CallError::TooLong { limit: 256, .. }), "{error}");
}

#[test]
fn answers_have_the_probabilities_of_one_whole_pass() {
    let model = model();
    let texts = ["3]", "figs", "a pear and more"];
    let answers = texts.map(str::to_string).to_vec();
    let parts = prompt(&DOCUMENTS, &["Query: tart", "Query: N/A"]);
    let found = mass(&model, &parts, &AttentionOptions { answers: answers.clone(), ..options() });
    let reader = Reader::new(model.tokenizer());
    let tokens = PartTokens::read(reader, &parts, None).unwrap();
    assert_eq!(found.answers.len(), 2);
    for (ending, found) in tokens.endings.iter().zip(&found.answers) {
        for (text, found) in texts.iter().zip(found) {
            let ids = reader.part(text).unwrap();
            let mut whole = tokens.before.clone();
            whole.extend(tokens.blocks.iter().flat_map(|block| &block.ids));
            whole.extend(ending);
            let begin = whole.len() - 1;
            whole.extend(&ids[..ids.len() - 1]);
            let places: Vec<usize> = (begin..whole.len()).collect();
            let request = continuation(&whole, None, (Positions::At(&places), &ids));
            let output = model.forward(&[request]).unwrap().remove(0);
            let of = |n: usize| f64::from(output.logits[n][n]) - output.normalizers[n];
            let wanted: f64 = (0..ids.len()).map(of).sum();
            assert!((found - wanted).abs() < 1e-4, "{text}: {found} {wanted}");
        }
    }
    // One block behind which the ending begins at once is one text.
    let parts = blocks_of(&DOCUMENTS[..1]);
    let block = AttentionOptions { answers, ..block_options(1) };
    let causal = AttentionOptions { layout: BlockLayout::Causal, ..block.clone() };
    assert_near(&mass(&model, &parts, &block).answers, &mass(&model, &parts, &causal).answers);
    let empty = AttentionOptions { answers: vec![String::new()], ..options() };
    assert!(refusal(&model, &parts, &empty).to_string().contains("answer without tokens"));
}
