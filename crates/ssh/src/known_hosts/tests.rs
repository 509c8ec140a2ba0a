//! The judgement over small files, table by table; keys are named by letters.

use super::*;
use proptest::prelude::*;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::certificate::Builder;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use std::sync::LazyLock;

const NOW: u64 = 1_800_000_000;

/// Keys `A`, `B` and `C`: always the same, so that a failure reads the same.
static KEYS: LazyLock<[PrivateKey; 3]> = LazyLock::new(|| {
    [1_u8, 2, 3].map(|seed| {
        let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&[seed; 32]));
        PrivateKey::new(pair, "").unwrap()
    })
});

fn key(letter: char) -> &'static PrivateKey {
    &KEYS[letter as usize - 'A' as usize]
}

/// A file in which `{A}` stands for key A.
fn file(text: &str) -> KnownHosts {
    let mut text = text.to_owned();
    for letter in ['A', 'B', 'C'] {
        text = text.replace(
            &format!("{{{letter}}}"),
            &key(letter).public_key().to_openssh().unwrap(),
        );
    }
    let mut known = KnownHosts::default();
    known.add(Path::new("kh"), text.as_bytes());
    known
}

fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Known(place) => format!("known {}", place.line),
        Verdict::Unknown { .. } => "unknown".into(),
        Verdict::Changed { place, .. } => format!("changed {}", place.line),
        Verdict::Revoked(place) => format!("revoked {}", place.line),
        Verdict::Certificate { place, reason } => format!("certificate {}: {reason}", place.line),
    }
}

/// What `text` says when the host shows key A.
#[track_caller]
fn check(text: &str, host: &str, port: u16, expected: &str) {
    let shown = key('A').public_key().clone().into();
    assert_eq!(
        told(&file(text).judge(host, port, &shown, NOW)),
        expected,
        "{text}"
    );
}

#[test]
fn plain_names() {
    check("", "box", 22, "unknown");
    check("box {A}", "box", 22, "known 1");
    check("box {A} a comment # of words", "box", 22, "known 1");
    check("BOX {A}", "Box", 22, "known 1");
    check("  \tbox\t{A}\r", "box", 22, "known 1");
    check("# box {A}\n\n\nbox {A}", "box", 22, "known 4");
    check("boxes {A}", "box", 22, "unknown");
    check("box {B}", "box", 22, "changed 1");
    check("box {B}\nbox {A}", "box", 22, "known 2");
    check("a,box,10.0.0.1 {A}", "10.0.0.1", 22, "known 1");
    check("fe80::1 {A}", "FE80::1", 22, "known 1");
}

#[test]
fn patterns() {
    check("*.org {A}", "a.b.org", 22, "known 1");
    check("*.org,!bad.org {A}", "bad.org", 22, "unknown");
    check("!bad.org,*.org {A}", "bad.org", 22, "unknown");
    check("!bad.org {A}", "good.org", 22, "unknown");
    check("b?x {A}", "box", 22, "known 1");
    check("* {B}", "box", 22, "changed 1");
}

#[test]
fn ports() {
    check("[box]:2222 {A}", "box", 2222, "known 1");
    check("[box]:2222 {A}", "box", 22, "unknown");
    check("[box]:2222 {A}", "box", 2223, "unknown");
    check("[BOX]:2222 {A}", "box", 2222, "known 1");
    check("[*]:2222 {A}", "box", 2222, "known 1");
    // By its name alone, as OpenSSH: a match counts, a difference does not.
    check("box {A}", "box", 2222, "known 1");
    check("box {B}", "box", 2222, "unknown");
    check("[box]:2222 {B}\nbox {A}", "box", 2222, "changed 1");
    check("@revoked box {A}", "box", 2222, "revoked 1");
    check("[::1]:2222 {A}", "::1", 2222, "known 1");
}

#[test]
fn hashed_names() {
    // Written by `ssh-keygen -H` for `box` and for `[box]:2222`.
    let hash = |name: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &[7; 20]);
        format!(
            "|1|{}|{}",
            STANDARD.encode([7; 20]),
            STANDARD.encode(hmac::sign(&key, name.as_bytes()))
        )
    };
    check(&format!("{} {{A}}", hash("box")), "Box", 22, "known 1");
    check(&format!("{} {{A}}", hash("box")), "bax", 22, "unknown");
    check(&format!("{} {{B}}", hash("box")), "box", 22, "changed 1");
    check(&format!("{} {{A}}", hash("[box]:2222")), "box", 2222, "known 1");
    check(&format!("@revoked {} {{A}}", hash("box")), "box", 22, "revoked 1");
    // The one known vector from outside: `ssh-keygen -H` of OpenSSH 9.2 over `localhost`.
    let line = "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= {A}";
    check(line, "192.168.1.61", 22, "known 1");
    check(line, "192.168.1.62", 22, "unknown");
}

#[test]
fn revoked_comes_first() {
    check("box {A}\n@revoked * {A}", "box", 22, "revoked 2");
    check("@revoked * {A}\nbox {A}", "box", 22, "revoked 1");
    check("@revoked\tbox\t{A}", "box", 22, "revoked 1");
    check("@revoked other {A}\nbox {A}", "box", 22, "known 2");
    check("@revoked * {B}\nbox {A}", "box", 22, "known 2");
    check("@revoked * {B}", "box", 22, "unknown");
    // An authority's key is no host's key.
    check("@cert-authority * {A}", "box", 22, "unknown");
    check("@cert-authority * {B}\nbox {A}", "box", 22, "known 2");
}

#[test]
fn what_cannot_be_read_is_told() {
    let text = "box\nbox ssh-ed25519\nbox ssh-ed25519 AAAA\n@other box {A}\n|1|x|y {A}\n|2|x|y {A}\n\
                box 1024 35 123456789\nbox {A}\n\u{fffd}\u{0} {A}";
    let known = file(text);
    let lines: Vec<_> = known.warnings().iter().map(String::as_str).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    kh line 1: it has no key after the host names; the line is passed over
    kh line 2: it has no key after the host names; the line is passed over
    kh line 3: its key is damaged, or of a kind that is not supported; the line is passed over
    kh line 4: its marker is neither @cert-authority nor @revoked; the line is passed over
    kh line 5: its hashed host name is damaged; the line is passed over
    kh line 6: its host name is hashed in an unknown way; the line is passed over
    kh line 7: its key is damaged, or of a kind that is not supported; the line is passed over
    ");
    check(text, "box", 22, "known 8");
}

#[test]
fn a_line_of_ours_is_known() {
    for (host, port) in [("box", 22), ("Box", 2222), ("::1", 22), ("fe80::1", 23)] {
        let text = line(host, port, key('A').public_key()).unwrap();
        check(&text, host, port, "known 1");
        check(
            &text.replace("ssh-ed25519 ", "\tssh-ed25519\t"),
            host,
            port,
            "known 1",
        );
    }
}

/// A certificate over key A by `authority`, as `change` makes it.
fn certificate(authority: char, change: impl FnOnce(&mut Builder)) -> PublicKeyOrCertificate {
    certificate_of(CertType::Host, authority, change)
}

fn certificate_of(
    kind: CertType,
    authority: char,
    change: impl FnOnce(&mut Builder),
) -> PublicKeyOrCertificate {
    let mut builder = Builder::new(
        [9; 16].to_vec(),
        key('A').public_key().key_data().clone(),
        NOW - 10,
        NOW + 10,
    )
    .unwrap();
    builder.cert_type(kind).unwrap().key_id("test").unwrap();
    change(&mut builder);
    builder.sign(key(authority)).unwrap().into()
}

#[test]
fn certificates() {
    let named = |name: &'static str| {
        move |builder: &mut Builder| {
            builder.valid_principal(name).unwrap();
        }
    };
    let judge = |text: &str, shown: &PublicKeyOrCertificate, now| {
        told(&file(text).judge("box.org", 2222, shown, now))
    };
    let good = certificate('B', named("box.org"));
    let trusted = "@cert-authority *.org,[*.org]:* {B}";
    assert_eq!(judge(trusted, &good, NOW), "known 1");
    assert_eq!(judge(trusted, &certificate('B', named("*.org")), NOW), "known 1");
    assert_eq!(judge("@cert-authority other {B}", &good, NOW), "unknown");
    assert_eq!(judge("@cert-authority * {C}", &good, NOW), "unknown");
    // Not by an authority that is known, but the key itself is.
    assert_eq!(judge("[box.org]:2222 {A}", &good, NOW), "known 1");
    assert_eq!(judge("[box.org]:2222 {B}", &good, NOW), "changed 1");
    for revoked in ['A', 'B'] {
        let text = format!("@cert-authority * {{B}}\n@revoked * {{{revoked}}}");
        assert_eq!(judge(&text, &good, NOW), "revoked 2");
    }
    insta::assert_snapshot!([
        judge(trusted, &good, NOW + 10),
        judge(trusted, &good, NOW - 11),
        judge(trusted, &certificate('B', named("other.org")), NOW),
        judge(trusted, &certificate('B', |builder| { builder.all_principals_valid().unwrap(); }), NOW),
        judge(trusted, &certificate_of(CertType::User, 'B', named("box.org")), NOW),
        judge(trusted, &certificate('B', |builder| {
            builder.valid_principal("box.org").unwrap().critical_option("force-command", "x").unwrap();
        }), NOW),
    ].join("\n"), @r"
    certificate 1: it has expired
    certificate 1: it is not valid yet; is the clock right?
    certificate 1: it is for other.org, not for box.org
    certificate 1: it is for no host, not for box.org
    certificate 1: it is a user's certificate, not a host's
    certificate 1: it has critical options, which no host certificate may have
    ");
}

proptest! {
    /// Nothing in a file makes the reader fall over, nor a revoked key good.
    #[test]
    fn revoked_is_never_known(
        before in "(?s).{0,200}",
        lines in proptest::collection::vec("(@cert-authority |@revoked |)(box|\\*|!box|\\[box\\]:22|a,box)[ \t](\\{A\\}|\\{B\\}|ssh-rsa x)", 0..6),
        host in "(?s).{0,12}|box",
        port: u16,
    ) {
        let bad = "@revoked * {A}";
        let text = format!("{before}\n{}\n{bad}\n{}", lines.join("\n"), lines.join("\n"));
        let shown = key('A').public_key().clone().into();
        let verdict = file(&text).judge(&host, port, &shown, NOW);
        prop_assert!(matches!(verdict, Verdict::Revoked(_)), "{verdict:?}");
    }
}
