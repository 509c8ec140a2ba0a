//! One output of a command: the beginning and the end of it, however long it is, each byte at its place.

use std::collections::VecDeque;

/// Bytes that are kept from the beginning, and from the end: some fifty pages for a model in all.
const HEAD: usize = 256 << 10;
const TAIL: usize = 768 << 10;

/// What is kept of an output. Places count from its first byte.
#[derive(Debug, Default)]
pub(crate) struct Record {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

/// A part of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) bytes: Vec<u8>,
    /// Bytes before it that were asked for and are not kept.
    pub(crate) missed: u64,
    /// The place after it.
    pub(crate) next: u64,
}

impl Record {
    /// Takes in what came.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let (head, rest) = bytes.split_at(bytes.len().min(HEAD - self.head.len()));
        self.head.extend_from_slice(head);
        // Of a piece longer than the whole room only the end can stay.
        self.tail.extend(&rest[rest.len().saturating_sub(TAIL)..]);
        let excess = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..excess);
    }

    /// How many bytes came.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// At most `room` bytes from a place on, up to the end of a line where there is one. Before the output has ended the
    /// beginning of a character stays for the next part.
    pub(crate) fn part(&self, from: u64, room: usize, has_ended: bool) -> Part {
        let tail_at = self.total - self.tail.len() as u64;
        let head_end = self.head.len() as u64;
        let from = from.min(self.total);
        let start = if from >= head_end { from.max(tail_at) } else { from };
        let mut bytes: Vec<u8> = if start < head_end {
            let head = self.head.get(index(start)..).unwrap_or_default();
            let goes_on = tail_at == head_end;
            let tail = self.tail.iter().take(if goes_on { room } else { 0 });
            head.iter().chain(tail).take(room).copied().collect()
        } else {
            self.tail
                .iter()
                .skip(index(start - tail_at))
                .take(room)
                .copied()
                .collect()
        };
        let reached = start + bytes.len() as u64;
        let is_last = reached == self.total;
        if !is_last && let Some(line) = bytes.iter().rposition(|byte| *byte == b'\n') {
            bytes.truncate(line + 1);
        } else if !(is_last && has_ended) {
            bytes.truncate(whole_characters(&bytes));
        }
        Part {
            missed: start - from,
            next: start + bytes.len() as u64,
            bytes,
        }
    }

    /// All of it within `room` bytes, or its beginning and its end with the place where the hole begins.
    pub(crate) fn ends(&self, room: usize) -> (Part, Option<Part>) {
        if self.total <= room as u64 {
            return (self.part(0, room, true), None);
        }
        let head = self.part(0, room / 3, false);
        let tail_room = (room - room / 3) as u64;
        let mut tail = self.part(self.total - tail_room.min(self.total - head.next), room, true);
        // It begins in the middle of a line.
        if let Some(line) = tail.bytes.iter().position(|byte| *byte == b'\n')
            && line + 1 < tail.bytes.len()
        {
            tail.bytes.drain(..=line);
        }
        tail.missed = tail.next - tail.bytes.len() as u64 - head.next;
        (head, Some(tail))
    }
}

fn index(place: u64) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// The length without a character of which only the beginning is there.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        // With a length it is a fault and not a beginning.
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        // After a fault the end is looked at by itself; a character has four bytes at most.
        Err(_) => {
            let from = bytes.len().saturating_sub(3);
            (from..bytes.len())
                .find(|at| {
                    let end = bytes.get(*at..).unwrap_or_default();
                    std::str::from_utf8(end)
                        .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
                })
                .unwrap_or(bytes.len())
        }
        Ok(_) => bytes.len(),
    }
}

/// As text for a model: cleaned and redacted.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = base::text::clean(&text);
    base::redact::text(without_rest_of_key(&text))
        .trim_end_matches('\n')
        .to_owned()
}

/// What is no text, in words for the reader.
pub(crate) fn is_binary(bytes: &[u8]) -> bool {
    bytes.contains(&0)
}

/// A private key whose beginning is in another part does not show what it is; its end does.
fn without_rest_of_key(text: &str) -> &str {
    let Some((before, after)) = text.split_once("-----END ") else {
        return text;
    };
    let line = after.lines().next().unwrap_or_default();
    if line.contains("PRIVATE KEY") && !before.contains("-----BEGIN ") {
        after.get(line.len()..).unwrap_or_default()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(pieces: &[&[u8]]) -> Record {
        let mut record = Record::default();
        for piece in pieces {
            record.push(piece);
        }
        record
    }

    #[test]
    fn it_is_bounded_and_says_what_is_missing() {
        let line = [b"x".repeat(999), b"\n".to_vec()].concat();
        let mut record = Record::default();
        for _ in 0..100_000 {
            record.push(&line);
        }
        assert_eq!(record.total(), 100_000_000);
        assert!(record.head.capacity() + record.tail.capacity() <= 2 * (HEAD + TAIL));
        let part = record.part(HEAD as u64, 10_000, true);
        assert_eq!(part.missed, 100_000_000 - (HEAD + TAIL) as u64);
        let (head, tail) = record.ends(30_000);
        let tail = tail.unwrap();
        assert_eq!((head.bytes.len(), tail.bytes.len()), (10_000, 19_000));
        assert_eq!(head.next + tail.missed + 19_000, 100_000_000);
        assert_eq!(tail.next, 100_000_000);
    }

    #[test]
    fn parts_end_with_lines_and_characters() {
        let record = record(&["ab\ncdä".as_bytes().split_last().unwrap().1]);
        assert_eq!(record.part(0, 5, false).bytes, b"ab\n");
        assert_eq!(record.part(3, 5, false).bytes, b"cd");
        assert_eq!(record.part(3, 5, true).bytes, b"cd\xc3");
        assert_eq!(record.part(99, 5, true).bytes, b"");
        let faulty = self::record(&[b"\xff\xfe\xf0\x9f\x98"]);
        assert_eq!(faulty.part(0, 9, false).bytes, b"\xff\xfe");
    }

    #[test]
    fn keys_do_not_come_out_in_halves() {
        let rest = "MIIE\n-----END RSA PRIVATE KEY-----\nend";
        assert_eq!(shown(rest.as_bytes()), "\nend");
        assert_eq!(shown(b"a\xff\x1b[31mb\x1b[0m\n"), "a\u{fffd}b");
    }

    proptest! {
        #[test]
        fn parts_make_the_whole(text in "[aä\n😀]{0,60}", cut in 1_usize..20, room in 4_usize..30) {
            let mut record = Record::default();
            for piece in text.as_bytes().chunks(cut) { record.push(piece); }
            let (mut at, mut read) = (0, Vec::new());
            while at < record.total() {
                let part = record.part(at, room, true);
                prop_assert!(part.next > at && part.bytes.len() <= room && part.missed == 0);
                prop_assert!(std::str::from_utf8(&part.bytes).is_ok());
                at = part.next;
                read.extend(part.bytes);
            }
            prop_assert_eq!(read, text.as_bytes());
        }
    }
}
