//! Images made here for servers that are published as packages (npm, `PyPI`) and not as images.
//!
//! The package is installed into an image of its own and runs only in containers, locked down like all others.
//! Nothing of the request reaches a shell: names and versions are arguments of instructions in exec form. An image is
//! made again when what it is made of changes, which a label tells.
//!
//! Deliberately absent: which package and base are right (`catalog`).

use std::collections::BTreeMap;
use std::fmt::Write;

use base::names::{ImageRef, ServerName};
use catalog::plan::{Build, Ecosystem};
use engine::Engine;
use engine::credentials::RegistryHost;
use engine::ops::images::{Build as BuildRequest, BuildEvent, Cache, RemoveImage};
use engine::tarball::{Limits, Source, pack};
use futures_util::StreamExt;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::images::Progress;
use crate::labels::{self, Kind, Labels};
use crate::{Error, instances::Inner};

/// The label that tells what an image was made of.
const MADE_OF: &str = "dockmaster.made-of";
/// Lines of a failed build that are told.
const LAST: usize = 15;

/// Finds the program that an npm package is for: the one named, the one of the package's own name, or the only one.
const NPM_PROGRAM: &str = r#"const [name, wanted] = process.argv.slice(1);
const fs = require("fs");
const manifest = JSON.parse(fs.readFileSync("/opt/server/node_modules/" + name + "/package.json", "utf8"));
const own = name.split("/").pop();
const bin = typeof manifest.bin === "string" ? { [own]: manifest.bin } : manifest.bin || {};
const names = Object.keys(bin);
const program = wanted || (names.includes(own) ? own : names.length === 1 ? names[0] : undefined);
if (!program || !names.includes(program)) {
  console.error("the package " + name + " has the programs [" + names.join(", ") + "]; name one of them as `program`");
  process.exit(1);
}
fs.symlinkSync("/opt/server/node_modules/.bin/" + program, "/opt/server/run");
"#;

/// The same for a Python package.
const PYPI_PROGRAM: &str = r#"import importlib.metadata as m, os, re, sys
name, wanted = sys.argv[1], (sys.argv[2:] or [None])[0]
plain = lambda text: re.sub(r"[-_.]+", "-", text).lower()
names = [e.name for e in m.distribution(name).entry_points if e.group == "console_scripts"]
own = [n for n in names if plain(n) == plain(name)]
program = wanted or (own[0] if own else names[0] if len(names) == 1 else None)
if program not in names:
    sys.exit("the package %s has the programs [%s]; name one of them as `program`" % (name, ", ".join(names)))
os.symlink("/opt/server/bin/" + program, "/opt/server/run")
"#;

/// The Dockerfile. Everything in it that came from outside stands in JSON texts.
pub(crate) fn dockerfile(build: &Build) -> String {
    let mut file = String::new();
    // Writing to a String can't fail.
    let _ = writeln!(file, "FROM {}", build.base);
    file.push_str("USER 0:0\n");
    run(&mut file, ["mkdir", "-p", "/opt/server"]);
    run(&mut file, ["chown", "65532:65532", "/opt/server"]);
    file.push_str("USER 65532:65532\nENV HOME=/tmp\nWORKDIR /opt/server\n");
    match build.ecosystem {
        Ecosystem::Npm => {
            let install = [
                "npm",
                "install",
                "--no-audit",
                "--no-fund",
                "--no-save",
                "--cache=/tmp/.npm",
            ];
            run(
                &mut file,
                install
                    .map(str::to_owned)
                    .into_iter()
                    .chain(packages(build, "@", "--registry")),
            );
            let find = ["node", "-e", NPM_PROGRAM, "--", &build.package];
            run(&mut file, find.into_iter().chain(build.program.as_deref()));
        }
        Ecosystem::Pypi => {
            run(&mut file, ["python3", "-m", "venv", "/opt/server"]);
            let install = [
                "/opt/server/bin/pip",
                "install",
                "--no-cache-dir",
                "--disable-pip-version-check",
            ];
            run(
                &mut file,
                install
                    .map(str::to_owned)
                    .into_iter()
                    .chain(packages(build, "==", "--index-url")),
            );
            let find = ["/opt/server/bin/python", "-c", PYPI_PROGRAM, &build.package];
            run(&mut file, find.into_iter().chain(build.program.as_deref()));
        }
    }
    file.push_str("ENTRYPOINT [\"/opt/server/run\"]\nCMD []\n");
    file
}

/// The last arguments of an installer: where from, and what, as this ecosystem writes versions and registries.
fn packages(build: &Build, version_mark: &str, registry_option: &str) -> Vec<String> {
    let package = match &build.version {
        Some(version) => format!("{}{version_mark}{version}", build.package),
        None => build.package.clone(),
    };
    let registry = build
        .registry
        .as_ref()
        .map(|url| format!("{registry_option}={url}"));
    let what = ["--".to_owned(), package]
        .into_iter()
        .chain(build.with.iter().cloned());
    registry.into_iter().chain(what).collect()
}

/// An instruction in exec form: no shell reads it.
fn run(file: &mut String, arguments: impl IntoIterator<Item = impl Into<Value>>) {
    let arguments: Value = arguments.into_iter().map(Into::into).collect();
    let _ = writeln!(file, "RUN {arguments}");
}

/// Makes sure that the image of a build is there and made of what the build says now.
pub(crate) async fn ensure(
    inner: &Inner,
    server: &ServerName,
    image: &ImageRef,
    build: &Build,
    progress: Option<&mpsc::Sender<Progress>>,
) -> Result<(), Error> {
    let file = dockerfile(build);
    let made_of = labels::short_hash(&file);
    let old = match inner.images.image_inspect(image).await {
        Ok(found) if found["Config"]["Labels"][MADE_OF] == made_of => return Ok(()),
        Ok(found) => found["Id"].as_str().and_then(|id| ImageRef::parse(id).ok()),
        Err(engine::Error::NotFound { .. }) => None,
        Err(error) => return Err(Error::engine("look at the image", server.as_str(), error)),
    };
    let one_line = |text: &str| text.contains(['\n', '\r']);
    if one_line(&build.base) || ImageRef::parse(&build.base).is_err() {
        let fault = format!(
            "{:?}, into which its package would be installed, is no image",
            build.base
        );
        return Err(Error::plan(server.as_str(), fault));
    }
    let labels = Labels::new(Kind::Image, server, &inner.options.labels).with(MADE_OF, made_of);
    let request = BuildRequest {
        tags: vec![image.clone()],
        dockerfile: "Dockerfile".to_owned(),
        labels: labels.into_map().into_iter().collect::<BTreeMap<_, _>>(),
        cache: Cache::default(),
        registries: ImageRef::parse(&build.base)
            .ok()
            .and_then(|base| RegistryHost::of(&base))
            .into_iter()
            .collect(),
        ..BuildRequest::default()
    };
    follow(&inner.engine, server, image, &request, file, progress).await?;
    if let Some(old) = old {
        // The tag has moved on, and nobody else would remove it. One that is not ours, or in use, stays.
        if let Err(error) = inner.engine.image_remove(&old, RemoveImage::default()).await {
            tracing::debug!("the image that {image} was before stays: {error}");
        }
    }
    Ok(())
}

async fn follow(
    engine: &Engine,
    server: &ServerName,
    image: &ImageRef,
    request: &BuildRequest,
    file: String,
    progress: Option<&mpsc::Sender<Progress>>,
) -> Result<(), Error> {
    let context = pack(
        vec![Source::Memory {
            path: "Dockerfile".to_owned(),
            content: file.into(),
            mode: 0o644,
        }],
        Limits::default(),
    );
    let failed = |error| Error::engine("build its image", server.as_str(), error);
    let mut events = std::pin::pin!(engine.image_build(request, context).await.map_err(failed)?);
    let mut last: Vec<String> = Vec::new();
    while let Some(event) = events.next().await {
        let line = match event.map_err(failed)? {
            BuildEvent::Failed(failure) => {
                let message = base::text::clean(&failure.message).into_owned();
                return Err(Error::Build {
                    server: server.to_string(),
                    image: image.to_string(),
                    cause: message,
                    output: last.join("\n"),
                });
            }
            BuildEvent::Step { instruction, .. } => base::text::cut(&instruction, 200).to_owned(),
            BuildEvent::Output(line) | BuildEvent::Warning(line) => base::text::clean(&line).into_owned(),
            _ => continue,
        };
        if let Some(progress) = progress {
            // Who does not keep up misses a line.
            drop(progress.try_send(Progress::Building(line.clone())));
        }
        if last.len() == LAST {
            last.remove(0);
        }
        last.push(line);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(ecosystem: Ecosystem) -> Build {
        Build {
            ecosystem,
            package: "@acme/thing".to_owned(),
            version: Some("1.2.3".to_owned()),
            base: "node:22-slim".to_owned(),
            registry: None,
            with: vec!["extra<2".to_owned()],
            program: None,
        }
    }

    /// Without the scripts that find the program.
    fn shown(build: &Build) -> String {
        let file = dockerfile(build);
        let lines = file.lines().filter(|line| !line.contains("the programs ["));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn an_npm_package() {
        insta::assert_snapshot!(shown(&build(Ecosystem::Npm)), @r#"
        FROM node:22-slim
        USER 0:0
        RUN ["mkdir","-p","/opt/server"]
        RUN ["chown","65532:65532","/opt/server"]
        USER 65532:65532
        ENV HOME=/tmp
        WORKDIR /opt/server
        RUN ["npm","install","--no-audit","--no-fund","--no-save","--cache=/tmp/.npm","--","@acme/thing@1.2.3","extra<2"]
        ENTRYPOINT ["/opt/server/run"]
        CMD []
        "#);
    }

    #[test]
    fn a_python_package() {
        let build = Build {
            package: "mcp-server-time".to_owned(),
            version: None,
            base: "python:3.13-slim".to_owned(),
            registry: Some("https://registry.example/simple".to_owned()),
            program: Some("serve".to_owned()),
            ..build(Ecosystem::Pypi)
        };
        insta::assert_snapshot!(shown(&build), @r#"
        FROM python:3.13-slim
        USER 0:0
        RUN ["mkdir","-p","/opt/server"]
        RUN ["chown","65532:65532","/opt/server"]
        USER 65532:65532
        ENV HOME=/tmp
        WORKDIR /opt/server
        RUN ["python3","-m","venv","/opt/server"]
        RUN ["/opt/server/bin/pip","install","--no-cache-dir","--disable-pip-version-check","--index-url=https://registry.example/simple","--","mcp-server-time","extra<2"]
        ENTRYPOINT ["/opt/server/run"]
        CMD []
        "#);
    }
}
