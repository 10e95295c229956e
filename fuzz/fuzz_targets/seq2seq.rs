//! A `config.json` beside the weights of a tiny encoder-decoder, which the first byte chooses. A model that opens reads a
//! source and gives finite logits, the same token by token and at once; it does not panic.
#![no_main]

mod common;

use common::Folder;
use libfuzzer_sys::fuzz_target;
use plackett_lm::decode::{Branch, DecodeModel, LogitIds};
use plackett_lm::seq2seq::{EncoderDecoder, EncoderDecoderOptions};
use std::sync::LazyLock;

const WEIGHTS: [&[u8]; 3] = [
    include_bytes!("../../crates/plackett-lm/tests/golden/seq2seq/t5/model.safetensors"),
    include_bytes!("../../crates/plackett-lm/tests/golden/seq2seq/t5-gated/model.safetensors"),
    include_bytes!("../../crates/plackett-lm/tests/golden/seq2seq/bart/model.safetensors"),
];

static FOLDERS: LazyLock<[Folder; 3]> =
    LazyLock::new(|| WEIGHTS.map(|weights| Folder::with(&[("model.safetensors", weights)])));

fuzz_target!(|data: &[u8]| {
    let Some((chosen, config)) = data.split_first() else { return };
    let folder = &FOLDERS[usize::from(chosen % 3)];
    folder.write("config.json", config);
    let options = EncoderDecoderOptions { threads: Some(1), ..EncoderDecoderOptions::default() };
    let Ok(model) = EncoderDecoder::open(folder.path(), &options) else { return };
    let tokens = [model.start(), 5, 7];
    let mut session = model.session();
    let Ok(handles) = session.sources(&[&[3, 4, 5, 4]]) else { return };
    let branch = |parent, tokens| Branch { parent, tokens, logit_ids: LogitIds::All, normalizer: true };
    let Ok(whole) = session.extend(&[branch(handles[0], &tokens)], &[]) else { return };
    assert_eq!(whole[0].logits.len(), model.vocabulary());
    assert!(whole[0].logits.iter().all(|x| x.is_finite()), "{:?}", whole[0].logits);
    let first = session.extend(&[branch(handles[0], &tokens[..2])], &[]).expect("the whole could be done");
    let second =
        session.extend(&[branch(first[0].prefix, &tokens[2..])], &[]).expect("the whole could be done");
    assert_eq!(second[0].logits, whole[0].logits);
});
