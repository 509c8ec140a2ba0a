//! An image in at most 400 tokens: what it is called, what it runs, what it expects.

use crate::pick;
use jiff::Timestamp;
use serde_json::Value;
use server_kit::answer::Digest;

/// Bytes of all lines: 400 tokens less the frame.
const WHOLE: usize = 1_440;
/// Bytes of one line each.
const NAMES: usize = 300;
const COMMAND: usize = 160;
const ENVIRONMENT: usize = 260;
const LABELS: usize = 240;
const SHORT: usize = 100;

/// The digest of what `GET /images/{name}/json` gave, redacted before.
pub(super) fn of(details: &Value) -> Digest {
    let config = details.get("Config").unwrap_or(&Value::Null);
    let members = |pointer: &'static str| pick::members(config, pointer).map(|(name, _)| name);
    Digest::new()
        .line("id", pick::short_id(pick::text(details, "/Id")))
        .list("tags", pick::texts(details, "/RepoTags"), NAMES)
        .list("digests", pick::texts(details, "/RepoDigests"), NAMES)
        .line("size", size(details))
        .line("created", created(pick::text(details, "/Created")))
        .line("platform", platform(details))
        .line("entrypoint", words(config, "/Entrypoint"))
        .line("command", words(config, "/Cmd"))
        .line(
            "workdir",
            base::text::cut(pick::text(config, "/WorkingDir"), SHORT),
        )
        .line("user", base::text::cut(pick::text(config, "/User"), SHORT))
        .list("ports", members("/ExposedPorts"), SHORT)
        .list("volumes", members("/Volumes"), SHORT)
        .list(
            "env",
            pick::texts(config, "/Env").map(|entry| base::text::cut(entry, 80)),
            ENVIRONMENT,
        )
        .line("healthcheck", words(config, "/Healthcheck/Test"))
        .list("labels", pick::members(config, "/Labels").map(label), LABELS)
        .within(WHOLE, "(more with fields or full)")
}

fn size(details: &Value) -> String {
    let layers = pick::list(details, "/RootFS/Layers").len();
    format!(
        "{} in {layers} layer{}",
        base::text::bytes(pick::count(details, "/Size")),
        if layers == 1 { "" } else { "s" }
    )
}

fn created(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(made) => {
            let age = base::clock::now().as_second() - made.as_second();
            format!("{} ago", base::text::ago(age))
        }
        Err(_) => text.to_owned(),
    }
}

fn platform(details: &Value) -> String {
    let parts = ["/Os", "/Architecture", "/Variant"].map(|pointer| pick::text(details, pointer));
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("/")
}

fn words(config: &Value, pointer: &str) -> String {
    let words: Vec<&str> = pick::texts(config, pointer).collect();
    base::text::cut(&words.join(" "), COMMAND).to_owned()
}

fn label((name, value): (&str, &Value)) -> String {
    let value = base::text::cut(value.as_str().unwrap_or_default(), 60);
    format!("{}={value}", base::text::cut(name, 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_crowded_image_stays_within_400_tokens() {
        let many = |n: usize| {
            (0..n)
                .map(|n| format!("NAME_{n}=a rather long value of {n}"))
                .collect::<Vec<_>>()
        };
        let labels: serde_json::Map<String, Value> = (0..60)
            .map(|n| (format!("org.example.label.{n}"), "x".repeat(100).into()))
            .collect();
        let details = json!({
            "Id": format!("sha256:{}", "0a".repeat(32)),
            "RepoTags": many(40), "RepoDigests": many(40),
            "Created": "2026-11-05T10:00:00.5Z", "Size": 1_984_172, "Os": "linux", "Architecture": "arm64", "Variant": "v8",
            "RootFS": {"Layers": many(3)},
            "Config": {
                "Entrypoint": many(30), "Cmd": many(30), "Env": many(60), "Labels": labels, "WorkingDir": "/srv",
                "User": "nobody", "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/data": {}},
                "Healthcheck": {"Test": many(30)},
            },
        });
        let text = of(&details).into_text();
        assert!(
            base::text::tokens(text.len()) <= 400,
            "{} bytes\n{text}",
            text.len()
        );
        assert!(
            text.contains("platform: linux/arm64/v8") && text.contains("size: 1.8 MiB in 3 layers"),
            "{text}"
        );
    }

    #[test]
    fn a_small_image_says_little() {
        let details = json!({"Id": "sha256:0123456789abcdef", "RepoTags": ["a:1"], "RepoDigests": [], "Size": 10,
            "Os": "linux", "Architecture": "amd64", "Config": {"Cmd": ["/bin/sh"], "Env": null}});
        insta::assert_snapshot!(of(&details).into_text(), @r"
        id: 0123456789ab
        tags: a:1
        size: 10 B in 0 layers
        platform: linux/amd64
        command: /bin/sh
        ");
    }
}
