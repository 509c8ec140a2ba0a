//! `docker pass`, in the ways in which its versions answer.

use base::Secret;
use secrets::{DockerPass, Source, Sources};

use crate::{Bench, name};

/// `docker` with the plugin, as of 2026: values are shown with `--reveal`, and stored only where there is none.
const NOW: &str = r#"
[ "$1" = pass ] || exit 64
mkdir -p "$dir/keyring"
file() { echo "$dir/keyring/$(printf %s "$1" | tr / ,)"; }
case $2 in
  set)
    [ ! -f "$(file "$3")" ] || { echo "Error: duplicate item" >&2; exit 1; }
    cat >"$(file "$3")" ;;
  get)
    shown='**********'; [ "$3" != --reveal ] || { shift; shown=; }
    [ -f "$(file "$3")" ] || { echo "Error: secret not found" >&2; exit 1; }
    printf 'ID: %s\nValue: %s\n' "$3" "${shown:-$(cat "$(file "$3")")}" ;;
  ls) for f in "$dir"/keyring/*; do [ ! -f "$f" ] || echo "${f##*/}" | tr , /; done ;;
  rm)
    [ -f "$(file "$3")" ] || { echo "ERR: $3: secret not found"; echo "Error: $3: secret not found" >&2; exit 1; }
    rm "$(file "$3")"; echo "RM: $3" ;;
esac
"#;

fn pass(bench: &Bench) -> Sources {
    Sources::new([Source::DockerPass(DockerPass::new(bench.programs()))])
}

#[tokio::test]
async fn stores_reads_lists_and_removes() {
    let bench = Bench::new();
    // The first versions had no --reveal, and printed the list to stderr.
    let first = NOW
        .replace(
            "shown='**********'; [ \"$3\" != --reveal ] || { shift; shown=; }",
            "[ \"$3\" != --reveal ] || { echo 'unknown flag: --reveal' >&2; exit 1; }; shown=",
        )
        .replace("| tr , /; done", "| tr , / >&2; done");
    for script in [NOW, &first] {
        bench.program("docker", script);
        let sources = pass(&bench);
        assert_eq!(sources.get(&name("a.key")).await.unwrap(), None);
        for value in ["first", "zweite: ü \"quoted\" $HOME"] {
            assert_eq!(
                sources.set(&name("a.key"), &Secret::new(value)).await.unwrap(),
                "docker pass"
            );
            assert_eq!(
                sources.get(&name("a.key")).await.unwrap(),
                Some(Secret::new(value))
            );
        }
        let listing = sources.list().await;
        let names: Vec<&str> = listing.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["a.key"]);
        assert!(sources.remove(&name("a.key")).await.unwrap().from.is_some());
        assert!(sources.remove(&name("a.key")).await.unwrap().from.is_none());
    }
    let calls = bench.calls();
    assert!(
        calls.contains("docker pass get --reveal docker/mcp/a.key") && !calls.contains("zweite"),
        "{calls}"
    );
}

#[tokio::test]
async fn what_goes_wrong_is_told() {
    for (script, wanted) in [
        (
            "echo \"docker: 'pass' is not a docker command.\" >&2; exit 1",
            "this docker has no `pass` command; install docker-secrets-engine",
        ),
        (
            "echo 'docker: unknown command: docker pass' >&2; exit 1",
            "this docker has no `pass` command; install docker-secrets-engine",
        ),
        ("printf 'ID: a\\nValue: **********\\n'", "it does not show values"),
        ("echo 'Error: access denied' >&2; exit 1", "Error: access denied"),
        ("echo hello", "no line that begins"),
    ] {
        let bench = Bench::new();
        bench.program("docker", script);
        let told = bench.told(&pass(&bench).get(&name("a")).await.unwrap_err());
        assert!(
            told.starts_with("docker pass: reading a failed: ") && told.contains(wanted),
            "{told}"
        );
    }
}
