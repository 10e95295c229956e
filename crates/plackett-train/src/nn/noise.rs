//! NEFTune: noise on the embeddings of sequences that are learned from (Jain and others, NEFTune: Noisy Embeddings Improve Instruction
//! Finetuning, ICLR 2024).

use super::{Mode, TokenBatch};
use crate::random::Stream;

/// The stream of the noise; dropout has stream 0 of the same keys.
const STREAM: u64 = 1;

/// What is added to the embeddings of a batch, `width` numbers a token: evenly from ±α/√(L·d), where L is the length of a token's own
/// sequence and d the width. It follows from the key of the mode and the place in the batch. `None` where nothing is added: outside
/// training, and where α is 0.
pub fn embedding_noise(batch: &TokenBatch, width: usize, alpha: f32, mode: Mode) -> Option<Vec<f32>> {
    if !mode.is_training || alpha <= 0.0 {
        return None;
    }
    let mut noise = vec![0.0; batch.tokens.len() * width];
    Stream::new(mode.key, STREAM).fill_uniform(0, &mut noise);
    for sequence in batch.sequences.iter() {
        let most = alpha / ((sequence.len() * width) as f32).sqrt();
        noise[sequence.start * width..sequence.end * width].iter_mut().for_each(|x| *x *= most);
    }
    Some(noise)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 24;
    const ALPHA: f32 = 5.0;

    fn batch() -> TokenBatch {
        let sequences: [&[u32]; 3] = [&[1; 4], &[2; 50], &[3; 9]];
        TokenBatch::new(sequences)
    }

    fn training(key: u64) -> Mode {
        Mode { key, is_training: true, ..Mode::default() }
    }

    #[test]
    fn noise_is_within_the_bounds_of_its_sequence_and_fills_them() {
        let batch = batch();
        let noise = embedding_noise(&batch, WIDTH, ALPHA, training(7)).unwrap();
        assert_eq!(noise.len(), 63 * WIDTH);
        for sequence in batch.sequences.iter() {
            let most = ALPHA / ((sequence.len() * WIDTH) as f32).sqrt();
            let own = &noise[sequence.start * WIDTH..sequence.end * WIDTH];
            let (least, greatest) =
                own.iter().fold((0f32, 0f32), |(low, high), x| (low.min(*x), high.max(*x)));
            assert!(least >= -most && greatest <= most, "{least} {greatest} {most}");
            assert!(least < -0.8 * most && greatest > 0.8 * most, "{least} {greatest} {most}");
        }
    }

    #[test]
    fn noise_follows_from_the_key() {
        let noise = |key: u64| embedding_noise(&batch(), WIDTH, ALPHA, training(key));
        assert_eq!(noise(7), noise(7));
        assert_ne!(noise(7), noise(8));
    }

    #[test]
    fn outside_training_there_is_none() {
        let outside = Mode { key: 7, ..Mode::default() };
        assert_eq!(embedding_noise(&batch(), WIDTH, ALPHA, outside), None);
        assert_eq!(embedding_noise(&batch(), WIDTH, 0.0, training(7)), None);
    }
}
