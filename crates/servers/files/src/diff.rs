//! Edits by exact replacement, and what they change as a unified diff.

use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::{Code, ToolError};
use similar::TextDiff;

/// One replacement.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    /// Occurs exactly once.
    #[serde(alias = "oldText", alias = "old_string", alias = "old_str")]
    pub(crate) old_text: String,
    #[serde(alias = "newText", alias = "new_string", alias = "new_str")]
    pub(crate) new_text: String,
    /// Every occurrence.
    #[serde(default, alias = "replace_all", alias = "replaceAll")]
    pub(crate) all: bool,
}

/// The text with the edits made, one after the other.
///
/// # Errors
/// An edit whose old text is not there, or there more than once; none is made then.
pub(crate) fn apply(text: &str, edits: &[Edit]) -> Result<String, ToolError> {
    let mut text = text.to_owned();
    for (number, edit) in (1..).zip(edits) {
        text = one(&text, edit).map_err(|error| match edits.len() {
            1 => error,
            _ => error.during(format!("edit {number}, of which none was made")),
        })?;
    }
    Ok(text)
}

fn one(text: &str, edit: &Edit) -> Result<String, ToolError> {
    if edit.old_text.is_empty() {
        return Err(ToolError::arguments("old_text is empty").fix("write_file replaces a whole file"));
    }
    let (old, new) = as_in(text, edit);
    let found = text.matches(old.as_str()).count();
    match found {
        0 => Err(not_there(text, &old)),
        1 => Ok(text.replacen(&old, &new, 1)),
        _ if edit.all => Ok(text.replace(&old, &new)),
        _ => Err(ToolError::new(
            Code::Conflict,
            format!("old_text occurs {found} times, at lines {}", lines_of(text, &old)),
        )
        .fix("give more of the text around it, or all=true to replace each")),
    }
}

/// The edit with the line ends of the file: who reads it sees `\n` for `\r\n`.
fn as_in(text: &str, edit: &Edit) -> (String, String) {
    let plain = || (edit.old_text.clone(), edit.new_text.clone());
    if !text.contains("\r\n") || text.contains(&edit.old_text) && edit.old_text.contains('\n') {
        return plain();
    }
    let crlf = |part: &str| part.replace("\r\n", "\n").replace('\n', "\r\n");
    (crlf(&edit.old_text), crlf(&edit.new_text))
}

fn lines_of(text: &str, old: &str) -> String {
    let numbers: Vec<String> = text
        .match_indices(old)
        .take(5)
        .map(|(at, _)| (text[..at].matches('\n').count() + 1).to_string())
        .collect();
    numbers.join(", ")
}

fn not_there(text: &str, old: &str) -> ToolError {
    let error = ToolError::new(Code::NotFound, "old_text is not in the file");
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let wanted: Vec<String> = old
        .lines()
        .map(squeezed)
        .filter(|line| !line.is_empty())
        .collect();
    let near = wanted.first().and_then(|first| {
        let (number, line) = (1..)
            .zip(text.lines())
            .find(|(_, line)| squeezed(line) == *first)?;
        Some((number, line.to_owned()))
    });
    match near {
        Some((number, line)) => error.fix(format!(
            "its first line is like line {number} but for blanks, or what follows differs: {:?}",
            base::text::cut(&line, 200)
        )),
        None => {
            error.fix("read_file shows what is there; the text has to be exactly the same, blanks included")
        }
    }
}

/// What has changed, as `diff -u` writes it.
pub(crate) fn unified(name: &str, old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new)
        .unified_diff()
        .context_radius(3)
        .header(name, name)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, edits: &[(&str, &str, bool)], expected: &str) {
        let edits: Vec<Edit> = edits
            .iter()
            .map(|(old, new, all)| Edit {
                old_text: (*old).to_owned(),
                new_text: (*new).to_owned(),
                all: *all,
            })
            .collect();
        let edited = apply(text, &edits).unwrap_or_else(|error| error.to_string());
        assert_eq!(edited, expected);
    }

    #[test]
    fn edits() {
        check("a\nb\nc\n", &[("b\n", "B\nB\n", false)], "a\nB\nB\nc\n");
        check("a b a", &[("a", "x", true)], "x b x");
        check("ab", &[("a", "b", false), ("bb", "c", false)], "c");
        check("a\r\nb\r\nc", &[("a\nb", "x\ny", false)], "x\r\ny\r\nc");
        check("a\r\nb\r\n", &[("b", "x\ny", false)], "a\r\nx\r\ny\r\n");
        check("é→é", &[("→", "", false)], "éé");
        check(
            "a b\na",
            &[("a", "x", false)],
            "conflict: old_text occurs 2 times, at lines 1, 2\nfix: give more of the text around it, or all=true to replace each",
        );
        check(
            "x\n    if a {\n",
            &[
                ("x", "y", false),
                ("  if a {", "z", false),
                ("\tif a {", "z", false),
            ],
            "not_found: edit 3, of which none was made: old_text is not in the file\n\
             fix: read_file shows what is there; the text has to be exactly the same, blanks included",
        );
        check(
            "x\n    if a {\n",
            &[("\tif a {", "z", false)],
            "not_found: old_text is not in the file\n\
             fix: its first line is like line 2 but for blanks, or what follows differs: \"    if a {\"",
        );
        check(
            "a",
            &[("", "x", false)],
            "invalid_arguments: old_text is empty\nfix: write_file replaces a whole file",
        );
    }

    #[test]
    fn diffs() {
        assert_eq!(
            unified("f", "a\nb\n", "a\nc"),
            "--- f\n+++ f\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n\\ No newline at end of file\n"
        );
        assert_eq!(unified("f", "a", "a"), "");
    }
}
