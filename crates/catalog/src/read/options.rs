//! What authors give to `docker run`, `npx` and `uvx`, understood option by option and never handed on unread.

use super::server_json::Inputs;
use crate::entry::{Argument, Package, Run, Variable};
use crate::template::Template;

/// Options of `docker run`, as far as they say what the server needs. How it is run is not theirs to say.
pub(super) fn docker_options(arguments: &[Argument], run: &mut Run, inputs: &mut Inputs) {
    let mut refused = Vec::new();
    let mut arguments = arguments.iter().peekable();
    while let Some(argument) = arguments.next() {
        let (name, mut value) = option(argument);
        let name = name.unwrap_or_default();
        let takes_value = [
            "-v",
            "--volume",
            "--mount",
            "-e",
            "--env",
            "-u",
            "--user",
            "-w",
            "--workdir",
            "--add-host",
            "--network",
            "--net",
            "--name",
            "-p",
            "--publish",
        ];
        // `-v` and its value may be two positional arguments.
        if value.is_none()
            && takes_value.contains(&name.as_str())
            && let Some(next) = arguments.peek().filter(|next| next.flag.is_none())
        {
            value.clone_from(&next.value);
            arguments.next();
        }
        match (name.as_str(), value) {
            (
                "run" | "-i" | "--interactive" | "-t" | "-it" | "--rm" | "--init" | "--pull" | "--name" | "",
                _,
            ) => {}
            ("-v" | "--volume", Some(value)) => run.volumes.push(value),
            ("--mount", Some(value)) => match mount(&value) {
                Some(volume) => run.volumes.push(volume),
                None => refused.push(name),
            },
            ("-e" | "--env", Some(value)) => {
                let mut parts = value.split('=').into_iter();
                let variable = parts
                    .next()
                    .and_then(|name| name.as_literal())
                    .unwrap_or_default();
                let value = parts.reduce(|before, part| before.then(Template::literal("=")).then(part));
                match value {
                    Some(value) if crate::planner::is_variable_name(&variable) => run.env.push(Variable {
                        name: variable,
                        value,
                    }),
                    // `-e NAME` hands on a variable, which stands under environmentVariables then.
                    None if crate::planner::is_variable_name(&variable) => {}
                    _ => refused.push(name),
                }
            }
            ("-u" | "--user", Some(value)) => run.user = Some(value),
            ("-w" | "--workdir", Some(value)) if value.is_plain() => run.working_dir = value.as_literal(),
            _ => refused.push(name),
        }
    }
    note_refused(inputs, "`docker run`", &refused);
}

/// An option's name and value, from `{flag, value}`, from `--flag=value`, or from a word alone.
fn option(argument: &Argument) -> (Option<String>, Option<Template>) {
    if let Some(flag) = &argument.flag {
        return (
            Some(flag.trim_end_matches('=').to_owned()),
            argument.value.clone(),
        );
    }
    let Some(value) = &argument.value else {
        return (None, None);
    };
    let Some(text) = value.as_literal() else {
        return (None, argument.value.clone());
    };
    match text.split_once('=') {
        Some((name, value)) if name.starts_with("--") => {
            (Some(name.to_owned()), Some(Template::literal(value)))
        }
        _ => (Some(text), None),
    }
}

/// `type=bind,src=A,dst=B[,readonly]` as `A:B[:ro]`.
fn mount(value: &Template) -> Option<Template> {
    let (mut source, mut target, mut read_only) = (None, None, false);
    for part in value.split(',') {
        let mut sides = part.split('=').into_iter();
        let key = sides.next()?.as_literal()?;
        let value = sides.reduce(|before, part| before.then(Template::literal("=")).then(part));
        match (key.trim(), value) {
            ("type", Some(kind)) if matches!(kind.as_literal().as_deref(), Some("bind" | "volume")) => {}
            ("src" | "source", Some(value)) => source = Some(value),
            ("dst" | "target" | "destination", Some(value)) => target = Some(value),
            ("readonly" | "ro", _) => read_only = true,
            _ => return None,
        }
    }
    let mount = source?.then(Template::literal(":")).then(target?);
    Some(if read_only {
        mount.then(Template::literal(":ro"))
    } else {
        mount
    })
}

/// Options of `npx` and `uvx`, as far as they say what is installed.
pub(super) fn runner_options(
    arguments: &[Argument],
    hint: Option<&str>,
    package: &mut Package,
    inputs: &mut Inputs,
) {
    if let Some(hint) = hint.filter(|hint| {
        !matches!(
            *hint,
            "npx" | "uvx" | "node" | "python" | "python3" | "bunx" | "pnpm" | "pipx" | "uv" | "npm"
        )
    }) {
        let hint = base::text::clean(base::text::cut(hint, 40)).into_owned();
        inputs.note(format!(
            "it names {hint} as its runtime; it is installed by its own package manager all the same"
        ));
    }
    let mut refused = Vec::new();
    let mut arguments = arguments.iter().peekable();
    while let Some(argument) = arguments.next() {
        let (name, mut value) = option(argument);
        let name = name.unwrap_or_default();
        if value.is_none()
            && matches!(name.as_str(), "--from" | "--with" | "--package" | "-p")
            && let Some(next) = arguments.peek().filter(|next| next.flag.is_none())
        {
            value.clone_from(&next.value);
            arguments.next();
        }
        let text = value.as_ref().and_then(Template::as_literal);
        match (name.as_str(), text) {
            ("-y" | "--yes" | "-q" | "--quiet" | "dlx" | "run" | "exec" | "", _) => {}
            // The identifier is repeated where the runner's own command line is written out.
            (word, None)
                if word == package.name
                    || word
                        .strip_prefix(&package.name)
                        .is_some_and(|rest| rest.starts_with('@') || rest.starts_with("==")) => {}
            ("--from", Some(from)) => {
                package.program = Some(std::mem::take(&mut package.name));
                let name_ends = from
                    .find(['[', '=', '<', '>', '!', '~', '@'])
                    .unwrap_or(from.len());
                from.get(..name_ends)
                    .unwrap_or_default()
                    .clone_into(&mut package.name);
                if let Some((_, version)) = from.split_once("==") {
                    package.version = Some(version.to_owned());
                }
            }
            ("--with" | "--package" | "-p", Some(with)) => package.with.push(with),
            _ => refused.push(name),
        }
    }
    note_refused(inputs, "its runner", &refused);
}

fn note_refused(inputs: &mut Inputs, program: &str, refused: &[impl AsRef<str>]) {
    if refused.is_empty() {
        return;
    }
    let options: Vec<_> = refused
        .iter()
        .map(|name| base::text::clean(base::text::cut(name.as_ref(), 40)).into_owned())
        .collect();
    let options = options.join(", ");
    inputs.note(format!(
        "options for {program} that are not followed here: {options}"
    ));
}
