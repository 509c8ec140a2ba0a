//! Formats of texts, as far as configurations use them.

pub(super) const FORMATS: [&str; 13] = [
    "date",
    "date-time",
    "email",
    "filepath",
    "hostname",
    "int32",
    "int64",
    "ipv4",
    "ipv6",
    "password",
    "uri",
    "url",
    "uuid",
];

/// What a format expects, if the text breaks it.
pub(super) fn broken_format(name: &str, text: &str) -> Option<&'static str> {
    let (good, expected) = match name {
        "email" => (is_email(text), "an e-mail address"),
        "uri" | "url" => (is_uri(text), "a URL with its scheme"),
        "hostname" => (
            crate::setup::is_dns_name(&text.to_ascii_lowercase()),
            "a host name",
        ),
        "ipv4" => (text.parse::<std::net::Ipv4Addr>().is_ok(), "an IPv4 address"),
        "ipv6" => (text.parse::<std::net::Ipv6Addr>().is_ok(), "an IPv6 address"),
        "uuid" => (is_shaped(text, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"), "a UUID"),
        "date" => (is_shaped(text, "9999-99-99"), "a date (2026-01-31)"),
        "date-time" => (
            text.get(..19)
                .is_some_and(|start| is_shaped(&start.replace(['t', ' '], "T"), "9999-99-99T99:99:99")),
            "a time (2026-01-31T12:00:00Z)",
        ),
        _ => return None,
    };
    (!good).then_some(expected)
}

fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.rsplit_once('@') else {
        return false;
    };
    !name.is_empty()
        && !host.is_empty()
        && !text.contains(char::is_whitespace)
        && !text.chars().any(char::is_control)
}

fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let letters = scheme
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && letters
        && !rest.is_empty()
        && !text.contains(char::is_whitespace)
}

/// `x` stands for a hexadecimal digit, `9` for a decimal one.
fn is_shaped(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text
            .bytes()
            .zip(shape.bytes())
            .all(|(byte, wanted)| match wanted {
                b'x' => byte.is_ascii_hexdigit(),
                b'9' => byte.is_ascii_digit(),
                other => byte == other,
            })
}
