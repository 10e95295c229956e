//! Click logs: what users see, click and read of a ranking; a simulator, and the rows of features that are made of sessions.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal};

/// A document that was shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impression {
    /// Which of the query's documents.
    pub document: usize,
    /// Seconds on it where it was clicked.
    pub dwell: Option<f64>,
}

/// What a user was shown of a query, from the first rank on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Session {
    /// Which query.
    pub query: usize,
    /// The documents by rank.
    pub shown: Vec<Impression>,
}

/// How users behave.
#[derive(Clone, Debug, PartialEq)]
pub struct ClickModel {
    /// How likely a document is clicked that somebody looks at, by grade. Rank r is looked at with probability 1/r.
    pub attraction: Vec<f64>,
    /// Share of documents whose look promises more than they hold.
    pub baited: f64,
    /// What a baited document is the likelier to be clicked.
    pub bait: f64,
    /// Median seconds on a document of grade 0, and what each grade multiplies them with; baited ones are left after the former.
    pub dwell: (f64, f64),
    /// Deviation of the logarithm of seconds.
    pub spread: f64,
    /// Sessions of each query.
    pub sessions: usize,
}

impl Default for ClickModel {
    fn default() -> ClickModel {
        ClickModel {
            attraction: vec![0.05, 0.15, 0.3, 0.5, 0.7],
            baited: 0.15,
            bait: 0.4,
            dwell: (8.0, 1.9),
            spread: 0.6,
            sessions: 200,
        }
    }
}

/// Sessions over queries with graded documents. The order of a query's documents is drawn once: what stands low is seldom looked at,
/// whatever it is worth. Beside them stands for each document whether it promises more than it holds.
pub fn simulate(queries: &[Vec<f32>], model: &ClickModel, seed: u64) -> (Vec<Session>, Vec<Vec<bool>>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut sessions = Vec::with_capacity(queries.len() * model.sessions);
    let mut all_baited = Vec::with_capacity(queries.len());
    for (query, grades) in queries.iter().enumerate() {
        let mut order: Vec<usize> = (0..grades.len()).collect();
        order.shuffle(&mut random);
        let baited: Vec<bool> = grades.iter().map(|_| random.random::<f64>() < model.baited).collect();
        for _ in 0..model.sessions {
            let shown = order.iter().enumerate().map(|(rank, &document)| {
                let grade =
                    (grades[document].max(0.0) as usize).min(model.attraction.len().saturating_sub(1));
                let looked = random.random::<f64>() < 1.0 / (rank + 1) as f64;
                let attraction = model.attraction.get(grade).copied().unwrap_or(0.0)
                    + if baited[document] { model.bait } else { 0.0 };
                let clicked = random.random::<f64>() < attraction;
                let worth = if baited[document] { 0 } else { grade as i32 };
                let median = model.dwell.0 * model.dwell.1.powi(worth);
                let dwell =
                    LogNormal::new(median.ln(), model.spread).map_or(median, |d| d.sample(&mut random));
                Impression { document, dwell: (looked && clicked).then_some(dwell) }
            });
            let shown = shown.collect();
            sessions.push(Session { query, shown });
        }
        all_baited.push(baited);
    }
    (sessions, all_baited)
}

/// Seconds from which a click is long.
const LONG: f64 = 30.0;

/// What a log says of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClickFeatures {
    /// How often it was shown.
    pub impressions: f64,
    /// How often it was clicked.
    pub clicks: f64,
    /// How often it was passed over on the way to a later click.
    pub skips: f64,
    /// Clicks of 30 seconds and more.
    pub long_clicks: f64,
    /// How often it was the last click of a session.
    pub last_clicks: f64,
    /// Seconds in all.
    pub dwell: f64,
    /// Clicks of the query on all documents.
    pub query_clicks: f64,
}

impl ClickFeatures {
    /// Names of the rows of [`ClickFeatures::row`].
    pub const NAMES: [&'static str; 12] = [
        "impressions",
        "clicks",
        "skips",
        "long clicks",
        "last clicks",
        "click rate",
        "clicks by skips",
        "clicks of clicks and skips",
        "long clicks of clicks",
        "share of the query's clicks",
        "mean dwell",
        "dwell",
    ];

    /// The click rate: clicks by impressions, smoothed by one impression in ten.
    pub fn rate(&self) -> f64 {
        (self.clicks + 0.1) / (self.impressions + 1.0)
    }

    /// The features as a row. Ratios are smoothed, so that one click of one impression is no certainty; with `dwell` off what tells of
    /// seconds is 0.
    pub fn row(&self, dwell: bool) -> Vec<f64> {
        let seconds = if dwell { self.dwell } else { 0.0 };
        let long = if dwell { self.long_clicks } else { 0.0 };
        vec![
            self.impressions,
            self.clicks,
            self.skips,
            long,
            self.last_clicks,
            self.rate(),
            self.clicks / (self.skips + 1.0),
            (self.clicks + 0.5) / (self.clicks + self.skips + 1.0),
            long / (self.clicks + 1.0),
            self.clicks / (self.query_clicks + 1.0),
            seconds / (self.clicks + 1.0),
            seconds,
        ]
    }
}

/// Features of every document of every query, from sessions; `documents` is how many each query has.
pub fn aggregate(sessions: &[Session], documents: &[usize]) -> Vec<Vec<ClickFeatures>> {
    let mut all: Vec<Vec<ClickFeatures>> =
        documents.iter().map(|count| vec![ClickFeatures::default(); *count]).collect();
    for session in sessions {
        if let Some(query) = all.get_mut(session.query) {
            add_session(query, &session.shown);
        }
    }
    all.iter_mut().for_each(|query| count_query_clicks(query));
    all
}

/// Adds what was done in a session to the features of its query's documents. Clicks of the query are for [`count_query_clicks`].
pub(super) fn add_session(documents: &mut [ClickFeatures], shown: &[Impression]) {
    let last = shown.iter().rposition(|impression| impression.dwell.is_some());
    for (rank, impression) in shown.iter().enumerate() {
        let Some(features) = documents.get_mut(impression.document) else { continue };
        features.impressions += 1.0;
        match impression.dwell {
            Some(dwell) => {
                features.clicks += 1.0;
                features.dwell += dwell;
                features.long_clicks += f64::from(u8::from(dwell >= LONG));
                features.last_clicks += f64::from(u8::from(last == Some(rank)));
            }
            None => features.skips += f64::from(u8::from(last.is_some_and(|last| rank < last))),
        }
    }
}

/// Writes into the features of a query's documents how often all of them were clicked.
pub(super) fn count_query_clicks(documents: &mut [ClickFeatures]) {
    let clicks = documents.iter().map(|features| features.clicks).sum();
    documents.iter_mut().for_each(|features| features.query_clicks = clicks);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_becomes_counts() {
        let shown = |document, dwell| Impression { document, dwell };
        let sessions = [
            Session {
                query: 0,
                shown: vec![shown(2, None), shown(0, Some(40.0)), shown(1, Some(5.0)), shown(3, None)],
            },
            Session { query: 0, shown: vec![shown(2, None), shown(0, None), shown(1, None), shown(3, None)] },
        ];
        let all = aggregate(&sessions, &[4]);
        let [first, second, third, fourth] = &all[0][..] else { panic!() };
        assert_eq!((first.clicks, first.long_clicks, first.last_clicks, first.skips), (1.0, 1.0, 0.0, 0.0));
        assert_eq!((second.clicks, second.long_clicks, second.last_clicks), (1.0, 0.0, 1.0));
        assert_eq!((third.skips, third.clicks, fourth.skips), (1.0, 0.0, 0.0));
        assert_eq!((first.impressions, first.query_clicks, first.dwell), (2.0, 2.0, 40.0));
        assert_eq!(first.row(true).len(), ClickFeatures::NAMES.len());
        assert_eq!(first.row(false)[11], 0.0);
    }

    #[test]
    fn users_look_high_and_click_what_is_good() {
        let queries = vec![vec![0.0, 4.0, 2.0, 0.0, 4.0, 1.0]; 40];
        let model = ClickModel { baited: 0.0, ..ClickModel::default() };
        let (sessions, baited) = simulate(&queries, &model, 1);
        assert_eq!(sessions, simulate(&queries, &model, 1).0);
        assert_eq!(baited, vec![vec![false; 6]; 40]);
        let mut by_rank = [0.0; 6];
        let (mut good, mut bad) = (0.0, 0.0);
        for session in &sessions {
            for (rank, impression) in session.shown.iter().enumerate() {
                let clicked = f64::from(u8::from(impression.dwell.is_some()));
                by_rank[rank] += clicked;
                match queries[session.query][impression.document] {
                    4.0 => good += clicked / 2.0,
                    0.0 => bad += clicked / 2.0,
                    _ => {}
                }
            }
        }
        assert!(by_rank[0] > 2.0 * by_rank[5] && good > 6.0 * bad, "{by_rank:?} {good} {bad}");
    }
}
