use proptest::prelude::*;

use super::pattern::is_like;
use super::*;

fn rules(allow: Option<&[&str]>, deny: &[&str], scripts: Scripts) -> Rules {
    let parse = |rules: &[&str]| rules.iter().map(|rule| Rule::parse(rule).unwrap()).collect();
    Rules {
        allow: allow.map(parse),
        deny: parse(deny),
        scripts,
    }
}

fn judged(rules: &Rules, command: &str) -> Result<(), Refused> {
    let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
    let (program, arguments) = words.split_first().unwrap();
    rules.judge(&Program::unseen(program), arguments)
}

/// `+` before a command that may run, `-` before one that may not.
fn check(rules: &Rules, commands: &str) {
    for line in commands.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (sign, command) = line.split_once(' ').unwrap();
        let judged = judged(rules, command);
        assert_eq!(
            judged.is_ok(),
            sign == "+",
            "{command}: {judged:?}\nrules: {rules:?}"
        );
    }
}

#[test]
fn an_allow_rule_covers_whole_commands() {
    let rules = rules(
        Some(&[
            "ls",
            "git status",
            "git log **",
            "cargo test * --lib",
            "/opt/tools/*",
            "cp src/*.rs **",
        ]),
        &[],
        Scripts::Refused,
    );
    check(
        &rules,
        "
        + ls
        + ls -la /etc
        - /tmp/ls
        - ./ls
        - lsof
        + git status
        - git status --short
        + git log
        + git log -p --stat
        - git push
        - git -C /x status
        + cargo test a --lib
        - cargo test --lib
        - cargo test a b --lib
        + /opt/tools/build now
        - /opt/tool/build
        - tools
        + cp src/a.rs b c
        - cp src/a.txt b
        ",
    );
    check(&self::rules(Some(&[]), &[], Scripts::Free), "- ls\n- true");
    check(
        &self::rules(Some(&["*"]), &[], Scripts::Refused),
        "+ ls -l\n- /bin/ls\n- sh -c x\n- env ls",
    );
}

#[test]
fn a_deny_rule_is_wider_and_comes_first() {
    let rules = rules(
        None,
        &["rm", "git push", "curl --upload-file", "/usr/bin/dd", "mkfs*"],
        Scripts::Free,
    );
    check(
        &rules,
        "
        - rm
        - rm -rf /
        - /bin/rm x
        - ./rm x
        + rmdir x
        - git push
        - git push origin main
        - git -C /x push origin
        + git pull
        - curl -v --upload-file x http://y
        + curl --upload-file=x http://y
        - mkfs.ext4 /dev/sda
        - /usr/bin/dd if=x
        + dd if=x
        - timeout 5 rm x
        - env A=1 nice rm x
        - sudo -u x git push
        - busybox rm x
        + sh -c 'rm'
        + echo rm
        ",
    );
    check(
        &self::rules(Some(&["git **"]), &["git push"], Scripts::Refused),
        "+ git pull\n- git push",
    );
    let found = Program {
        given: "x".into(),
        found: Some("/opt/x".into()),
        real: Some("/bin/rm".into()),
    };
    let judged = rules.judge(&found, &[]).unwrap_err();
    assert_eq!(judged.to_string(), "the rule \"rm\" of [shell] deny refuses it");
}

#[test]
fn what_carries_another_command_is_refused_unless_named() {
    let refused = "
        - sh -c x
        - /bin/sh -c x
        - bash
        - bash5.1 -c x
        - python3.11 -c x
        - PERL -e x
        - env ls
        - busybox sh
        - sudo ls
        - xargs ls
        - timeout 5 ls
        - /lib64/ld-linux-x86-64.so.2 /bin/sh
        - find . -exec rm {} ;
        - find . -name x -execdir rm {} ;
        - git -c alias.x=!sh x
        - git -C /x -c core.pager=sh log
        - git --config-env=core.pager=X log
        - git --exec-path=/tmp status
        - git config alias.x !sh
        - git rebase -x ls main
        - git rebase --exec=ls main
        - git bisect run ls
        - git submodule foreach ls
        - git clone ext::sh x
        - git clone --config core.fsmonitor=sh u
        - git fetch --upload-pack=ls o
        - git fetch --upload-pa=ls o
        - tar -xf a --to-command=ls
        - tar -xf a --to-comm ls
        - tar -cIf ls a
        - tar --checkpoint-action exec=ls -c a
        - rsync -ae ls a b
        - rg --pre ls x
        - sort --compress-program=ls x
        - go run x.go
        ";
    check(&rules(None, &[], Scripts::Refused), refused);
    check(
        &rules(
            Some(&["*", "*/*", "find **", "git **", "tar **"]),
            &[],
            Scripts::Refused,
        ),
        refused,
    );
    let harmless = "
        + find . -name exec
        + git switch -c new
        + git commit -c HEAD
        + git log -x
        + tar -xf a
        + rg --pretty x
        + rsync -av a b
        + ls -exec
        + gitk -c x
        + cargo run
        ";
    check(&rules(None, &[], Scripts::Refused), harmless);
    check(
        &rules(None, &[], Scripts::Free),
        &refused.replace("- ", "+ ").replace("-+ ", "-- "),
    );
    let named = rules(
        Some(&[
            "env **",
            "sh -c ls",
            "find ** -exec ls **",
            "git -c color.ui=* log",
            "git -c *",
            "tar ** --to-command=*",
        ]),
        &[],
        Scripts::Refused,
    );
    check(
        &named,
        "
        + env A=1 ls
        + sh -c ls
        - sh -c rm
        + find . -exec ls {} ;
        - find . -execdir ls {} ;
        - find . -exec ls -execdir rm ;
        + git -c color.ui=never log
        + git -c x
        - git -c x log
        + tar -x --to-command=ls
        - tar --use-compress-program=x --to-command=ls
        ",
    );
}

#[test]
fn a_link_to_a_shell_is_a_shell() {
    let linked = |given: &str, real: &str| Program {
        given: given.into(),
        found: Some(format!("/opt/{given}").into()),
        real: Some(real.into()),
    };
    let none = rules(None, &[], Scripts::Refused);
    assert!(none.judge(&linked("editor", "/usr/bin/vim.basic"), &[]).is_ok());
    assert!(none.judge(&linked("run", "/bin/dash"), &[]).is_err());
    assert!(none.judge(&linked("ls", "/bin/busybox"), &[]).is_ok());
    assert!(none.judge(&linked("sh", "/bin/busybox"), &[]).is_err());
    let path = rules(Some(&["/opt/run"]), &[], Scripts::Refused);
    assert!(
        path.judge(&linked("run", "/bin/dash"), &[]).is_ok(),
        "it is named"
    );
    assert!(path.judge(&Program::unseen("run"), &[]).is_err());
}

#[test]
fn scripts_are_judged_by_their_shell_alone() {
    let sh = Program::unseen("sh");
    assert!(rules(None, &[], Scripts::Free).judge_script(&sh).is_ok());
    assert!(rules(None, &["sh"], Scripts::Free).judge_script(&sh).is_err());
    let refused = rules(Some(&["sh **"]), &[], Scripts::Refused).judge_script(&sh);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "it is text for sh, and no pattern over such text would be a boundary, so it is refused as a whole"
    );
}

#[test]
fn refusals_say_what_is_allowed() {
    let rules = rules(Some(&["ls", "git log **"]), &["rm"], Scripts::Refused);
    let told = |command| judged(&rules, command).unwrap_err().to_string();
    assert_eq!(
        told("id"),
        "no rule of [shell] allow covers it; allowed are \"ls\", \"git log **\""
    );
    assert_eq!(
        judged(&self::rules(None, &["rm"], Scripts::Free), "env rm x")
            .unwrap_err()
            .to_string(),
        "the rule \"rm\" of [shell] deny refuses \"rm\", which it carries"
    );
    assert_eq!(
        judged(&self::rules(None, &[], Scripts::Refused), "env ls")
            .unwrap_err()
            .to_string(),
        "env makes a program of its arguments, which no rule can judge, and no rule of [shell] allow names it"
    );
}

#[test]
fn rules_as_they_are_written() {
    for (text, expected) in [
        ("", Err(RuleError::Empty)),
        ("  ", Err(RuleError::Empty)),
        ("** x", Err(RuleError::NoProgram)),
        (" git   status ", Ok("\"git status\"")),
    ] {
        let shown = Rule::parse(text).map(|rule| rule.to_string());
        assert_eq!(shown, expected.map(str::to_owned), "{text:?}");
    }
    let words = ["git", "commit", "-m", "a b"].map(str::to_owned).to_vec();
    let rule = Rule::of_words(words).unwrap();
    assert_eq!(rule.to_string(), r#"["git", "commit", "-m", "a b"]"#);
    assert_eq!(Rule::of_words(vec!["x".into(); 65]), Err(RuleError::TooLong));
}

/// The plain meaning of a pattern, in the slowest way.
fn means(pattern: &[char], word: &[char]) -> bool {
    match (pattern.split_first(), word.split_first()) {
        (None, None) => true,
        (Some(('*', pattern)), _) if means(pattern, word) => true,
        (Some(('*', _)), Some((_, rest))) => means(pattern, rest),
        (Some((want, pattern)), Some((given, word))) => want == given && means(pattern, word),
        _ => false,
    }
}

proptest! {
    #[test]
    fn the_matcher_does_what_patterns_mean(pattern in "[ab*]{0,10}", word in "[ab]{0,10}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        prop_assert_eq!(is_like(&pattern, &word), means(&chars(&pattern), &chars(&word)));
    }

    #[test]
    fn words_match_as_characters_do(pattern in "[ab*]{0,8}", word in "[ab]{0,8}") {
        // Each character a word of its own, so that both levels can be held against each other.
        let rule = std::iter::once("x".to_owned())
            .chain(pattern.chars().map(|c| if c == '*' { "**".to_owned() } else { c.to_string() }));
        let rule = Rule::of_words(rule.collect()).unwrap();
        let words: Vec<String> = word.chars().map(String::from).collect();
        let expected = pattern.is_empty() || is_like(&pattern, &word);
        prop_assert_eq!(rule.allows(&Program::unseen("x"), &words), expected);
    }

    #[test]
    fn what_is_denied_is_denied_whatever_is_allowed(words in proptest::collection::vec("[a-c*/]{1,3}", 1..5), more in proptest::collection::vec("[a-c]{0,3}", 0..4)) {
        let Ok(rule) = Rule::of_words(words.clone()) else { return Ok(()) };
        let Some((program, arguments)) = words.split_first() else { return Ok(()) };
        prop_assume!(!program.ends_with('/'));
        let mut arguments: Vec<String> = arguments.iter().filter(|word| *word != "**").cloned().collect();
        arguments.extend(more);
        let rules = Rules { allow: Some(vec![Rule::parse("*").unwrap(), Rule::parse("*/*").unwrap()]), deny: vec![rule], scripts: Scripts::Free };
        prop_assert!(rules.judge(&Program::unseen(program), &arguments).is_err());
    }

    #[test]
    fn no_command_upsets_it(program in "\\PC{0,12}", arguments in proptest::collection::vec("\\PC{0,12}", 0..6), rule in "\\PC{0,20}") {
        let deny = Rule::parse(&rule).into_iter().collect();
        let rules = Rules { allow: None, deny, scripts: Scripts::Refused };
        let _judged = rules.judge(&Program::unseen(&program), &arguments);
    }
}
