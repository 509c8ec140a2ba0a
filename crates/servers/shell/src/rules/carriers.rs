//! Programs and options that make a program of what is in their arguments. The table holds what is well known; it can't
//! hold all (`docs/shell.md` says what that means), so it is a net and no boundary.

use super::Program;

/// A word of a command by which it carries another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Carrying {
    /// As it stands in the command.
    pub(super) text: String,
    /// What a rule has to write out.
    pub(super) marker: String,
    /// It is the program itself.
    pub(super) is_program: bool,
    /// It is an option, perhaps with a value in the same word.
    pub(super) is_option: bool,
}

/// Run what they are given, whatever the arguments: shells, interpreters, and programs that start others.
const PROGRAMS: &[&str] = &[
    "ash",
    "bash",
    "busybox",
    "csh",
    "dash",
    "elvish",
    "fish",
    "ksh",
    "mksh",
    "nu",
    "powershell",
    "pwsh",
    "rbash",
    "sh",
    "tcsh",
    "toybox",
    "xonsh",
    "yash",
    "zsh", //
    "awk",
    "bun",
    "deno",
    "emacs",
    "ex",
    "expect",
    "gawk",
    "gdb",
    "guile",
    "jshell",
    "julia",
    "lldb",
    "lua",
    "luajit",
    "mawk",
    "nawk",
    "node",
    "nodejs",
    "original-awk",
    "osascript",
    "perl",
    "php",
    "pypy",
    "python",
    "rscript",
    "ruby",
    "scheme",
    "tclsh",
    "vi",
    "view",
    "vim",
    "nvim",
    "wish", //
    "at",
    "batch",
    "bwrap",
    "capsh",
    "catchsegv",
    "chroot",
    "chrt",
    "crontab",
    "dbus-run-session",
    "doas",
    "docker",
    "env",
    "faketime",
    "firejail",
    "flock",
    "ionice",
    "kubectl",
    "ltrace",
    "make",
    "gmake",
    "nerdctl",
    "nice",
    "nohup",
    "npx",
    "nsenter",
    "numactl",
    "parallel",
    "pipx",
    "pkexec",
    "podman",
    "prlimit",
    "proot",
    "rlwrap",
    "run-parts",
    "runuser",
    "screen",
    "script",
    "setarch",
    "setpriv",
    "setsid",
    "socat",
    "ssh",
    "sshpass",
    "start-stop-daemon",
    "stdbuf",
    "strace",
    "su",
    "sudo",
    "systemd-run",
    "taskset",
    "time",
    "timeout",
    "tmux",
    "unbuffer",
    "unshare",
    "uvx",
    "watch",
    "xargs",
    "xvfb-run",
];

/// One file under many names: which one it is, the name says by which it is called.
const MANY: &[&str] = &["busybox", "toybox", "coreutils"];

/// Options that do, by program.
const OPTIONS: &[(&str, &[&str])] = &[
    ("dpkg", &["--pre-invoke", "--post-invoke"]),
    ("fd", &["-x", "-X", "--exec", "--exec-batch"]),
    ("fdfind", &["-x", "-X", "--exec", "--exec-batch"]),
    ("find", &["=-exec", "=-execdir", "=-ok", "=-okdir"]),
    ("go", &["=-exec", "=-toolexec", "=run", "=generate", "=tool"]),
    ("man", &["-P", "--pager", "-H", "--html"]),
    ("rg", &["--pre", "--hostname-bin"]),
    ("rsync", &["-e", "--rsh", "--rsync-path"]),
    ("scp", &["-S", "-o", "-D"]),
    ("sftp", &["-S", "-o", "-D"]),
    ("sort", &["--compress-program"]),
    ("split", &["--filter"]),
    (
        "tar",
        &[
            "-I",
            "-F",
            "--checkpoint-action",
            "--info-script",
            "--new-volume-script",
            "--rmt-command",
            "--rsh-command",
            "--to-command",
            "--use-compress-program",
        ],
    ),
    ("tcpdump", &["-z"]),
    ("wget", &["--use-askpass"]),
    ("zip", &["-T", "--unzip-command"]),
];

/// What carries in a command.
pub(super) fn of(program: &Program, arguments: &[String]) -> Vec<Carrying> {
    let called = name(&program.given);
    let real = program.real.as_ref().and_then(|path| path.to_str()).map(name);
    // `/bin/ls` that is a link to busybox is `ls`.
    let real = real.filter(|real| !MANY.contains(&real.as_str()));
    let names = || std::iter::once(&called).chain(&real);
    let mut all = Vec::new();
    if let Some(found) = names().find(|name| is_carrier(name)) {
        all.push(Carrying {
            text: program.given.clone(),
            marker: found.clone(),
            is_program: true,
            is_option: false,
        });
    }
    for (_, options) in OPTIONS.iter().filter(|(of, _)| names().any(|name| name == of)) {
        all.extend(arguments.iter().filter_map(|argument| option(options, argument)));
    }
    if names().any(|name| name == "git") {
        all.extend(of_git(arguments));
    }
    all
}

/// Without folder, version and suffix: `python` for `/usr/bin/python3.11`.
fn name(program: &str) -> String {
    let name = program
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let name = name.strip_suffix(".exe").unwrap_or(&name);
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    if bare.is_empty() { name } else { bare }.to_owned()
}

fn is_carrier(name: &str) -> bool {
    // The dynamic linker runs the file that it is given.
    PROGRAMS.contains(&name)
        || name.starts_with("ld-linux")
        || name.starts_with("ld-musl")
        || name.starts_with("ld.so")
}

/// Whether an argument is such an option. `=word` means exactly it, `-x` the letter in any cluster of letters, `--word`
/// it, its abbreviations, and it with a value.
fn option(options: &[&str], argument: &str) -> Option<Carrying> {
    let is_it = |option: &&&str| {
        if let Some(exact) = option.strip_prefix('=') {
            return argument == exact;
        }
        if option.starts_with("--") {
            let given = argument.split('=').next().unwrap_or_default();
            return given.len() >= 4 && given.starts_with("--") && option.starts_with(given);
        }
        let letters = argument
            .strip_prefix('-')
            .filter(|letters| !letters.starts_with('-'));
        let letter = option.strip_prefix('-').unwrap_or_default();
        letters.is_some_and(|letters| letters.contains(letter))
    };
    options.iter().find(is_it)?;
    Some(Carrying {
        text: argument.to_owned(),
        marker: argument.split('=').next().unwrap_or_default().to_owned(),
        is_program: false,
        is_option: true,
    })
}

/// Options of git that take a value in the next word.
const GIT_VALUES: &[&str] = &[
    "-C",
    "--attr-source",
    "--git-dir",
    "--namespace",
    "--super-prefix",
    "--work-tree",
];

/// git has aliases, hooks and helpers, which its settings name: whatever sets one carries.
fn of_git(arguments: &[String]) -> Vec<Carrying> {
    let mut all = Vec::new();
    let mut carries = |text: &String| {
        all.push(Carrying {
            text: text.clone(),
            marker: text.split('=').next().unwrap_or_default().to_owned(),
            is_program: false,
            is_option: true,
        });
    };
    let mut words = arguments.iter();
    let mut command = None;
    while let Some(word) = words.next() {
        if GIT_VALUES.contains(&word.as_str()) {
            words.next();
        } else if word == "-c" || word.starts_with("--config") || word.starts_with("--exec-path=") {
            carries(word);
        } else if !word.starts_with('-') {
            command = Some(word);
            break;
        }
    }
    if let Some(word) = command.filter(|word| {
        matches!(
            word.as_str(),
            "config" | "filter-branch" | "difftool" | "mergetool"
        )
    }) {
        carries(word);
    }
    let command = command.map(String::as_str).unwrap_or_default();
    for word in words {
        let of_all = [
            "--upload-pack",
            "--receive-pack",
            "--exec",
            "--open-files-in-pager",
        ];
        let of_one = match command {
            "submodule" => word == "foreach",
            "bisect" => word == "run",
            "rebase" => word.starts_with("-x"),
            "grep" => word.starts_with("-O"),
            "clone" => word.starts_with("-c") || word.starts_with("--config") || word.starts_with("-u"),
            _ => false,
        };
        if of_one || word.starts_with("ext::") || option(&of_all, word).is_some() {
            carries(word);
        }
    }
    all
}
