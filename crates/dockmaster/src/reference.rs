//! The reference pages under `docs/` are made from the program itself. These tests fail when a page is not what the
//! program would make now; `UPDATE_REFERENCES=1 cargo nextest run -p dockmaster reference` writes them.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};

use crate::cli::Cli;
use crate::env::Var;
use crate::exit;
use crate::settings::table::{Preset, SETTINGS, Setting, TABLES};

const MADE: &str = "Made by the program from its own tables; do not edit. \
                    `UPDATE_REFERENCES=1 cargo nextest run -p dockmaster reference` writes it anew.";

#[test]
fn the_command_line() {
    current("cli.md", &command_line());
}

#[test]
fn the_configuration() {
    current("configuration.md", &configuration());
}

#[test]
fn the_tools() {
    current("tools.md", &docker_server::reference());
}

#[test]
fn the_tools_for_files() {
    let made = format!(
        "# Tools of the files server\n\n{MADE}\n\nWhat they do and refuse: [files](files.md).\n{}",
        files_server::reference()
    );
    current("tools-files.md", &made);
}

#[track_caller]
fn current(page: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(page);
    #[expect(clippy::disallowed_methods, reason = "a test has no executable above it")]
    if std::env::var_os("UPDATE_REFERENCES").is_some() {
        fs_err::write(&path, made).unwrap();
        return;
    }
    let written = fs_err::read_to_string(&path).unwrap_or_default();
    let differs = written
        .lines()
        .zip(made.lines())
        .position(|(one, other)| one != other);
    assert!(
        written == made,
        "docs/{page} is out of date (line {differs:?}); UPDATE_REFERENCES=1 writes it anew"
    );
}

fn command_line() -> String {
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut text = format!("# Command line\n\n{MADE}\n\n");
    _ = write!(
        text,
        "Data goes to standard output, everything else to standard error. Colours appear only at terminals, and not \
         with `NO_COLOR`. With `--json` a program can read what is printed. When whoever reads the output stops \
         reading, that is no error.\n\n```text\n{}\n```\n",
        exit::CODES
    );
    page(&mut text, &command, "dockmaster");
    text
}

/// A command and all beneath it.
fn page(text: &mut String, command: &Command, name: &str) {
    let inner: Vec<_> = command
        .get_subcommands()
        .filter(|inner| inner.get_name() != "help")
        .collect();
    _ = write!(text, "\n## {name}\n\n{}\n", about(command));
    if inner.is_empty() || name == "dockmaster" {
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ");
        _ = write!(text, "\n```text\n{usage}\n```\n");
    }
    if inner.is_empty() {
        let own = command
            .get_arguments()
            .filter(|arg| !arg.is_global_set() && !is_builtin(arg));
        arguments(text, own);
        if let Some(after) = command.get_after_help() {
            _ = write!(text, "\n```text\n{}\n```\n", after.to_string().trim());
        }
    }
    if name == "dockmaster" {
        text.push_str("\nFor every command:\n");
        arguments(text, command.get_arguments().filter(|arg| !is_builtin(arg)));
    }
    for inner in inner {
        page(text, inner, &format!("{name} {}", inner.get_name()));
    }
}

fn about(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    format!("{about}.")
}

fn is_builtin(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "help" | "version")
}

fn arguments<'a>(text: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    let mut head = "\n| argument | meaning |\n| --- | --- |\n";
    for arg in arguments {
        text.push_str(std::mem::take(&mut head));
        let values: Vec<_> = arg
            .get_value_names()
            .into_iter()
            .flatten()
            .map(ToString::to_string)
            .collect();
        let takes = arg.get_action().takes_values();
        let name = match (arg.get_long(), arg.get_short()) {
            (None, _) => values.join(" "),
            (Some(long), short) => {
                let short = short.map(|short| format!("-{short}, ")).unwrap_or_default();
                let value = if takes {
                    format!(" {}", values.join(" "))
                } else {
                    String::new()
                };
                format!("{short}--{long}{value}")
            }
        };
        let mut about = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let choices: Vec<_> = arg
            .get_possible_values()
            .iter()
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if takes && !choices.is_empty() {
            _ = write!(about, ": {}", choices.join(", "));
        }
        let default: Vec<_> = arg
            .get_default_values()
            .iter()
            .map(|value| value.to_string_lossy())
            .collect();
        if takes && !default.is_empty() {
            _ = write!(about, " [default: {}]", default.join(" "));
        }
        _ = writeln!(text, "| `{name}` | {} |", about.replace('|', "\\|"));
    }
}

fn configuration() -> String {
    let mut text = format!("# Configuration\n\n{MADE}\n\n{INTRODUCTION}");
    for (table, about) in TABLES {
        _ = write!(
            text,
            "\n## `[{table}]`\n\n{about}\n\n| key | default | meaning |\n| --- | --- | --- |\n"
        );
        let beneath = |setting: &&Setting| setting.key.rsplit_once('.').is_some_and(|(own, _)| own == *table);
        for setting in SETTINGS.iter().filter(beneath) {
            row(&mut text, setting);
        }
    }
    text.push_str("\n## Environment\n\nNothing else is read. Empty variables count as not set.\n\n| variable | meaning |\n| --- | --- |\n");
    for var in Var::ALL {
        _ = writeln!(text, "| `{}` | {} |", var.name(), var.about().trim());
    }
    text
}

fn row(text: &mut String, setting: &Setting) {
    let (_, name) = setting.key.rsplit_once('.').unwrap();
    let default = match setting.default {
        Preset::Value(value) => format!("`{value}`"),
        Preset::Found(words) => words.to_owned(),
    };
    let mut about = setting.about.to_owned();
    if let Some(flag) = setting.flag {
        _ = write!(about, " Flag: `{flag}`.");
    }
    if let Some(variable) = setting.variable {
        _ = write!(about, " Variable: `{}`.", variable.name());
    }
    _ = writeln!(text, "| `{name}` | {default} | {about} |");
}

const INTRODUCTION: &str = "\
Without any configuration the gateway runs with the Docker server on, in the mode `guarded`, and asks a person before
what destroys. One TOML file changes that:

```toml
[policy]
deny = [\"docker/prune_*\"]

[hosts.local.guard]
roots = [{ path = \"/srv/work\", write = true }]
publish = [\"0.0.0.0\"]
```

| what | where |
| --- | --- |
| configuration | `$XDG_CONFIG_HOME/dockmaster/config.toml`, usually `~/.config/dockmaster/config.toml`; on Windows under `%APPDATA%` |
| state: audit, token | `$XDG_STATE_HOME/dockmaster/`, usually `~/.local/state/dockmaster/`; on Windows under `%LOCALAPPDATA%` |
| both | `$DOCKMASTER_HOME`, if it is set |

`dockmaster config path` says where the file is looked for, `config show` prints every value with where it came from,
`config check` reads the file and says what is wrong with it, `config explain KEY` says what a key means. A key that
is not known is an error, with the line and what was probably meant.

A flag goes before the file, the file before a variable of the docker CLI (`DOCKER_HOST`, …), and that before the
default. A gateway reads the file at its start, and again on `dockmaster gateway reload` and after commands that change it,
which say what holds only from its next start. No tool can write it: the guard refuses its folder, and that of the state, to
every mount, build and copy.

Lengths of time are numbers of seconds, or text with a unit: `\"500ms\"`, `\"90s\"`, `\"15m\"`, `\"1h\"`, `\"7d\"`.
";
