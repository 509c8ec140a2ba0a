//! What runs on the far side: text for a POSIX shell, made here and read there. Pure.
//!
//! The login shell of a user may be any (bash, fish, csh), so all that it ever reads is one constant line, which starts
//! `/bin/sh` with a clean environment. That reads one more line, from its input: there the words of a command stand in
//! single quotes, where nothing means anything but the quote itself, and a newline, which can't be in a line, is a
//! variable. What a command has in its environment is in no argument, so nobody over there sees it in a list of processes.

use std::fmt::Write as _;

/// What the login shell reads. No shell makes anything else of it than these words.
pub(super) const BOOT: &str = "exec env -i HOME=\"$HOME\" USER=\"$USER\" LOGNAME=\"$LOGNAME\" SHELL=\"$SHELL\" /bin/sh -c 'IFS= read -r l; eval \"$l\"'";

/// The variable by which a command's processes are found again, whatever sessions they made of themselves.
pub(super) const MARK: &str = "DOCKMASTER_COMMAND";

/// Sends `$1` to each process whose environment has the mark `$2`; only Linux shows that. Sets `f` if there was any.
const MARKED: &str = "m() { for p in $(grep -lsF \"DOCKMASTER_COMMAND=$2\" /proc/[0-9]*/environ 2>/dev/null); do \
                      p=${p#/proc/}; kill -s $1 ${p%/environ} 2>/dev/null && f=1; done; }; ";

/// One word for a POSIX shell in one line, where `$n` is a newline. A NUL can't be in it.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''").replace('\n', "'\"$n\"'"))
}

/// Whether a shell can be given a variable of this name. Some it keeps for itself.
pub(super) fn is_variable(name: &str) -> bool {
    const ITS_OWN: [&str; 7] = [
        "BASHOPTS",
        "BASH_VERSINFO",
        "EUID",
        "GROUPS",
        "PPID",
        "SHELLOPTS",
        "UID",
    ];
    if ITS_OWN.contains(&name) {
        return false;
    }
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(is_word) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// What is to run there.
pub(super) struct Wanted<'a> {
    /// A name that nobody else has: letters and digits.
    pub(super) token: &'a str,
    pub(super) argv: &'a [String],
    pub(super) dir: Option<&'a str>,
    /// With `PATH`.
    pub(super) env: &'a [(String, String)],
}

/// What the shell of a command writes when that ended with the code 255, which is also what the system's `ssh` ends with when
/// it fails.
pub(super) fn is_255(token: &str) -> String {
    format!("\0{token} 255")
}

/// The line that runs a command. The shell that reads it leads the process group of all; it says `TOKEN run NUMBER`, waits
/// for a line `go`, runs the command, ends what that has left behind, and ends with its code. Or it says why not.
pub(super) fn command(wanted: &Wanted<'_>) -> String {
    let token = wanted.token;
    let mut line = "n=$(printf '\\nx'); n=${n%x}; ".to_owned();
    line.push_str(MARKED);
    line.push_str("set --");
    for word in wanted.argv {
        _ = write!(line, " {}", quoted(word));
    }
    line.push_str("; e() { ");
    // `n` is the newline of all others.
    let (last, first): (Vec<_>, Vec<_>) = wanted.env.iter().partition(|(name, _)| name == "n");
    for (name, value) in first.into_iter().chain(last) {
        _ = write!(line, "export {name}={}; ", quoted(value));
    }
    _ = write!(line, "export {MARK}={token}; }}; ");
    if let Some(dir) = wanted.dir {
        // One that begins with a dash is a path all the same.
        _ = write!(
            line,
            "cd -- {} 2>/dev/null || {{ echo '{token} dir'; exit 1; }}; ",
            quoted(dir)
        );
    }
    _ = write!(
        line,
        "( e; command -v \"$1\" >/dev/null 2>&1 ) || {{ echo '{token} program'; exit 1; }}; \
         trap : HUP INT PIPE QUIT ALRM TERM USR1 USR2; echo \"{token} run $$\"; IFS= read -r g && [ \"$g\" = go ] || exit 1; \
         ( e; exec \"$@\" ); c=$?; f=; [ $c != 255 ] || printf '\\0{token} 255' 2>/dev/null; exec </dev/null >/dev/null 2>&1; \
         kill -s TERM -- -$$; m TERM {token}; [ -z \"$f\" ] || {{ sleep 1; m KILL {token}; m KILL {token}; }}; exit $c"
    );
    line
}

/// The line of the keeper, which does what it is told about the commands of a connection, and ends them all when its input
/// ends: that is when the connection is gone. It says `TOKEN keep` first, and `TOKEN has GROUP` when it knows of a command.
pub(super) fn keeper(token: &str) -> String {
    format!(
        "{MARKED}trap : HUP INT PIPE QUIT ALRM TERM USR1 USR2; echo '{token} keep'; exec 3>&1 >/dev/null 2>&1; a=; \
         g() {{ kill -s $1 -- -$2; }}; \
         e() {{ g TERM $1; m TERM $2; i=0; while [ $i -lt $3 ]; do sleep 1; i=$((i+1)); f=; m 0 $2; g 0 $1 || [ -n \"$f\" ] || return; done; \
         m KILL $2; g KILL $1; m KILL $2; }}; \
         r() {{ b=; for x in $a; do [ \"$x\" = \"$1\" ] || b=\"$b $x\"; done; a=$b; }}; \
         while IFS= read -r l; do set -- $l; case $1 in \
         add) a=\"$a $2:$3\"; echo \"{token} has $2\" >&3;; \
         del) r $2:$3; g KILL $2;; \
         sig) g $4 $2;; \
         end) r $2:$3; e $2 $3 $4 & ;; \
         esac; done; for x in $a; do e ${{x%%:*}} ${{x##*:}} 1 & done; wait"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write as _;
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};

    /// What a real shell makes of the words.
    fn through_sh(words: &[String]) -> Vec<u8> {
        let mut line = "n=$(printf '\\nx'); n=${n%x}; printf '%s\\0'".to_owned();
        for word in words {
            _ = write!(line, " {}", quoted(word));
        }
        line.push('\n');
        let mut sh = Command::new("sh")
            .args(["-c", "IFS= read -r l; eval \"$l\""])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        sh.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
        sh.wait_with_output().unwrap().stdout
    }

    fn check(words: &[String]) {
        let mut expected = Vec::new();
        for word in words {
            expected.extend(word.as_bytes());
            expected.push(0);
        }
        assert_eq!(through_sh(words), expected, "{words:?}");
    }

    #[test]
    fn words_that_mean_something_to_shells() {
        let words = [
            "", "'", "''", "\\", "\\'", "'\\''", "$n", "\"$n\"", "$(id)", "`id`", "a\nb", "\n", "\n\n",
            "'\n'", "*", "~", "!", "#", "&&", ";", "-n", "a b", "\t", "\r", "\u{1b}[", "é", "\u{202e}",
            "${IFS}", "%s", "\\n", "x\\", "{a,b}",
        ];
        check(&words.map(str::to_owned));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_words_come_through(words in prop::collection::vec("([^\\x00]|['\\\\$\"\n`!]){0,12}", 1..6)) {
            let words: Vec<String> = words.into_iter().map(|word| word.replace('\0', "")).collect();
            check(&words);
        }

        #[test]
        fn variables(name in "\\PC{0,8}") {
            if is_variable(&name) {
                prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
            }
        }
    }

    /// Whatever it is called, no variable changes another.
    #[test]
    fn variables_come_through() {
        let env = ["a", "n", "token", "z"].map(|name| (name.to_owned(), format!("{name}\n'{name}'")));
        let wanted = Wanted {
            token: "t0",
            argv: &["sh", "-c", r#"printf '%s\0' "$a" "$n" "$token" "$z""#].map(str::to_owned),
            dir: None,
            env: &env,
        };
        let mut sh = Command::new("sh")
            .args(["-c", "IFS= read -r l; eval \"$l\""])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let said = format!("{}\ngo\n", command(&wanted));
        sh.stdin.take().unwrap().write_all(said.as_bytes()).unwrap();
        let output = sh.wait_with_output().unwrap().stdout;
        let printed = output.splitn(2, |byte| *byte == b'\n').nth(1).unwrap_or_default();
        let printed = String::from_utf8_lossy(printed);
        let expected = env.map(|(_, value)| value + "\0").concat();
        assert_eq!(printed, expected);
    }

    #[test]
    fn lines_are_lines_and_the_first_is_for_any_shell() {
        let argv = ["a\nb".to_owned(), "it's".to_owned()];
        let wanted = Wanted {
            token: "t0",
            argv: &argv,
            dir: Some("/x\ny"),
            env: &[("A".to_owned(), "\n".to_owned())],
        };
        assert!(!command(&wanted).contains('\n') && !keeper("t0").contains('\n'));
        assert!(!BOOT.contains(['\n', '\\', '!', '`']));
        assert!(
            is_variable("_A1")
                && !is_variable("UID")
                && !is_variable("1A")
                && !is_variable("")
                && !is_variable("A-B")
        );
    }
}
