//! One line of `ssh_config`: its keyword and words, with quotes, escapes and comments as OpenSSH takes them.

/// A line that says something.
pub(super) struct Line<'a> {
    /// In lower case.
    pub(super) keyword: String,
    pub(super) words: Vec<String>,
    /// All that comes after the keyword, as written.
    pub(super) rest: &'a str,
}

/// Takes a line apart; `None` for an empty line or a comment.
///
/// # Errors
/// A quote that is not closed.
pub(super) fn split(text: &str) -> Result<Option<Line<'_>>, &'static str> {
    let text = text.trim_matches([' ', '\t', '\r', '\u{c}']);
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let end = text.find([' ', '\t', '=']).unwrap_or(text.len());
    let (keyword, rest) = text.split_at(end);
    let rest = rest.trim_start_matches([' ', '\t']);
    let rest = rest
        .strip_prefix('=')
        .unwrap_or(rest)
        .trim_start_matches([' ', '\t']);
    Ok(Some(Line {
        keyword: keyword.to_ascii_lowercase(),
        words: words(rest)?,
        rest,
    }))
}

/// Words between blanks; `"` and `'` keep blanks together, `\` takes a quote, a backslash or a blank as it is, and a
/// word that begins with `#` begins a comment.
fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        if matches!(rest.peek(), None | Some('#')) {
            return Ok(words);
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(c) = rest.next_if(|c| quote.is_some() || !matches!(c, ' ' | '\t')) {
            match (c, quote) {
                ('\\', _) => {
                    match rest.next_if(|c| matches!(c, '"' | '\'' | '\\') || (quote.is_none() && *c == ' ')) {
                        Some(escaped) => word.push(escaped),
                        None => word.push('\\'),
                    }
                }
                ('"' | '\'', None) => quote = Some(c),
                (_, Some(open)) if c == open => quote = None,
                _ => word.push(c),
            }
        }
        if quote.is_some() {
            return Err("a quote is not closed");
        }
        words.push(word);
    }
}
