//! Output of a command, of which beginning and end are kept: that is where commands say what went wrong.

use std::collections::VecDeque;

/// Beginning and end of an output of any length.
#[derive(Debug)]
pub(crate) struct HeadTail {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    head_room: usize,
    tail_room: usize,
    dropped: usize,
}

impl HeadTail {
    /// Keeps at most `room` bytes: a third from the beginning, the rest from the end.
    pub(crate) fn new(room: usize) -> Self {
        let head_room = room / 3;
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            head_room,
            tail_room: room - head_room,
            dropped: 0,
        }
    }

    /// Adds what came.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let to_head = bytes.len().min(self.head_room - self.head.len());
        let (head, rest) = bytes.split_at(to_head);
        self.head.extend_from_slice(head);
        // Of a piece longer than the whole room only the end can stay.
        let skipped = rest.len().saturating_sub(self.tail_room);
        self.tail.extend(&rest[skipped..]);
        let excess = self.tail.len().saturating_sub(self.tail_room);
        self.tail.drain(..excess);
        self.dropped += skipped + excess;
    }

    /// Whether nothing came.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_empty() && self.tail.is_empty()
    }

    /// Bytes kept.
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// Keeps less.
    pub(crate) fn shrink(&mut self, room: usize) {
        if self.len() <= room {
            return;
        }
        let head_room = room / 3;
        let tail_room = room - head_room;
        let from_head = self.head.len().saturating_sub(head_room);
        self.head.truncate(self.head.len() - from_head);
        let from_tail = self.tail.len().saturating_sub(tail_room);
        self.tail.drain(..from_tail);
        self.dropped += from_head + from_tail;
    }

    /// As text for a model: cleaned, redacted, with a remark where something is missing.
    pub(crate) fn text(mut self) -> String {
        if self.dropped == 0 {
            self.head.extend(self.tail);
            return shown(&self.head);
        }
        let head = shown(whole_lines(&self.head, Side::Head));
        let tail = String::from_utf8_lossy(whole_lines(self.tail.make_contiguous(), Side::Tail)).into_owned();
        let tail = shown(without_rest_of_key(&tail).as_bytes());
        format!(
            "{head}\n[{} left out here]\n{tail}",
            base::text::bytes(self.dropped as u64)
        )
    }
}

#[derive(Clone, Copy)]
enum Side {
    Head,
    Tail,
}

/// Leaves out the line that was cut in two, unless there is no other.
fn whole_lines(bytes: &[u8], side: Side) -> &[u8] {
    match side {
        Side::Head => bytes
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(bytes, |end| &bytes[..end]),
        Side::Tail => bytes
            .iter()
            .position(|b| *b == b'\n')
            .map_or(bytes, |start| &bytes[start + 1..]),
    }
}

/// A private key whose beginning was left out does not show what it is; its end does.
fn without_rest_of_key(text: &str) -> &str {
    let Some(end) = text.find("-----END ") else {
        return text;
    };
    let line = text[end..].lines().next().unwrap_or_default();
    if line.contains("PRIVATE KEY") && !text[..end].contains("-----BEGIN ") {
        &text[end + line.len()..]
    } else {
        text
    }
}

fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = base::text::clean(&text);
    base::redact::text(&text).trim_end_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(room: usize, pieces: &[&str]) -> String {
        let mut output = HeadTail::new(room);
        for piece in pieces {
            output.push(piece.as_bytes());
            assert!(output.len() <= room);
        }
        output.text()
    }

    #[test]
    fn beginning_and_end_are_kept() {
        assert_eq!(kept(100, &["one\n", "two\n"]), "one\ntwo");
        let lines = (0..100)
            .map(|n| format!("line {n}\n"))
            .collect::<Vec<_>>()
            .concat();
        let expected = "line 0\nline 1\n[738 B left out here]\nline 96\nline 97\nline 98\nline 99";
        assert_eq!(kept(52, &[&lines]), expected);
        let pieces: Vec<&str> = lines.split_inclusive('\n').collect();
        assert_eq!(kept(52, &pieces), expected);
    }

    #[test]
    fn shrinking_keeps_both_ends() {
        let mut output = HeadTail::new(1_000);
        output.push("a\n".repeat(100).as_bytes());
        output.push("b\n".repeat(100).as_bytes());
        output.shrink(12);
        assert_eq!(output.text(), "a\na\n[388 B left out here]\nb\nb\nb");
    }

    #[test]
    fn secrets_do_not_come_out_in_halves() {
        let key = format!(
            "start\n-----BEGIN RSA PRIVATE KEY-----\n{}-----END RSA PRIVATE KEY-----\nend\n",
            "MIIEowIBAAKCAQEA\n".repeat(20)
        );
        for room in 60..400 {
            let text = kept(room, &[&key]);
            let lines = text.lines().filter(|line| line.contains("MIIE")).count();
            // The part before the cut has its BEGIN, so it is hidden; the part after it its END.
            assert_eq!(lines, 0, "room {room}: {text}");
        }
    }
}
