use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;

use super::*;

fn spotter(values: &[&str]) -> Spotter {
    let secrets: Vec<Secret> = values.iter().map(|value| Secret::new(*value)).collect();
    Spotter::new(&secrets)
}

#[test]
fn writings_of_a_value() {
    let found = spotter(&["pa ss/w\"örd<1>", "hunter22", "short"]);
    for (given, wanted) in [
        ("nothing", None),
        ("too short: short", None),
        ("hunter2 is not it", None),
        ("xhunter22x", Some("x[redacted]x")),
        ("hunter22hunter22 hunter22", Some("[redacted] [redacted]")),
        ("é pa ss/w\"örd<1> é", Some("é [redacted] é")),
        ("pa%20ss%2Fw%22%C3%B6rd%3C1%3E", Some("[redacted]")),
        ("pa%20ss%2fw%22%c3%b6rd%3c1%3e", Some("[redacted]")),
        ("q=pa+ss%2Fw%22%C3%B6rd%3C1%3E&r=1", Some("q=[redacted]&r=1")),
        ("/pa%20ss/w%22%C3%B6rd%3C1%3E/", Some("/[redacted]/")),
        ("%68%75%6E%74%65%72%32%32", Some("[redacted]")),
        (r#"{"a":"pa ss/w\"örd<1>"}"#, Some(r#"{"a":"[redacted]"}"#)),
        (r#"{"a":"pa ss/w\"\u00f6rd<1>"}"#, Some(r#"{"a":"[redacted]"}"#)),
        (r#"{"a":"pa ss\/w\"\u00f6rd<1>"}"#, Some(r#"{"a":"[redacted]"}"#)),
        (
            r#"{"a":"pa ss/w\"örd\u003c1\u003e"}"#,
            Some(r#"{"a":"[redacted]"}"#),
        ),
        (
            r#""{\"a\":\"pa ss/w\\\"örd<1>\"}""#,
            Some(r#""{\"a\":\"[redacted]\"}""#),
        ),
        ("68756e7465723232", Some("[redacted]")),
        ("68756E7465723232", Some("[redacted]")),
    ] {
        assert_eq!(found.replace(given).as_deref(), wanted, "{given}");
    }
}

#[test]
fn values_of_several_lines() {
    let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIBh5\n9zTq+4jHc0xQ2h7k\n-----END PRIVATE KEY-----\n";
    let config = "users:\n- name: admin\n  user:\n    token: \"eyJhbGciOiJSUzI1NiIsImtpZCI6\",\n    client-certificate-data: none\n";
    let one_line = "two words eyJhbGciOiJSUzI1NiIsImtpZCI6MTIz";
    let known: KnownSecrets = [key, config, one_line].map(Secret::new).into_iter().collect();
    let found = known.spotter();
    for (given, wanted) in [
        (key, Some("[redacted]")),
        (&*key.escape_default().to_string(), Some("[redacted]")),
        ("line 2: MC4CAQAwBQYDK2VwBCIEIBh5", Some("line 2: [redacted]")),
        ("token eyJhbGciOiJSUzI1NiIsImtpZCI6;", Some("token [redacted];")),
        // Too short, without digits, of a value of one line.
        ("9zTq+4jHc0xQ2h7k", None),
        ("-----BEGIN PRIVATE KEY-----", None),
        ("client-certificate-data: none", None),
        ("MTIz words eyJhbGciOiJSUzI1NiIs", None),
    ] {
        assert_eq!(found.replace(given).as_deref(), wanted, "{given}");
    }
}

#[test]
fn values_of_several_fields() {
    let account = r#"{"type":"service","id":"0a1b2c3d4e5f60718293a4b5c6d7e8f9","key":"-----BEGIN KEY-----\nMC4CAQAwBQYDK2VwBCIEIBh5\n-----END KEY-----\n","at":"https://accounts.example.com/o/oauth2/auth1"}"#;
    let variables = "API_TOKEN=s3cr3t-of-twenty-four-and-more\nROLE=arn:aws:iam::123456789012:role/deployer\n\
                     URL=postgres://app:pa55word@db.example.com/app1\nPAD=MC4CAQAwBQYDK2VwBCIEIBg=\n";
    let known: KnownSecrets = [account, variables].map(Secret::new).into_iter().collect();
    let found = known.spotter();
    for (given, wanted) in [
        ("id 0a1b2c3d4e5f60718293a4b5c6d7e8f9.", Some("id [redacted].")),
        ("MC4CAQAwBQYDK2VwBCIEIBh5", Some("[redacted]")),
        ("https://accounts.example.com/o/oauth2/auth1", None),
        ("Bearer s3cr3t-of-twenty-four-and-more", Some("Bearer [redacted]")),
        ("arn:aws:iam::123456789012:role/deployer", None),
        (
            "to postgres://app:pa55word@db.example.com/app1",
            Some("to [redacted]"),
        ),
        ("MC4CAQAwBQYDK2VwBCIEIBg=", Some("[redacted]")),
    ] {
        assert_eq!(found.replace(given).as_deref(), wanted, "{given}");
    }
}

#[test]
fn base64_wherever_the_value_stands() {
    let found = spotter(&["sk-\u{ff}\u{3fe}?>secret-value"]);
    for before in ["", "a", "ab", "abc", "Authorization: Basic user:"] {
        for behind in ["", "x", "xy", "xyz"] {
            let text = format!("{before}sk-\u{ff}\u{3fe}?>secret-value{behind}");
            for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
                let encoded = engine.encode(&text);
                let clean = found.replace(&encoded).unwrap();
                assert!(
                    clean.contains(REDACTED) && clean.len() < encoded.len(),
                    "{before:?} {behind:?}"
                );
                let blank = found.blank_in_base64(&encoded).unwrap();
                assert_eq!(blank.len(), encoded.len());
                let decoded = engine.decode(&blank).unwrap();
                assert!(
                    !String::from_utf8_lossy(&decoded).contains("cret"),
                    "{before:?} {behind:?}"
                );
            }
        }
    }
}

#[test]
fn base64_in_lines() {
    let value = "0123456789abcdef0123456789abcdef".repeat(8);
    let found = spotter(&[&value]);
    for before in 0..80 {
        let encoded = STANDARD.encode(format!("{}{value}", "x".repeat(before)));
        let lines: Vec<&str> = encoded
            .as_bytes()
            .chunks(76)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        for end in ["\n", "\r\n"] {
            assert!(found.replace(&lines.join(end)).is_some(), "{before}");
        }
    }
}

#[test]
fn values_that_overlap_are_both_gone() {
    let found = spotter(&["aaaaaaaabbbbbbbb", "bbbbbbbbcccccccc", "aaaaaaaa"]);
    assert_eq!(
        found.replace("-aaaaaaaabbbbbbbbcccccccc-").as_deref(),
        Some("-[redacted]-")
    );
    assert_eq!(found.replace(&"a".repeat(1_000)).as_deref(), Some("[redacted]"));
}

#[test]
fn nothing_to_look_for_finds_nothing() {
    assert!(spotter(&[]).is_empty() && spotter(&["1234567"]).is_empty());
    assert_eq!(spotter(&[]).replace("12345678"), None);
    assert!(!format!("{:?}", spotter(&["long enough"])).contains("enough"));
}

#[test]
fn what_is_learnt_is_seen_by_all() {
    let known: KnownSecrets = [Secret::new("first value")].into_iter().collect();
    let screen = known.clone();
    assert_eq!(
        screen.spotter().replace("first value, second value").as_deref(),
        Some("[redacted], second value")
    );
    known.learn([Secret::new("second value")]);
    assert_eq!(
        screen.spotter().replace("first value, second value").as_deref(),
        Some("[redacted], [redacted]")
    );
}

proptest! {
        #[test]
        fn a_value_is_gone_and_the_rest_stays(before in "\\PC{0,20}", value in "\\PC{8,20}", behind in "\\PC{0,20}") {
            prop_assume!(!before.contains(&value) && !REDACTED.contains(&value));
            let found = spotter(&[&value]);
            let clean = found.replace(&format!("{before}{value}{behind}")).unwrap();
            prop_assert!(clean.contains(REDACTED));
            let json = serde_json::json!({"k": &value}).to_string();
            prop_assert!(found.replace(&json).is_some());
            let json = serde_json::json!([format!("{before}{value}{behind}")]).to_string();
            prop_assert!(found.may_be_in_json(&json));
let encoded = STANDARD.encode(format!("{before}{value}{behind}"));
            prop_assert!(found.replace(&encoded).is_some());
        }

        #[test]
        fn text_without_the_value_is_left_alone(text in "[a-y0-9é\n]{0,200}") {
            prop_assert_eq!(spotter(&["zzzzzzzz", "ZÜRICH-secret"]).replace(&text), None);
        }
    }
