//! Credential helpers.

use base::Secret;
use secrets::{Helper, Source, Sources};

use crate::{Bench, name};

/// Keeps logins in files, and speaks the helpers' protocol.
const KEYRING: &str = r#"
mkdir -p "$dir/keyring"
case $1 in
  store)
    json=$(cat); url=$(printf %s "$json" | sed 's/.*"ServerURL":"\([^"]*\)".*/\1/')
    printf %s "$json" >"$dir/keyring/${url##*/}" ;;
  get)
    read -r url; file=$dir/keyring/${url##*/}
    [ -f "$file" ] || { echo "credentials not found in native keychain"; exit 1; }
    cat "$file" ;;
  erase) read -r url; rm -f "$dir/keyring/${url##*/}" ;;
  list)
    printf '{"https://index.docker.io/v1/":"someone"'
    for file in "$dir"/keyring/*; do
      [ ! -f "$file" ] || printf ',"https://secrets.dockmaster.invalid/%s":"dockmaster"' "${file##*/}"
    done
    echo '}' ;;
esac
"#;

fn helper(bench: &Bench) -> Sources {
    Sources::new([Source::Helper(Helper::new("test", bench.programs()).unwrap())])
}

#[tokio::test]
async fn stores_reads_lists_and_removes() {
    let bench = Bench::new();
    bench.program("docker-credential-test", KEYRING);
    let sources = helper(&bench);
    assert_eq!(sources.get(&name("a.key")).await.unwrap(), None);
    assert!(sources.list().await.entries.is_empty());
    for value in ["first", "zweite: ü \"quoted\" \\ 'and' $HOME `id`\nline"] {
        assert_eq!(
            sources.set(&name("a.key"), &Secret::new(value)).await.unwrap(),
            "docker-credential-test"
        );
        assert_eq!(
            sources.get(&name("a.key")).await.unwrap(),
            Some(Secret::new(value))
        );
    }
    let listing = sources.list().await;
    let names: Vec<&str> = listing.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["a.key"], "logins of registries are not ours");
    assert!(sources.remove(&name("a.key")).await.unwrap().from.is_some());
    assert!(sources.remove(&name("a.key")).await.unwrap().from.is_none());
    assert!(!bench.calls().contains("zweite"), "no value is an argument");
}

#[tokio::test]
async fn what_goes_wrong_is_told() {
    for (script, wanted) in [
        (
            "echo 'exit status 1: gpg: decryption failed' >&2; exit 1",
            "gpg: decryption failed",
        ),
        (
            "echo 'error getting credentials' ; exit 1",
            "error getting credentials",
        ),
        ("exit 7", "without a word"),
        ("echo not json", "not what the protocol says"),
        ("head -c 2000000 /dev/zero", "more than 1048576 bytes"),
    ] {
        let bench = Bench::new();
        bench.program("docker-credential-test", script);
        let told = bench.told(&helper(&bench).get(&name("a")).await.unwrap_err());
        assert!(
            told.starts_with("docker-credential-test: reading a failed: ") && told.contains(wanted),
            "{told}"
        );
    }
    let bench = Bench::new();
    let told = bench.told(&helper(&bench).get(&name("a")).await.unwrap_err());
    insta::assert_snapshot!(told, @"docker-credential-test: reading a failed: docker-credential-test is not on the PATH; install it, or choose another place for secrets under [secrets]");
    assert!(Helper::new("../evil", bench.programs()).is_err() && Helper::new("", bench.programs()).is_err());
}

/// `docker-credential-pass` 0.6.4 does not complain about what it does not have.
#[tokio::test]
async fn an_empty_login_is_none() {
    let bench = Bench::new();
    bench.program(
        "docker-credential-test",
        r#"printf '{"ServerURL":"x","Username":"","Secret":""}'"#,
    );
    assert_eq!(helper(&bench).get(&name("a")).await.unwrap(), None);
    assert!(helper(&bench).remove(&name("a")).await.unwrap().from.is_none());
}

#[tokio::test]
async fn one_that_hangs_is_stopped_with_its_children() {
    let bench = Bench::new();
    bench.program(
        "docker-credential-test",
        "sleep 1000 & echo $! >\"$dir/child\"; wait",
    );
    let sources = Sources::new([Source::Helper(Helper::new("test", bench.impatient()).unwrap())]);
    let told = bench.told(&sources.get(&name("a")).await.unwrap_err());
    insta::assert_snapshot!(told, @"docker-credential-test: reading a failed: docker-credential-test gave no answer within 0.3 s and was stopped; unlock the keyring that it waits for, then try again");
    let child = fs_err::read_to_string(bench.path().join("child")).unwrap();
    let status = || fs_err::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    // A zombie that nobody reaped is dead, too.
    let is_gone = || status().is_empty() || status().contains(") Z ");
    testkit::eventually("the child to be gone", async || is_gone().then_some(())).await;
}

#[tokio::test]
async fn variables_that_are_none_of_its_business_are_withheld() {
    let bench = Bench::new();
    bench.program(
        "docker-credential-test",
        r#"printf '{"ServerURL":"x","Username":"u","Secret":"home=%s cargo=%s"}' "${HOME+set}" "${CARGO_PKG_NAME+set}""#,
    );
    let mut programs = bench.programs();
    programs.withhold = vec!["CARGO_PKG_NAME".to_owned()];
    let sources = Sources::new([Source::Helper(Helper::new("test", programs).unwrap())]);
    assert_eq!(
        sources.get(&name("a")).await.unwrap(),
        Some(Secret::new("home=set cargo="))
    );
}
