//! Text made safe and small enough to show: cleaned of control sequences, cut at character boundaries, and
//! sizes and ages as people write them.

use std::borrow::Cow;

/// Removes what a reader can't see but a terminal or a model might obey: ANSI escape sequences, control
/// characters other than newline and tab, and invisible or direction-changing Unicode (zero-width characters,
/// bidi controls, tag characters, byte order marks). `\r\n` becomes `\n`.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if text
        .bytes()
        .all(|b| b == b'\n' || b == b'\t' || (0x20..0x7f).contains(&b))
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\u{9b}' => skip_control_sequence(&mut chars),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || is_invisible(c) => {}
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The rest of an escape sequence (ECMA-48) after its ESC: CSI up to its final byte, the string-carrying
/// kinds (OSC, DCS, SOS, PM, APC) up to BEL or ST, others their one character.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            skip_control_sequence(chars);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            chars.next();
            while let Some(c) = chars.next() {
                match c {
                    // The last: an unterminated string must not swallow the rest of a log.
                    '\u{7}' | '\u{9c}' | '\n' => return,
                    '\u{1b}' if chars.peek() == Some(&'\\') => {
                        chars.next();
                        return;
                    }
                    _ => {}
                }
            }
        }
        Some('(' | ')' | '*' | '+' | '#' | '%') => {
            chars.next();
            chars.next();
        }
        Some(c) if !c.is_control() => {
            chars.next();
        }
        _ => {}
    }
}

fn skip_control_sequence(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(c) = chars.peek() {
        match c {
            '\u{20}'..='\u{3f}' => chars.next(),
            '\u{40}'..='\u{7e}' => {
                chars.next();
                return;
            }
            _ => return,
        };
    }
}

fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Tokens that `bytes` of text are counted as: four bytes each, rounded up.
#[must_use]
pub fn tokens(bytes: usize) -> usize {
    bytes.div_ceil(4)
}

/// The longest beginning of `text` that has at most `max_bytes` bytes and ends at a character boundary.
#[must_use]
pub fn cut(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

/// A number of bytes as people write it, in powers of 1024: `512 B`, `1.2 GiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = 0;
    let mut whole = count;
    let mut rest = 0;
    while whole >= 1024 && unit + 1 < UNITS.len() {
        rest = whole % 1024;
        whole /= 1024;
        unit += 1;
    }
    let tenth = rest * 10 / 1024;
    match unit {
        0 => format!("{whole} B"),
        _ if whole >= 100 || tenth == 0 => format!("{whole} {}", UNITS[unit]),
        _ => format!("{whole}.{tenth} {}", UNITS[unit]),
    }
}

/// A span of seconds by its largest unit: `45s`, `3m`, `5h`, `12d`, `8w`, `2y`. Negative spans count as 0.
#[must_use]
pub fn ago(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    match seconds.max(0) {
        s if s < MINUTE => format!("{s}s"),
        s if s < HOUR => format!("{}m", s / MINUTE),
        s if s < 2 * DAY => format!("{}h", s / HOUR),
        s if s < 60 * DAY => format!("{}d", s / DAY),
        s if s < 730 * DAY => format!("{}w", s / (7 * DAY)),
        s => format!("{}y", s / (365 * DAY)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cleaning() {
        for (text, wanted) in [
            ("plain\ttext\n", "plain\ttext\n"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}x", "x"),
            ("\u{1b}]8;;http://a\u{1b}\\link", "link"),
            ("\u{1b}]0;never ended\nnext", "next"),
            ("\u{1b}(Bx", "x"),
            ("\u{9b}2Jx", "x"),
            ("a\r\nb\rc", "a\nbc"),
            ("nul\0bell\u{7}", "nulbell"),
            ("zero\u{200b}width\u{202e}bidi\u{e0041}tag", "zerowidthbiditag"),
            ("grüße 日本 🐳", "grüße 日本 🐳"),
            ("\u{1b}", ""),
        ] {
            assert_eq!(clean(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn sizes_and_ages() {
        for (count, wanted) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (1_288_490_188, "1.1 GiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(bytes(count), wanted);
        }
        for (seconds, wanted) in [
            (-5, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3600, "1h"),
            (172_800, "2d"),
            (60 * 86_400, "8w"),
            (800 * 86_400, "2y"),
        ] {
            assert_eq!(ago(seconds), wanted);
        }
    }

    proptest! {
        #[test]
        fn cleaned_text_is_clean_and_stays_so(text in "\\PC*|[\\x00-\\x9f\u{200b}-\u{2069}a-z\\[\\];]{0,60}") {
            let once = clean(&text).into_owned();
            prop_assert!(once.chars().all(|c| c == '\n' || c == '\t' || !c.is_control() && !is_invisible(c)));
            prop_assert_eq!(clean(&once), once.as_str());
        }

        #[test]
        fn cut_never_exceeds(text in "\\PC*", max in 0usize..80) {
            prop_assert!(cut(&text, max).len() <= max);
            prop_assert!(text.starts_with(cut(&text, max)));
        }
    }
}
