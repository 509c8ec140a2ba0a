//! What is suspicious in text from a stranger that a model will read: characters that a person does not see, and words
//! that pose as instructions. Finding is cheap, as every answer passes here; most hold nothing of the kind.
//!
//! A net, not a boundary: instructions in plain words pass, and a file about such tricks is reported although it is
//! innocent. That is why what is found is by default marked and not refused.

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::finder::{Detector, Finder};
use crate::redact;

/// What poses as the words of somebody else than the stranger.
#[derive(Clone, Copy)]
enum Pose {
    /// `<tag` and then `>`, a blank or `/`; `</tag` as well.
    Tag,
    /// A token of a chat format, whole.
    Token,
    /// A phrase.
    Phrase,
}

const POSES: [(&str, Pose); 36] = [
    ("<important", Pose::Tag),
    ("</important", Pose::Tag),
    ("<system", Pose::Tag),
    ("</system", Pose::Tag),
    ("<system-reminder", Pose::Tag),
    ("<system_prompt", Pose::Tag),
    ("<instructions", Pose::Tag),
    ("</instructions", Pose::Tag),
    ("<instruction", Pose::Tag),
    ("<secret", Pose::Tag),
    ("<assistant", Pose::Tag),
    ("</assistant", Pose::Tag),
    ("<|im_start|>", Pose::Token),
    ("<|im_end|>", Pose::Token),
    ("<|system|>", Pose::Token),
    ("<|user|>", Pose::Token),
    ("<|assistant|>", Pose::Token),
    ("<|endoftext|>", Pose::Token),
    ("<|begin_of_text|>", Pose::Token),
    ("<|start_header_id|>", Pose::Token),
    ("<|eot_id|>", Pose::Token),
    ("<start_of_turn>", Pose::Token),
    ("<<sys>>", Pose::Token),
    ("[inst]", Pose::Token),
    ("[/inst]", Pose::Token),
    ("ignore previous instructions", Pose::Phrase),
    ("ignore all previous instructions", Pose::Phrase),
    ("ignore the previous instructions", Pose::Phrase),
    ("ignore the above instructions", Pose::Phrase),
    ("disregard previous instructions", Pose::Phrase),
    ("disregard all previous instructions", Pose::Phrase),
    ("do not tell the user", Pose::Phrase),
    ("don't tell the user", Pose::Phrase),
    ("do not inform the user", Pose::Phrase),
    ("do not mention this to the user", Pose::Phrase),
    ("without telling the user", Pose::Phrase),
];

/// The beginnings of [`POSES`].
static FINDER: LazyLock<Finder> = LazyLock::new(|| Finder::new(beginnings()));
/// And then what [`redact::text`] looks for.
static TRACES: LazyLock<Detector> = LazyLock::new(|| Detector::new(beginnings().chain(redact::traces())));

fn beginnings() -> impl Iterator<Item = &'static str> {
    POSES.into_iter().map(|(beginning, _)| beginning)
}

/// Whether no string of a JSON text can hold anything suspicious. `false` means: look into its strings.
#[must_use]
#[inline(never)]
pub fn is_clean_json(json: &str) -> bool {
    has_plain_escapes(json) && !has_hidden(json) && !FINDER.finds(json)
}

/// The same, and nothing that [`redact::text`] would change, nor what [`Spotter::may_be_in_json`] would overlook. One
/// look at the whole for most answers: they hold nothing, and some are long.
///
/// [`Spotter::may_be_in_json`]: crate::Spotter::may_be_in_json
#[must_use]
#[inline(never)]
pub fn is_innocent_json(json: &str) -> bool {
    has_plain_escapes(json) && !has_hidden(json) && !TRACES.detects(json)
}

/// Whether no escape stands for a character that belongs to what is looked for, or that may be hidden. What encoders
/// escape as a rule is neither: control characters, `&` (Go), all beyond ASCII (Python). PHP's `\/` is.
fn has_plain_escapes(json: &str) -> bool {
    let bytes = json.as_bytes();
    let Some(first) = memchr::memchr(b'\\', bytes) else {
        return true;
    };
    let (_, rest) = bytes.split_at(first);
    memchr::memchr2_iter(b'u', b'/', rest).all(|at| {
        let (before, here) = rest.split_at(at);
        let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\');
        // What is escaped begins no escape.
        if backslashes.count().is_multiple_of(2) {
            return true;
        }
        let unit = here
            .strip_prefix(b"u")
            .and_then(|rest| rest.first_chunk::<4>().copied());
        unit.and_then(hex).is_some_and(is_plain_escape)
    })
}

fn hex(digits: [u8; 4]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            b'A'..=b'F' => digit - b'A' + 10,
            _ => return None,
        };
        Some(number << 4 | u32::from(value))
    })
}

fn is_plain_escape(unit: u32) -> bool {
    match unit {
        // Beyond the Basic Multilingual Plane, tags and the further selectors are all behind 0xdb40.
        0x20..=0x25 | 0x27..=0x7f | 0xdb40 => false,
        // Most of what is escaped needs no closer look.
        0..=0x5ff | 0x2070..=0x3000 | 0xd800..=0xdfff => true,
        _ => char::from_u32(unit).is_some_and(|c| !may_be_hidden(c)),
    }
}

/// Whether a character is hidden in some surroundings.
fn may_be_hidden(c: char) -> bool {
    let mut text = [0; 4];
    has_hidden(c.encode_utf8(&mut text)) || c == '\u{feff}'
}

/// What in `text` poses as instructions: the first such tag, token or phrase, in lower case.
#[must_use]
pub fn pose(text: &str) -> Option<&'static str> {
    poses(text).next().map(|(_, at)| POSES[at].0)
}

/// `text` with its posing tags and tokens in other brackets, so that they are tags no more: `<important>` becomes
/// `‹important>`. Phrases stay.
#[must_use]
pub fn defuse(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut done = 0;
    for (start, at) in poses(text) {
        let (beginning, pose) = POSES[at];
        if matches!(pose, Pose::Phrase) {
            continue;
        }
        out.push_str(&text[done..start]);
        // All of them begin with one byte of ASCII.
        out.push(if beginning.starts_with('[') { '⟦' } else { '‹' });
        done = start + 1;
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

/// Where each pose begins, and which it is.
fn poses(text: &str) -> impl Iterator<Item = (usize, usize)> {
    // Of tags that begin at one place only one ends as a tag does.
    FINDER.find(text).filter(move |&(start, at)| {
        let (beginning, pose) = POSES[at];
        match pose {
            Pose::Tag => text[start + beginning.len()..].starts_with(['>', ' ', '/', '\n', '\t']),
            Pose::Token | Pose::Phrase => true,
        }
    })
}

/// Whether `text` holds characters that nobody sees, where they have no business: tags, bidirectional controls, zero
/// width. Those that scripts and emoji need are let be.
#[must_use]
pub fn has_hidden(text: &str) -> bool {
    !text.is_ascii() && hidden(text).next().is_some()
}

/// `text` without such characters.
#[must_use]
pub fn unhide(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut done = 0;
    for (at, c) in hidden(text) {
        out.push_str(&text[done..at]);
        done = at + c.len_utf8();
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

/// Hidden characters and where they are.
fn hidden(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut before = None;
    // Tag characters that a flag may still have.
    let mut flag = 0;
    text.char_indices().filter(move |&(at, c)| {
        // Nearly all characters are plain ones.
        if c.is_ascii() {
            before = Some(c);
            return false;
        }
        let after = || text[at + c.len_utf8()..].chars().next();
        let is_hidden = match c {
            // A black flag makes those of England, Scotland and Wales with up to six (Unicode 16, emoji sequences).
            '\u{e0020}'..='\u{e007f}' if flag > 0 => {
                flag -= 1;
                before = Some(c);
                return false;
            }
            '\u{e0000}'..='\u{e007f}'
            | '\u{200b}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{180e}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{3164}'
            | '\u{ffa0}' => true,
            // The byte order mark of a file.
            '\u{feff}' => at > 0,
            // Joiners, between letters or emoji that are joined by them.
            '\u{200c}' | '\u{200d}' => !(before.is_some_and(may_join) && after().is_some_and(may_join)),
            // Marks of direction, beside letters that have one.
            '\u{200e}' | '\u{200f}' | '\u{61c}' => {
                !(before.is_some_and(is_right_to_left) || after().is_some_and(is_right_to_left))
            }
            // One selects a variant of what is before it; a row of them carries bytes.
            '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => before.is_none_or(|before| {
                is_selector(before) || before.is_ascii() && !"#*0123456789".contains(before)
            }),
            _ => false,
        };
        flag = if c == '\u{1f3f4}' { 6 } else { 0 };
        before = Some(c);
        is_hidden
    })
}

fn may_join(c: char) -> bool {
    !c.is_ascii()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{e0000}'..='\u{e007f}')
}

fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}')
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hidden_characters() {
        for (text, wanted) in [
            ("plain", "plain"),
            ("grüße 日本 🐳 ❤️ 1️⃣", "grüße 日本 🐳 ❤️ 1️⃣"),
            (
                "👩‍👩‍👧 🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
                "👩‍👩‍👧 🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            ),
            ("نمی\u{200c}خواهم", "نمی\u{200c}خواهم"),
            ("שלום\u{200f}!", "שלום\u{200f}!"),
            ("葛\u{e0100}", "葛\u{e0100}"),
            ("\u{feff}file", "\u{feff}file"),
            ("a\u{feff}b", "ab"),
            ("ze\u{200b}ro a\u{200d}b", "zero ab"),
            ("abc\u{202e}cba\u{202c}", "abccba"),
            ("tags\u{e0068}\u{e0069}", "tags"),
            (
                "🏴\u{e0068}\u{e0069}\u{e0068}\u{e0069}\u{e0068}\u{e0069}\u{e0068}",
                "🏴\u{e0068}\u{e0069}\u{e0068}\u{e0069}\u{e0068}\u{e0069}",
            ),
            ("é\u{fe01}\u{fe02}\u{fe03}x\u{e0101}", "é\u{fe01}x"),
            ("\u{3164}", ""),
        ] {
            assert_eq!(unhide(text), wanted, "{text:?}");
            assert_eq!(has_hidden(text), text != wanted, "{text:?}");
        }
    }

    #[test]
    fn posing() {
        for (text, pose_of, defused) in [
            ("plain < text", None, "plain < text"),
            ("an <IMPORTANT> word", Some("<important"), "an ‹IMPORTANT> word"),
            ("<importantly> <systemd>", None, "<importantly> <systemd>"),
            (
                "<system-reminder>x",
                Some("<system-reminder"),
                "‹system-reminder>x",
            ),
            ("x</system>", Some("</system"), "x‹/system>"),
            ("[INST] a [/INST]", Some("[inst]"), "⟦INST] a ⟦/INST]"),
            ("<|im_start|>system", Some("<|im_start|>"), "‹|im_start|>system"),
            (
                "Ignore previous instructions",
                Some("ignore previous instructions"),
                "Ignore previous instructions",
            ),
        ] {
            assert_eq!(pose(text), pose_of, "{text}");
            assert_eq!(defuse(text), defused, "{text}");
        }
    }

    #[test]
    fn clean_json() {
        for (json, wanted) in [
            (r#"{"text":"grüße"}"#, true),
            (r#"{"text":"line\nline"}"#, true),
            (r#"{"text":"\u003cimportant>"}"#, false),
            (r#"{"text":"<|im_start|\u003e"}"#, false),
            (r#"{"text":"<\/important>"}"#, false),
            (
                r#"{"text":"a \u0026 b \u001b[0m gr\u00fc\u00dfe \ud83d\udc33"}"#,
                true,
            ),
            (r#"{"text":"\u0069gnore previous instructions"}"#, false),
            (r#"{"text":"C:\\u0069 and \\\\u0069"}"#, true),
            (r#"{"text":"\\\u0069gnore previous instructions"}"#, false),
            (r#"{"text":"\n\"\u0069"}"#, false),
            (r#"{"text":"a\u200bb"}"#, false),
            (r#"{"text":"\ufeff"}"#, false),
            (r#"{"text":"\u200d"}"#, false),
            (r#"{"text":"\ufe01"}"#, false),
            (r#"{"text":"\udb40\udc41"}"#, false),
            ("{\"text\":\"<system>\"}", false),
            ("{\"text\":\"a\u{200b}\"}", false),
        ] {
            assert_eq!(is_clean_json(json), wanted, "{json}");
        }
    }

    #[test]
    fn plain_escapes_hide_nothing() {
        for unit in 0..=0xffff {
            let Some(c) = char::from_u32(unit) else { continue };
            let is_looked_for = c.is_ascii() && !c.is_ascii_control() && c != '&';
            if is_looked_for || may_be_hidden(c) {
                assert!(!is_plain_escape(unit), "{unit:04x}");
            }
        }
    }

    #[test]
    fn innocent_json() {
        for (json, wanted) in [
            (r#"{"text":"nothing of the kind\nat all, gr\u00fc\u00dfe"}"#, true),
            (r#"{"text":"the key"}"#, false),
            (r#"{"text":"https:\/\/a:b@c"}"#, false),
            (r#"{"text":"\u0070assword"}"#, false),
            (r#"{"text":"GHP_"}"#, false),
            (r#"{"text":"<|im_start|>"}"#, false),
        ] {
            assert_eq!(is_innocent_json(json), wanted, "{json}");
        }
    }

    proptest! {
        #[test]
        fn what_is_innocent_is_left_alone(text in "(pass|PW|key|=|: ?|://|u:p@h|bearer |[a-z0-9]{12}|<|/|important|>|é|\u{200b}|\n|\"| |x){0,8}") {
            for json in [serde_json::to_string(&text).unwrap(), escaped(&text)] {
                if is_innocent_json(&json) {
                    prop_assert_eq!(&*redact::text(&text), text.as_str());
                    prop_assert!(pose(&text).is_none() && !has_hidden(&text));
                }
            }
        }

        #[test]
        fn what_was_cleaned_is_clean(text in "[a<\u{200b}-\u{200f}\u{202a}-\u{202e}\u{fe0f}\u{e0041}🏴👩é]{0,12}|\\PC*") {
            // Taking one away may leave another alone, so the cleaning goes on until nothing changes.
            let mut clean = unhide(&text).into_owned();
            for _ in 0..text.chars().count() {
                clean = unhide(&clean).into_owned();
            }
            prop_assert!(!has_hidden(&clean));
        }

        #[test]
        fn what_was_defused_is_no_tag(text in "(<(/)?(important|system|instructions)[ >x]|\\[INST\\]| |a){0,8}") {
            prop_assert_eq!(pose(&defuse(&text)), None);
        }
    }
    /// With every second character escaped.
    fn escaped(text: &str) -> String {
        let mut json = String::from("\"");
        for (at, c) in text.chars().enumerate() {
            match c {
                _ if at % 2 == 0 => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        write!(json, "\\u{unit:04x}").unwrap();
                    }
                }
                '"' => json.push_str("\\\""),
                '\n' => json.push_str("\\n"),
                '/' => json.push_str("\\/"),
                c => json.push(c),
            }
        }
        json + "\""
    }
}
