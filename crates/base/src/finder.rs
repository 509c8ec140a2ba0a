//! Finds any of some fixed phrases of ASCII in a text, case aside, in one pass.
//!
//! An automaton would take some hundred kilobytes for as many phrases as there are here, has to be built at each start,
//! and goes from byte to byte through memory. Here three bytes are looked up in a table of 8 KiB, at each place on their
//! own, which the processor does for several places at once; only what is found there is compared.

use std::array;
use std::ops::Range;

/// Bits of a hash.
const FILTER_BITS: u32 = 16;
const FILTER_WORDS: usize = 1 << (FILTER_BITS - 6);
/// Bytes of a phrase that are looked up.
const GRAM: usize = 3;
/// Makes ASCII letters small. Other bytes change too, alike in phrases and in texts, so the worst is a vain comparison.
const SMALL: u32 = 0x0020_2020;

/// More than there are beginnings, by far.
const PLACES: usize = 1024;

/// Knows the phrases.
pub(crate) struct Finder {
    /// Bits at the hashes of all beginnings.
    filter: Box<[u64; FILTER_WORDS]>,
    /// Beginnings and the phrases that have them, ordered.
    beginnings: Vec<(u32, usize)>,
    /// Where among them each is: at the place of its hash or behind that, up to one that is empty.
    places: Box<[Range<usize>; PLACES]>,
    phrases: Vec<&'static str>,
}

impl Finder {
    /// Phrases of at least two bytes of ASCII. Others are never found.
    pub(crate) fn new(phrases: impl IntoIterator<Item = &'static str>) -> Self {
        let phrases: Vec<_> = phrases.into_iter().collect();
        let mut beginnings = Vec::with_capacity(phrases.len());
        for (number, phrase) in phrases.iter().enumerate() {
            match *phrase.as_bytes() {
                [a, b, c, ..] => beginnings.push((gram(a, b, c), number)),
                [a, b] => beginnings.extend((0..=u8::MAX).map(|c| (gram(a, b, c), number))),
                _ => {}
            }
        }
        beginnings.sort_unstable();
        beginnings.dedup();
        let mut filter = Box::new([0; FILTER_WORDS]);
        for (gram, _) in &beginnings {
            let (word, bit) = place(*gram);
            if let Some(word) = filter.get_mut(word) {
                *word |= bit;
            }
        }
        let mut places = Box::new(array::from_fn(|_| 0..0));
        let mut from = 0;
        for same in beginnings.chunk_by(|(one, _), (other, _)| one == other) {
            let gram = same.first().map_or(0, |(gram, _)| *gram);
            let here = from..from + same.len();
            from = here.end;
            if let Some(free) = around(gram).find(|at| places.get(*at).is_some_and(Range::is_empty))
                && let Some(place) = places.get_mut(free)
            {
                *place = here;
            }
        }
        Self {
            filter,
            beginnings,
            places,
            phrases,
        }
    }

    /// The phrases that begin so.
    fn beginning(&self, gram: u32) -> &[(u32, usize)] {
        for at in around(gram) {
            let range = self.places.get(at).cloned().unwrap_or_default();
            let here = self.beginnings.get(range).unwrap_or_default();
            match here.first() {
                Some((other, _)) if *other != gram => {}
                _ => return here,
            }
        }
        &[]
    }

    /// Where phrases begin, and the number of each; ordered. They may lie over each other.
    pub(crate) fn find<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (usize, usize)> + 'a {
        let bytes = text.as_bytes();
        let mut next = 0;
        let mut here: &[(u32, usize)] = &[];
        std::iter::from_fn(move || {
            loop {
                while let Some(((_, number), rest)) = here.split_first() {
                    here = rest;
                    let at = next - 1;
                    let phrase = self.phrases.get(*number)?.as_bytes();
                    let found = bytes.get(at..at + phrase.len());
                    if found.is_some_and(|found| found.eq_ignore_ascii_case(phrase)) {
                        return Some((at, *number));
                    }
                }
                let (at, gram) = self.candidate(bytes, next)?;
                next = at + 1;
                here = self.beginning(gram);
            }
        })
    }

    /// Whether there is any.
    pub(crate) fn finds(&self, text: &str) -> bool {
        self.find(text).next().is_some()
    }

    /// The first place from `start` on where one may begin, and the three bytes there.
    fn candidate(&self, bytes: &[u8], start: usize) -> Option<(usize, u32)> {
        let rest = bytes.get(start..)?;
        for (at, window) in rest.windows(GRAM + 1).enumerate() {
            // Four bytes are read at once and the last left out.
            let four = window.first_chunk().map_or(0, |four| u32::from_le_bytes(*four));
            let gram = (four & 0x00ff_ffff) | SMALL;
            if self.may_begin(gram) {
                return Some((start + at, gram));
            }
        }
        // What ends with the text.
        let from = start.max(bytes.len().saturating_sub(GRAM));
        (from..bytes.len()).find_map(|at| {
            let byte = |behind: usize| bytes.get(at + behind).copied().unwrap_or_default();
            let gram = gram(byte(0), byte(1), byte(2));
            self.may_begin(gram).then_some((at, gram))
        })
    }

    fn may_begin(&self, gram: u32) -> bool {
        let (word, bit) = place(gram);
        self.filter.get(word).is_some_and(|word| word & bit != 0)
    }
}

/// Knows only whether any phrase is there, in half the time: one of three bytes or more has three of them, or its last two,
/// at every other place.
pub(crate) struct Detector {
    finder: Finder,
    /// Bits at the hashes of what may be found at such a place.
    filter: Box<[u64; FILTER_WORDS]>,
    /// Phrases of two bytes, small, which may have but one at such a place.
    pairs: Vec<[u8; 2]>,
}

impl Detector {
    /// As [`Finder::new`].
    pub(crate) fn new(phrases: impl IntoIterator<Item = &'static str>) -> Self {
        let finder = Finder::new(phrases);
        let mut filter = Box::new([0; FILTER_WORDS]);
        let mut pairs = Vec::new();
        let mut set = |gram| {
            let (word, bit) = place(gram);
            if let Some(word) = filter.get_mut(word) {
                *word |= bit;
            }
        };
        for phrase in &finder.phrases {
            match *phrase.as_bytes() {
                [a, b, c, d, ..] => [gram(a, b, c), gram(b, c, d)].into_iter().for_each(&mut set),
                [a, b, c] => {
                    set(gram(a, b, c));
                    (0..=u8::MAX).for_each(|behind| set(gram(b, c, behind)));
                }
                [a, b] => pairs.push([a, b].map(|byte| byte.to_ascii_lowercase())),
                _ => {}
            }
        }
        Self {
            finder,
            filter,
            pairs,
        }
    }

    /// Whether there is any.
    pub(crate) fn detects(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let pair_is_there = |[first, last]: &[u8; 2]| {
            memchr::memchr2_iter(*last, last.to_ascii_uppercase(), bytes).any(|at| {
                let before = at.checked_sub(1).and_then(|before| bytes.get(before));
                before.is_some_and(|before| before.eq_ignore_ascii_case(first))
            })
        };
        if self.pairs.iter().any(pair_is_there) {
            return true;
        }
        let fours = bytes.windows(GRAM + 1).step_by(2);
        for (number, window) in fours.enumerate() {
            let four = window.first_chunk().map_or(0, |four| u32::from_le_bytes(*four));
            let (word, bit) = place((four & 0x00ff_ffff) | SMALL);
            if self.filter.get(word).is_some_and(|word| word & bit != 0) {
                let at = 2 * number;
                if self.begins(text, at) || at > 0 && self.begins(text, at - 1) {
                    return true;
                }
            }
        }
        // What ends with the text.
        (bytes.len().saturating_sub(2 * GRAM)..bytes.len()).any(|at| self.begins(text, at))
    }

    /// Whether one begins there.
    fn begins(&self, text: &str, at: usize) -> bool {
        let bytes = text.as_bytes();
        let byte = |behind: usize| bytes.get(at + behind).copied().unwrap_or_default();
        let here = self.finder.beginning(gram(byte(0), byte(1), byte(2)));
        here.iter().any(|(_, number)| {
            let phrase = self
                .finder
                .phrases
                .get(*number)
                .map_or(&[][..], |phrase| phrase.as_bytes());
            let found = bytes.get(at..at + phrase.len());
            found.is_some_and(|found| found.eq_ignore_ascii_case(phrase))
        })
    }
}

fn gram(a: u8, b: u8, c: u8) -> u32 {
    u32::from_le_bytes([a, b, c, 0]) | SMALL
}

/// Where a beginning may have its place.
fn around(gram: u32) -> impl Iterator<Item = usize> {
    let first = usize::try_from(gram.wrapping_mul(0x85EB_CA6B) >> 22).unwrap_or(0);
    (0..PLACES).map(move |behind| (first + behind) % PLACES)
}

/// The word and the bit of three bytes in the filter, by Fibonacci hashing.
fn place(gram: u32) -> (usize, u64) {
    let hash = gram.wrapping_mul(0x9E37_79B9) >> (32 - FILTER_BITS);
    (usize::try_from(hash >> 6).unwrap_or(0), 1 << (hash & 63))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PHRASES: [&str; 7] = ["pw", "key", "keyhole", "<system", "[/inst]", "://", "do not tell"];

    /// The same by trying each at each place.
    fn slowly(text: &str) -> Vec<(usize, usize)> {
        let small = text.to_ascii_lowercase();
        let at = |at: usize| {
            let here = small.as_bytes().split_at(at).1;
            let starts = move |phrase: &&str| here.starts_with(phrase.as_bytes());
            let found = PHRASES
                .iter()
                .enumerate()
                .filter(move |(_, phrase)| starts(phrase));
            found.map(move |(number, _)| (at, number))
        };
        (0..small.len()).flat_map(at).collect()
    }

    #[test]
    fn finds_all() {
        for (text, wanted) in [
            ("", vec![]),
            ("k", vec![]),
            ("pw", vec![(0, 0)]),
            ("xPW", vec![(1, 0)]),
            ("p", vec![]),
            ("a Keyhole", vec![(2, 1), (2, 2)]),
            ("key", vec![(0, 1)]),
            ("ke", vec![]),
            ("é[/INST]", vec![(2, 4)]),
            ("<syste\u{20ac}", vec![]),
            ("http://pwkey", vec![(4, 5), (7, 0), (9, 1)]),
            ("do not\ntell", vec![]),
        ] {
            let finder = Finder::new(PHRASES);
            assert_eq!(finder.find(text).collect::<Vec<_>>(), wanted, "{text:?}");
            assert_eq!(finder.finds(text), !wanted.is_empty(), "{text:?}");
            assert_eq!(
                Detector::new(PHRASES).detects(text),
                !wanted.is_empty(),
                "{text:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn finds_what_is_there(text in "((?i)pw|key|keyhole|hole|<sys|tem|\\[/inst\\]|://|do not| tell|é|\\PC){0,12}") {
            prop_assert_eq!(Finder::new(PHRASES).find(&text).collect::<Vec<_>>(), slowly(&text));
            prop_assert_eq!(Detector::new(PHRASES).detects(&text), !slowly(&text).is_empty());
        }
    }
}
