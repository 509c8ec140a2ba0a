//! Search in catalogs by words: an index made once, answers ranked.
//!
//! Ranking is BM25 over fields of different weight: a word in a name tells more than one in a description. The last word
//! of a query may be the beginning of one, as people type. Deliberately absent: stemming and meaning; tags and tool
//! names carry what they would.

use std::collections::HashMap;

use crate::entry::Entry;

/// Words of the servers of some catalogs. What it finds are the places of entries in the order in which they were given.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// By word: where it stands, and how much it weighs there.
    words: HashMap<String, Vec<(u32, f32)>>,
    /// The words, sorted, for beginnings of words.
    sorted: Vec<String>,
    /// Weight of all words of each entry.
    lengths: Vec<f32>,
    mean: f32,
    /// Names in lower case, for those who know them.
    names: Vec<String>,
}

/// Something found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The entry's place.
    pub place: usize,
    /// Higher is better; only to be compared within one answer.
    pub score: f32,
}

/// A name weighs most, then the title, then tags and names of tools, then what is written.
const WEIGHTS: [f32; 5] = [4.0, 3.0, 2.0, 2.0, 1.0];
/// How soon further occurrences of a word stop counting, and how much long entries are held against: the usual values.
const K1: f32 = 1.2;
const B: f32 = 0.5;
/// A query has at most so many words that count.
const MAX_WORDS: usize = 16;
/// A beginning stands for at most so many words.
const MAX_COMPLETIONS: usize = 40;
/// Of a description only the beginning is indexed, in bytes: some hold whole manuals.
const MAX_DESCRIPTION: usize = 2_000;

impl Index {
    /// Makes the index.
    pub fn new<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Self {
        let mut index = Self::default();
        for (place, entry) in entries.into_iter().enumerate() {
            let Ok(place) = u32::try_from(place) else { break };
            index.add(place, entry);
        }
        index.sorted = index.words.keys().cloned().collect();
        index.sorted.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "catalogs are far below 2^24 entries")]
        let count = index.lengths.len().max(1) as f32;
        index.mean = (index.lengths.iter().sum::<f32>() / count).max(1.0);
        index
    }

    fn add(&mut self, place: u32, entry: &Entry) {
        let tools = || entry.tools.iter();
        let fields = [
            entry.name.as_str().to_owned(),
            entry.title().to_owned(),
            [
                entry.about.tags.join(" "),
                entry.about.category.clone().unwrap_or_default(),
            ]
            .join(" "),
            tools()
                .map(|tool| tool.name.as_str())
                .collect::<Vec<_>>()
                .join(" "),
            base::text::cut(
                entry.about.description.as_deref().unwrap_or_default(),
                MAX_DESCRIPTION,
            )
            .to_owned(),
        ];
        let mut weights: HashMap<String, f32> = HashMap::new();
        for (text, weight) in fields.iter().zip(WEIGHTS) {
            for word in words(text) {
                *weights.entry(word).or_default() += weight;
            }
        }
        self.lengths.push(weights.values().sum());
        self.names.push(entry.name.as_str().to_lowercase());
        for (word, weight) in weights {
            self.words.entry(word).or_default().push((place, weight));
        }
    }

    /// The entries that have a word of `query`, the best first, at most `limit`. A query without words finds all, in
    /// their order.
    pub fn find(&self, query: &str, limit: usize) -> Vec<Hit> {
        let wanted: Vec<String> = words(query).into_iter().take(MAX_WORDS).collect();
        if wanted.is_empty() {
            return (0..self.names.len())
                .take(limit)
                .map(|place| Hit { place, score: 0.0 })
                .collect();
        }
        let mut scores: HashMap<u32, f32> = HashMap::new();
        for (nth, word) in wanted.iter().enumerate() {
            let is_last = nth + 1 == wanted.len();
            let mut best: HashMap<u32, f32> = HashMap::new();
            for (postings, worth) in self.postings(word, is_last) {
                let rarity = self.rarity(postings.len());
                for (place, weight) in postings {
                    let score = worth * rarity * self.saturated(*place, *weight);
                    let slot = best.entry(*place).or_default();
                    *slot = slot.max(score);
                }
            }
            for (place, score) in best {
                *scores.entry(place).or_default() += score;
            }
        }
        let whole = query.trim().to_lowercase();
        let mut hits: Vec<Hit> = scores
            .into_iter()
            .map(|(place, score)| {
                let place = place as usize;
                // Who types the whole name means that server.
                let named = self.names.get(place).is_some_and(|name| *name == whole);
                Hit {
                    place,
                    score: if named { score + 1_000.0 } else { score },
                }
            })
            .collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.place.cmp(&b.place)));
        hits.truncate(limit);
        hits
    }

    /// Where a word stands; for the last of a query, words that begin with it count too, though less.
    fn postings(&self, word: &str, is_last: bool) -> Vec<(&[(u32, f32)], f32)> {
        let mut found: Vec<(&[(u32, f32)], f32)> = Vec::new();
        if let Some(postings) = self.words.get(word) {
            found.push((postings, 1.0));
        }
        if is_last && word.chars().count() >= 2 {
            let from = self.sorted.partition_point(|other| other.as_str() < word);
            let beginnings = self
                .sorted
                .iter()
                .skip(from)
                .take_while(|other| other.starts_with(word));
            let longer = beginnings
                .filter(|other| other.as_str() != word)
                .take(MAX_COMPLETIONS);
            found.extend(
                longer
                    .filter_map(|other| self.words.get(other))
                    .map(|postings| (postings.as_slice(), 0.5)),
            );
        }
        found
    }

    #[expect(clippy::cast_precision_loss, reason = "catalogs are far below 2^24 entries")]
    fn rarity(&self, with: usize) -> f32 {
        let (all, with) = (self.names.len() as f32, with as f32);
        (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
    }

    fn saturated(&self, place: u32, weight: f32) -> f32 {
        let length = self.lengths.get(place as usize).copied().unwrap_or(self.mean);
        weight * (K1 + 1.0) / (weight + K1 * (1.0 - B + B * length / self.mean))
    }
}

/// Words in lower case: letters and digits of any script; `camelCase` is two. A plural's `s` is dropped.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut before_lower = false;
    for c in text.chars().chain([' ']) {
        let boundary = !c.is_alphanumeric() || c.is_uppercase() && before_lower;
        if boundary && !word.is_empty() {
            words.push(singular(std::mem::take(&mut word)));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        before_lower = c.is_lowercase();
    }
    words
}

fn singular(word: String) -> String {
    let plural = word.len() > 3
        && word.ends_with('s')
        && !word.ends_with("ss")
        && !word.ends_with("us")
        && !word.ends_with("is");
    match word.strip_suffix('s') {
        Some(stem) if plural => stem.to_owned(),
        _ => word,
    }
}
