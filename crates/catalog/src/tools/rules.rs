//! What a file may not declare, although it could be read: where an argument would be more than data.

use super::text::Text;
use super::{Body, Http};
use crate::planner::{check_url, is_header_name};

/// Programs that read code from an argument, with the options behind which it stands.
const INTERPRETERS: [(&[&str], &[&str]); 7] = [
    (
        &["sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "busybox", "su"],
        &["-c"],
    ),
    (&["python", "python2", "python3", "pypy", "pypy3"], &["-c"]),
    (&["perl"], &["-e", "-E"]),
    (&["ruby", "lua"], &["-e"]),
    (
        &["node", "bun", "deno"],
        &["-e", "-p", "--eval", "--print", "eval"],
    ),
    (&["php"], &["-r"]),
    (&["pwsh", "powershell"], &["-c", "-Command", "-EncodedCommand"]),
];

/// Variables that decide which code a program runs, by how they begin.
pub(super) const LOADER: [&str; 9] = [
    "LD_",
    "DYLD_",
    "PATH",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "NODE_OPTIONS",
    "BASH_ENV",
    "PERL5OPT",
    "RUBYOPT",
];

/// Headers that are the connection's own (RFC 9110, 7.6.1; RFC 9112, 6).
const CONNECTION: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What is wrong with an argv.
pub(super) fn argv(items: &[Text]) -> Vec<String> {
    let mut faults = Vec::new();
    let filled = |item: &Text| item.as_literal().is_none();
    if items.first().is_some_and(filled) {
        faults.push("which program runs can't be filled in".to_owned());
    }
    for (at, item) in items.iter().enumerate().filter(|(_, item)| filled(item)) {
        if matches!(item.head(), "-" | "--") {
            faults.push(format!(
                "command[{at}]: {item} would let an argument choose the option"
            ));
        }
        if let Some((program, option)) = reads_code(items.get(..at).unwrap_or_default(), item) {
            faults.push(format!(
                "command[{at}]: {program} takes what stands behind {option} for code, so no argument can fill it; hand it over behind the code ([\"sh\", \"-c\", \"wc -w < \\\"$1\\\"\", \"--\", \"{{{{file}}}}\"]), in env, or by stdin"
            ));
        }
    }
    faults
}

/// The interpreter among the items `before`, and its option behind which this one stands.
fn reads_code<'t>(before: &'t [Text], item: &Text) -> Option<(&'t str, &'static str)> {
    let option = before.last().and_then(Text::as_literal).unwrap_or_default();
    before.iter().find_map(|word| {
        let word = word.as_literal()?;
        let program = word.rsplit('/').next().unwrap_or(word);
        // python3.13 is a python3.
        let bare = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        let (_, options) = INTERPRETERS
            .iter()
            .find(|(programs, _)| programs.contains(&program) || programs.contains(&bare))?;
        let found = options.iter().find(|known| {
            // `sh -ec CODE`: short options in one word, the last of them with a value.
            let short = known.len() == 2 && !option.starts_with("--") && option.starts_with('-');
            option == **known
                || short && option.ends_with(known.get(1..).unwrap_or("?"))
                || item.head().starts_with(*known)
        })?;
        Some((program, *found))
    })
}

/// What is wrong with a request.
pub(super) fn http(http: &Http) -> Vec<String> {
    let mut faults = Vec::new();
    if !["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].contains(&http.method.as_str()) {
        faults.push(format!(
            "http.method {:?} is none of GET, HEAD, POST, PUT, PATCH and DELETE",
            base::text::cut(&http.method, 20)
        ));
    }
    if matches!(http.method.as_str(), "GET" | "HEAD") && http.body != Body::None {
        faults.push(format!("http: {} has no body", http.method));
    }
    faults.extend(url(http).err());
    for (name, _) in &http.headers {
        let lower = name.to_ascii_lowercase();
        if !is_header_name(name) {
            faults.push(format!("http.headers: {name:?} is no header that HTTP has"));
        } else if CONNECTION.contains(&lower.as_str()) {
            faults.push(format!(
                "http.headers: {name} is the connection's own and can't be set"
            ));
        } else if lower == "content-type"
            && let Body::Json(_) | Body::Form(_) = http.body
        {
            faults.push("http.headers: the body says by itself of which type it is".to_owned());
        }
    }
    // JSON that is put together as text breaks at the first quote of an argument.
    if let Body::Text(text) = &http.body
        && text.arguments().next().is_some()
        && http.headers.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("content-type")
                && !value.as_written().trim_start().starts_with("text/plain")
        })
    {
        faults.push(
            "http.text: an argument is only filled into text/plain; write JSON as json = { … } and a form as form = { … }".to_owned(),
        );
    }
    faults
}

/// The host is the author's: nothing is filled in before the path.
fn url(http: &Http) -> Result<(), String> {
    let head = http.url.head();
    let (scheme, rest) = head
        .split_once("://")
        .ok_or("http.url begins with https:// and a host, which no argument can fill")?;
    let is_literal = http.url.as_literal().is_some();
    if !is_literal && !rest.contains(['/', '?']) {
        return Err(
            "http.url: which host is asked can't be filled in; places begin behind the / after it".to_owned(),
        );
    }
    if http.url.as_written().contains('#') {
        return Err("http.url: what stands behind # is not sent".to_owned());
    }
    if head
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
    {
        return Err("http.url has characters that no address has".to_owned());
    }
    let is_plain = scheme.eq_ignore_ascii_case("http");
    if is_plain && !http.private {
        return Err(
            "http.url is plain HTTP, which anybody on the way can read and change; private = true permits it"
                .to_owned(),
        );
    }
    // What else is wrong with an address is the same without TLS.
    let judged = if is_plain {
        format!("https://{rest}")
    } else {
        head.to_owned()
    };
    check_url(&judged).map_err(|why| format!("http.url can't be used: {why}"))
}
