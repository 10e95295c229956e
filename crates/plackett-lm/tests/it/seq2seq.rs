//! Encoder–decoders against transformers: golden files of tiny random models (`tools/golden/make_encoder_decoder_golden.py`
//! makes them), and every way in which one result can be computed.

use plackett_lm::decode::*;
use plackett_lm::seq2seq::{AnchorDecoder, EncoderDecoder, EncoderDecoderOptions, Session};
use plackett_lm::{LmError, Precision};
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

const NAMES: [&str; 3] = ["t5", "t5-gated", "bart"];
const CASES: usize = 5;
/// What the issue promises is 1e-3.
const TOLERANCE: f32 = 1e-4;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/seq2seq").join(name)
}

fn open(name: &str, precision: Precision, threads: usize) -> EncoderDecoder {
    let options = EncoderDecoderOptions { precision, threads: Some(threads), memory_budget: None };
    EncoderDecoder::open(folder(name), &options).expect(name)
}

struct Golden(Vec<u8>);

impl Golden {
    fn read(name: &str) -> Golden {
        Golden(std::fs::read(folder(name).join("expected.safetensors")).expect("golden numbers"))
    }

    fn words(&self, tensor: &str) -> Vec<[u8; 4]> {
        let file = SafeTensors::deserialize(&self.0).expect("golden file");
        let tensor = file.tensor(tensor).expect(tensor);
        tensor.data().chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]).collect()
    }

    fn ids(&self, tensor: String) -> Vec<u32> {
        self.words(&tensor).into_iter().map(u32::from_le_bytes).collect()
    }

    fn floats(&self, tensor: String) -> Vec<f32> {
        self.words(&tensor).into_iter().map(f32::from_le_bytes).collect()
    }
}

fn assert_close(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= TOLERANCE && found.iter().all(|x| x.is_finite()), "{what}: differs by {worst}");
}

fn grow(session: &mut Session<'_>, parent: PrefixId, tokens: &[u32]) -> BranchOutput {
    let branch = Branch { parent, tokens, logit_ids: LogitIds::All, normalizer: false };
    session.extend(&[branch], &[]).expect("logits").remove(0)
}

#[test]
fn states_and_logits_are_those_of_transformers() {
    for name in NAMES {
        let (golden, model) = (Golden::read(name), open(name, Precision::F32, 2));
        let sources: Vec<Vec<u32>> = (0..CASES).map(|n| golden.ids(format!("source.{n}"))).collect();
        let sources: Vec<&[u32]> = sources.iter().map(Vec::as_slice).collect();
        for (n, states) in model.states(&sources).expect("states").iter().enumerate() {
            assert_close(&format!("{name} encoded.{n}"), states, &golden.floats(format!("encoded.{n}")));
        }
        let mut session = model.session();
        let handles = session.sources(&sources).expect("sources");
        for (n, source) in handles.iter().enumerate() {
            let target = golden.ids(format!("target.{n}"));
            let expected = golden.floats(format!("logits.{n}"));
            assert_eq!(target[0], model.start());
            let mut rows = expected.chunks_exact(model.vocabulary());
            // Token by token from the cache, and the whole at once: only the last row comes back.
            let mut at = *source;
            let mut last = Vec::new();
            for (place, token) in target.iter().enumerate() {
                let grown = grow(&mut session, at, &[*token]);
                assert_close(
                    &format!("{name} logits.{n}, token {place}"),
                    &grown.logits,
                    rows.next().expect("row"),
                );
                (at, last) = (grown.prefix, grown.logits);
            }
            assert_eq!(grow(&mut session, *source, &target).logits, last, "{name} {n}: cached is uncached");
        }
    }
}

#[test]
fn greedy_outputs_are_those_of_transformers() {
    for name in NAMES {
        let (golden, model) = (Golden::read(name), open(name, Precision::F32, 1));
        let mut session = model.session();
        for n in 0..CASES {
            let source = session.sources(&[&golden.ids(format!("source.{n}"))]).expect("source")[0];
            let expected = golden.ids(format!("greedy.{n}"));
            let (mut at, mut written) = (source, vec![model.start()]);
            while written.len() < expected.len() {
                let grown = grow(&mut session, at, &written[written.len() - 1..]);
                let best =
                    (0..grown.logits.len()).max_by(|a, b| grown.logits[*a].total_cmp(&grown.logits[*b]));
                written.push(best.expect("a vocabulary") as u32);
                at = grown.prefix;
            }
            assert_eq!(written, expected, "{name} {n}");
        }
    }
}

/// Rounded to int8, the logits keep their order, more or less.
#[test]
fn int8_stays_near_f32() {
    for name in NAMES {
        let (golden, model) = (Golden::read(name), open(name, Precision::Int8, 1));
        assert!(model.weight_bytes() * 2 < open(name, Precision::F32, 1).weight_bytes());
        let mut session = model.session();
        for n in 0..CASES {
            let source = session.sources(&[&golden.ids(format!("source.{n}"))]).expect("source")[0];
            let target = golden.ids(format!("target.{n}"));
            let found = grow(&mut session, source, &target).logits;
            let expected = golden.floats(format!("logits.{n}"));
            let expected = &expected[expected.len() - found.len()..];
            let mean = |x: &[f32]| x.iter().map(|x| f64::from(*x)).sum::<f64>() / x.len() as f64;
            let (a, b) = (mean(&found), mean(expected));
            let dot = |x: &[f32], m: f64, y: &[f32], n: f64| {
                x.iter().zip(y).map(|(x, y)| (f64::from(*x) - m) * (f64::from(*y) - n)).sum::<f64>()
            };
            let correlation = dot(&found, a, expected, b)
                / (dot(&found, a, &found, a) * dot(expected, b, expected, b)).sqrt();
            assert!(correlation > 0.99, "{name} {n}: {correlation}");
        }
    }
}

/// Alone, in any company, cut anywhere, with any number of threads and in both precisions: the same bits.
#[test]
fn company_cuts_and_threads_change_no_bit() {
    for name in NAMES {
        let golden = Golden::read(name);
        let source = golden.ids("source.2".into());
        let target = golden.ids("target.3".into());
        for precision in [Precision::F32, Precision::Int8] {
            let alone = {
                let model = open(name, precision, 1);
                let mut session = model.session();
                let root = session.sources(&[&source]).expect("source")[0];
                grow(&mut session, root, &target).logits
            };
            for threads in [1, 3] {
                let model = open(name, precision, threads);
                let mut session = model.session();
                let (long, one) = (golden.ids("source.4".into()), golden.ids("source.0".into()));
                let roots = session.sources(&[&long, &source, &one]).expect("sources");
                let mut at = roots[1];
                // Pieces of many lengths, so that prefixes are joined on the way.
                let mut pieces = Vec::new();
                let mut rest = target.as_slice();
                while !rest.is_empty() {
                    let (piece, after) = rest.split_at(rest.len().min(1 + pieces.len() % 4));
                    pieces.push(piece);
                    rest = after;
                }
                for (index, piece) in pieces.iter().enumerate() {
                    let last = index + 1 == pieces.len();
                    let logit_ids = if last { LogitIds::All } else { LogitIds::None };
                    let branches = [
                        Branch {
                            parent: roots[0],
                            tokens: &target[..9],
                            logit_ids: LogitIds::All,
                            normalizer: true,
                        },
                        Branch { parent: at, tokens: piece, logit_ids, normalizer: false },
                        Branch {
                            parent: roots[2],
                            tokens: &target[..1],
                            logit_ids: LogitIds::Only(&[5]),
                            normalizer: false,
                        },
                    ];
                    let dropped = if index == 0 { vec![] } else { vec![at] };
                    let grown = session.extend(&branches, &dropped).expect("logits");
                    at = grown[1].prefix;
                    if last {
                        assert_eq!(grown[1].logits, alone, "{name} {precision:?} {threads}");
                    }
                    session.release(&[grown[0].prefix, grown[2].prefix]);
                }
                assert_eq!(session.live_prefixes(), 4, "three sources and one output");
            }
        }
    }
}

/// With less and less memory the results stay the same, until nothing is possible any more.
#[test]
fn a_memory_budget_is_kept_by_splitting_work() {
    for name in NAMES {
        let golden = Golden::read(name);
        let (source, target) = (golden.ids("source.3".into()), golden.ids("target.2".into()));
        let run = |budget: Option<usize>| {
            let options = EncoderDecoderOptions { memory_budget: budget, ..EncoderDecoderOptions::default() };
            let model = EncoderDecoder::open(folder(name), &options).expect(name);
            let mut session = model.session();
            let root = session.sources(&[&source])?[0];
            let branch = Branch { parent: root, tokens: &target, logit_ids: LogitIds::All, normalizer: true };
            let grown = session.extend(&[branch; 30], &[])?;
            let bytes = session.bytes();
            let logits: Vec<Vec<f32>> = grown.into_iter().map(|grown| grown.logits).collect();
            Ok::<_, LmError>((logits, model.weight_bytes(), bytes))
        };
        let (expected, weights, keys) = run(None).expect("without a budget");
        assert!(expected.iter().all(|logits| *logits == expected[0]));
        let mut refused = 0;
        for spare in [0, 1_000, 50_000, 200_000, 1_000_000, 4_000_000] {
            let budget = weights + keys + spare;
            match run(Some(budget)) {
                Ok((found, ..)) => assert!(found == expected, "{name} {spare}"),
                Err(LmError::MemoryBudget { needed, .. }) => {
                    assert!(needed > budget, "{needed} {budget}");
                    refused += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert!((1..=4).contains(&refused), "{name}: {refused}");
    }
}

#[test]
fn chosen_logits_and_the_normaliser_are_those_of_the_whole() {
    for name in NAMES {
        let (golden, model) = (Golden::read(name), open(name, Precision::F32, 2));
        let mut session = model.session();
        let root = session.sources(&[&golden.ids("source.1".into())]).expect("source")[0];
        let target = golden.ids("target.1".into());
        let all = grow(&mut session, root, &target).logits;
        let ids = [7, 3, 89, 3];
        for normalizer in [false, true] {
            let branch =
                Branch { parent: root, tokens: &target, logit_ids: LogitIds::Only(&ids), normalizer };
            let grown = session.extend(&[branch], &[]).expect("logits").remove(0);
            assert_eq!(grown.logits, ids.map(|id| all[id as usize]));
            let sum: f64 = all.iter().map(|x| f64::from(*x).exp()).sum();
            assert_eq!(grown.normalizer.is_some(), normalizer);
            assert!(grown.normalizer.is_none_or(|found| (found - sum.ln()).abs() < 1e-9));
        }
    }
}

/// A beam over identifiers finds what scoring each of them alone finds.
#[test]
fn beams_over_a_trie_find_the_best_identifiers_of_each_source() {
    let names: Vec<Vec<u32>> = (0..40u32).map(|i| vec![10 + i % 5, 20 + i % 7, 30 + i]).collect();
    for name in NAMES {
        let (golden, model) = (Golden::read(name), open(name, Precision::F32, 2));
        let mut session = model.session();
        let sources: Vec<Vec<u32>> = [1, 2].map(|n| golden.ids(format!("source.{n}"))).to_vec();
        let sources: Vec<&[u32]> = sources.iter().map(Vec::as_slice).collect();
        let roots = session.sources(&sources).expect("sources");
        let mut wanted: Vec<Vec<(f64, &Vec<u32>)>> = Vec::new();
        for root in &roots {
            let mut scored = Vec::new();
            for id in &names {
                let (mut at, mut token, mut sum) = (*root, model.start(), 0.0);
                for next in id {
                    let branch = Branch {
                        parent: at,
                        tokens: &[token],
                        logit_ids: LogitIds::Only(&[*next]),
                        normalizer: true,
                    };
                    let grown = session.extend(&[branch], &[]).expect("logits").remove(0);
                    sum += f64::from(grown.logits[0]) - grown.normalizer.expect("normaliser");
                    (at, token) = (grown.prefix, *next);
                }
                scored.push((sum, id));
            }
            scored.sort_by(|a, b| b.0.total_cmp(&a.0));
            wanted.push(scored);
        }
        let trie =
            TrieConstraint::new(TokenTrie::build(&names).expect("trie").trie, None).expect("constraint");
        let mut options = DecodeOptions::new(Strategy::Beam(Beam::new(40)));
        (options.normalize, options.score_forced) = (Normalize::Vocabulary, true);
        let start = [model.start()];
        let requests: Vec<DecodeRequest<'_, TrieConstraint<TokenTrie>>> = roots
            .iter()
            .map(|root| DecodeRequest { prefix: *root, prompt: &start, constraint: &trie, index: 0 })
            .collect();
        let before = session.live_prefixes();
        let decoded = decode(&mut session, &requests, &options).expect("decoded");
        assert_eq!(session.live_prefixes(), before, "every handle is dropped again");
        for (decoded, wanted) in decoded.iter().zip(&wanted) {
            let found = &decoded.as_ref().expect("results").hypotheses;
            assert_eq!(found.len(), names.len());
            for (found, (score, id)) in found.iter().zip(wanted) {
                assert_eq!((&found.tokens, (found.log_prob - score).abs() < 1e-4), (*id, true), "{name}");
            }
        }
    }
}

#[test]
fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let model = open("bart", Precision::F32, 1);
    let mut session = model.session();
    for bad in [&[][..], &[90], &[5; 201]] {
        assert!(
            matches!(session.sources(&[&[5], bad]), Err(LmError::Tokenization { index: 1, .. })),
            "{bad:?}"
        );
    }
    let root = session.sources(&[&[5, 6]]).expect("source")[0];
    let long = [5; 201];
    let good = Branch { parent: root, tokens: &[2], logit_ids: LogitIds::All, normalizer: false };
    for (bad, part) in [
        (Branch { parent: session.root(), ..good }, "no source"),
        (Branch { parent: PrefixId(77), ..good }, "not in use"),
        (Branch { tokens: &[], ..good }, "no new tokens"),
        (Branch { tokens: &[90], ..good }, "not below 90"),
        (Branch { logit_ids: LogitIds::Only(&[1, 90]), ..good }, "not below 90"),
        (Branch { tokens: &long, ..good }, "200"),
    ] {
        let message = session.extend(&[good, bad], &[root]).expect_err(part).to_string();
        assert!(message.contains(part) && message.contains("branch 1"), "{message}");
        assert_eq!(session.live_prefixes(), 1);
    }
    assert!(session.extend(&[], &[]).expect("nothing").is_empty());
    assert!(model.encode(&["text"], 10).expect_err("no tokenizer").to_string().contains("tokenizer.json"));
}

/// A tokenizer of letters for the golden T5's vocabulary, in the form of T5's own.
fn letters() -> serde_json::Value {
    let special = ["<pad>", "</s>", "<unk>"];
    let pieces = special.iter().map(|s| s.to_string()).chain(std::iter::once("\u{2581}".to_string()));
    let signs = (b'!'..).map(|b| char::from(b).to_string());
    let vocabulary: Vec<serde_json::Value> =
        pieces.chain(signs).take(90).map(|piece| serde_json::json!([piece, -3.0])).collect();
    let added: Vec<serde_json::Value> = (0..3)
        .map(|id| {
            serde_json::json!({"id": id, "content": special[id], "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true})
        })
        .collect();
    let space = serde_json::json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true});
    let part = |name: &str| serde_json::json!({name: {"id": if name == "Sequence" { "A" } else { "</s>" }, "type_id": 0}});
    let end = serde_json::json!({"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}});
    let parts = [part("Sequence"), part("SpecialToken")];
    serde_json::json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": space, "decoder": space,
        "post_processor": {"type": "TemplateProcessing", "single": parts, "pair": parts, "special_tokens": end},
        "model": {"type": "Unigram", "unk_id": 2, "vocab": vocabulary, "byte_fallback": false}})
}

#[test]
fn texts_go_in_and_come_out() {
    let directory = tempfile::tempdir().expect("a folder");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(folder("t5").join(file), directory.path().join(file)).expect("copied");
    }
    std::fs::write(directory.path().join("tokenizer.json"), letters().to_string()).expect("written");
    let model = EncoderDecoder::open(directory.path(), &EncoderDecoderOptions::default()).expect("model");
    let (ids, cut) = model.encode(&["AB", "ABCDEF"], 5).expect("ids");
    let id = |letter: u8| u32::from(letter - b'!') + 4;
    assert_eq!(ids, [vec![3, id(b'A'), id(b'B'), 1], vec![3, id(b'A'), id(b'B'), id(b'C'), 1]]);
    assert_eq!((cut.len(), cut[0].index, cut[0].tokens, cut[0].kept), (1, 1, 8, 5));

    let tokens = model.tokenizer().expect("tokenizer");
    let mut session = model.session();
    let sources: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
    let roots = session.sources(&sources).expect("sources");
    let start = [model.start()];
    // One of two answers, each by its own tokens.
    let answers = Choices::new(
        &[&["YES"], &["NO"]],
        |text| tokens.encode(text, false, false).map_err(|e| DecodeError::Tokenizer(e.to_string())),
        model.end(),
    );
    let answers = answers.expect("constraint");
    let request = |prefix| DecodeRequest { prefix, prompt: &start, constraint: &answers, index: 0 };
    let options = DecodeOptions::new(Strategy::Beam(Beam::new(4)));
    for decoded in decode(&mut session, &[request(roots[0]), request(roots[1])], &options).expect("decoded") {
        let found = decoded.expect("answers").hypotheses;
        let written: Vec<String> =
            found.iter().map(|h| tokens.decode(&h.tokens, true).expect("text").trim().to_string()).collect();
        let mut sorted = written.clone();
        sorted.sort();
        assert_eq!(sorted, ["NO", "YES"]);
        assert_eq!(["YES", "NO"][found[0].output], written[0]);
        let sum: f64 = found.iter().map(|h| h.log_prob.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    }
    // Free text of a few tokens.
    let bytes =
        TokenBytes::from_tokenizer(tokens.backend()).and_then(|all| all.without(&[0, 1, 2])).expect("bytes");
    let free = FreeText::new(std::sync::Arc::new(bytes), &["Z"], &[1], 6).expect("constraint");
    let request = DecodeRequest { prefix: roots[0], prompt: &start, constraint: &free, index: 0 };
    let decoded =
        decode(&mut session, &[request], &DecodeOptions::new(Strategy::Greedy)).expect("decoded").remove(0);
    let best = decoded.expect("a text").hypotheses.remove(0);
    assert!((1..=6).contains(&best.tokens.len()) && !best.output.text.contains('Z'), "{best:?}");
    assert_eq!(session.live_prefixes(), 2);
}

#[test]
fn damaged_models_are_refused_by_the_name_of_the_tensor() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in NAMES {
        let source = self::folder(name);
        let config = std::fs::read_to_string(source.join("config.json")).expect("config");
        let weights = std::fs::read(source.join("model.safetensors")).expect("weights");
        let tensors = SafeTensors::deserialize(&weights).expect("weights").names().len();
        assert!(tensors > 20);
        let try_it = |config: &str, weights: &[u8]| {
            std::fs::write(folder.path().join("config.json"), config).expect("written");
            std::fs::write(folder.path().join("model.safetensors"), weights).expect("written");
            EncoderDecoder::open(folder.path(), &EncoderDecoderOptions::default())
                .err()
                .map(|e| e.to_string())
        };
        assert_eq!(try_it(&config, &weights), None);
        // A tensor under another name of the same length.
        let missing = |tensor: &str| {
            let at = weights.windows(tensor.len()).position(|w| w == tensor.as_bytes()).expect("the tensor");
            let mut changed = weights.clone();
            changed[at] = b'X';
            changed
        };
        let names: &[&str] = match name {
            "bart" => {
                &["model.decoder.layers.1.encoder_attn.k_proj.weight", "model.encoder.embed_positions.weight"]
            }
            _ => &[
                "decoder.block.1.layer.1.EncDecAttention.q.weight",
                "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            ],
        };
        for tensor in names {
            let message = try_it(&config, &missing(tensor)).expect("refused");
            assert!(message.contains(tensor) && message.contains("missing"), "{message}");
        }
        for (from, to, part) in [
            ("\"d_model\": 32", "\"d_model\": 33", "33"),
            ("\"model_type\": \"", "\"model_type\": \"x", "architecture"),
            ("\"eos_token_id\": ", "\"eos_token_id\": 9999", "eos_token_id"),
            ("{", "{\"normalize_before\": true,", if name == "bart" { "normalize_before" } else { "" }),
        ] {
            if part.is_empty() {
                continue;
            }
            let message = try_it(&config.replace(from, to), &weights).expect("refused");
            assert!(message.contains(part), "{message}");
        }
        if name != "bart" {
            for (from, to, part) in [
                ("\"layer_norm_epsilon\": 1e-06", "\"layer_norm_epsilon\": -1.0", "layer_norm_epsilon"),
                (
                    "\"relative_attention_max_distance\": 128",
                    "\"relative_attention_max_distance\": 9",
                    "distances",
                ),
                ("\"feed_forward_proj\": \"", "\"feed_forward_proj\": \"un", "feed_forward_proj"),
            ] {
                let message = try_it(&config.replace(from, to), &weights).expect("refused");
                assert!(message.contains(part), "{message}");
            }
        }
    }
}

/// Logits of the first token from a state, with the output matrix of the file.
fn first_logits(name: &str, state: &[f32]) -> Vec<f32> {
    let file = std::fs::read(folder(name).join("model.safetensors")).expect("weights");
    let file = SafeTensors::deserialize(&file).expect("weights");
    let config = std::fs::read_to_string(folder(name).join("config.json")).expect("config");
    let config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    let tied = config["tie_word_embeddings"] == true;
    let output = file.tensor(if tied { "shared.weight" } else { "lm_head.weight" }).expect("output matrix");
    let scale = if tied { 1.0 / (state.len() as f32).sqrt() } else { 1.0 };
    let numbers: Vec<f32> =
        output.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let product = |row: &[f32]| scale * row.iter().zip(state).map(|(w, x)| w * x).sum::<f32>();
    numbers.chunks_exact(state.len()).map(product).collect()
}

#[test]
fn a_first_step_over_given_states_is_that_of_transformers() {
    for name in ["t5", "t5-gated"] {
        let (golden, model) = (Golden::read(name), open(name, Precision::F32, 2));
        let encoded: Vec<Vec<f32>> = (0..CASES).map(|n| golden.floats(format!("encoded.{n}"))).collect();
        let lists: Vec<&[f32]> = encoded.iter().map(Vec::as_slice).collect();
        for (n, state) in model.first_states(&lists).expect("states").iter().enumerate() {
            let expected = golden.floats(format!("logits.{n}"));
            assert_close(&format!("{name} {n}"), &first_logits(name, state), &expected[..model.vocabulary()]);
        }
    }
}

#[test]
fn a_first_step_knows_no_order_of_its_vectors() {
    let (golden, model) = (Golden::read("t5"), open("t5", Precision::F32, 2));
    let encoded = golden.floats("encoded.1".into());
    let turned: Vec<f32> = encoded.chunks_exact(model.hidden()).rev().flatten().copied().collect();
    let states = model.first_states(&[&encoded, &turned, &encoded[model.hidden()..]]).expect("states");
    let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart(&states[0], &states[1]) < 1e-5);
    assert!(apart(&states[0], &states[2]) > 1e-3, "another list has another anchor");
    for wrong in [&encoded[1..], &[]] {
        assert!(model.first_states(&[wrong]).unwrap_err().to_string().contains("vectors of 32"));
    }
}

#[test]
fn leading_states_are_the_first_of_all() {
    let (golden, model) = (Golden::read("t5"), open("t5", Precision::F32, 2));
    let sources: Vec<Vec<u32>> = (0..CASES).map(|n| golden.ids(format!("source.{n}"))).collect();
    let sources: Vec<&[u32]> = sources.iter().map(Vec::as_slice).filter(|ids| ids.len() > 1).collect();
    let all = model.states(&sources).expect("states");
    for (leading, all) in model.leading_states(&sources, 2).expect("states").iter().zip(&all) {
        assert_eq!(leading, &all[..2 * model.hidden()]);
    }
    assert!(model.leading_states(&[&[3]], 2).unwrap_err().to_string().contains("has 1 tokens"));
}

#[test]
fn a_decoder_of_anchors_is_opened_beside_an_encoder_or_drawn() {
    let (golden, model) = (Golden::read("t5"), open("t5", Precision::F32, 1));
    let encoded = golden.floats("encoded.0".into());
    let encoder = tempfile::tempdir().expect("a folder");
    assert!(!AnchorDecoder::is_beside(encoder.path()));
    let beside = encoder.path().join("anchor");
    std::fs::create_dir(&beside).expect("a folder");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(folder("t5").join(file), beside.join(file)).expect(file);
    }
    assert!(AnchorDecoder::is_beside(encoder.path()));
    let opened = AnchorDecoder::open_beside(encoder.path(), Precision::F32).expect("a decoder");
    let expected = model.first_states(&[&encoded]).expect("states");
    assert_eq!(opened.first_states(&[&encoded]).expect("states"), expected);
    let drawn = |seed| {
        let decoder = AnchorDecoder::untrained(32, seed).expect("a decoder");
        decoder.first_states(&[&encoded]).expect("states").remove(0)
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
    // The last norm makes a vector of mean square 1.
    let square = drawn(1).iter().map(|x| x * x).sum::<f32>() / 32.0;
    assert!((square - 1.0).abs() < 1e-3, "{square}");
    assert!(AnchorDecoder::untrained(0, 1).is_err());
}
