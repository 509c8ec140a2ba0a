//! Which version of a package would be installed now if nobody named one: asked of the very package manager that would
//! install it, in the image that it would be installed into, so that its settings, its registry and its rules decide.
//!
//! It runs in a container for one call, locked down like all others but for the way to its registry. Deliberately absent:
//! remembering the answer.

use std::time::Duration;

use base::names::ServerName;
use catalog::plan::{Build, Container, Ecosystem, Network, Value};
use serde_json::Value as Json;
use tokio::sync::mpsc;

use crate::images::Progress;
use crate::instances::Instances;
use crate::running::Exited;
use crate::{Bounds, Called, Error, Start};

/// How long it may take once the image is there. Python's resolver may have to read what many packages say of themselves.
const TIME: Duration = Duration::from_mins(3);
/// Bytes of an answer that are read; a report of pip holds what each package says of itself.
const OUTPUT: usize = 32 << 20;
/// Bytes of a refusal that are told.
const TOLD: usize = 600;

impl Instances {
    /// The version of `build`'s package that would be installed if it named none.
    ///
    /// # Errors
    /// The image that it would be installed into can't be had, or its package manager does not say.
    pub async fn newest(
        &self,
        server: &ServerName,
        build: &Build,
        progress: Option<&mpsc::Sender<Progress>>,
    ) -> Result<String, Error> {
        let container = Container {
            image: build.base.clone(),
            command: question(build),
            env: vec![("HOME".to_owned(), Value::Plain("/tmp".to_owned()))],
            user: Some("65532:65532".to_owned()),
            network: Network::Open,
            ..Container::default()
        };
        let start = Start {
            server,
            container: &container,
            share: "newest",
            secrets: &|_| None,
            stderr: None,
            progress: progress.cloned(),
        };
        let bounds = Bounds {
            time: TIME,
            output: OUTPUT,
        };
        let called = self.call(start, bounds).await?;
        answer(build, &called).map_err(|cause| Error::Newest {
            server: server.to_string(),
            package: build.package.clone(),
            cause,
        })
    }
}

/// What is asked. No shell reads it, and the package's name can't be an option.
fn question(build: &Build) -> Vec<String> {
    let registry = |option: &str| build.registry.as_ref().map(|url| format!("{option}={url}"));
    let (question, registry, package): (&[&str], _, Vec<&str>) = match build.ecosystem {
        Ecosystem::Npm => (
            &["npm", "view", "--cache=/tmp/.npm", "--no-update-notifier"],
            registry("--registry"),
            vec![&build.package, "version"],
        ),
        // A report of what would be installed, and nothing is.
        Ecosystem::Pypi => (
            &[
                "python3",
                "-m",
                "pip",
                "install",
                "--dry-run",
                "--report=-",
                "--quiet",
                "--ignore-installed",
                "--no-cache-dir",
                "--disable-pip-version-check",
            ],
            registry("--index-url"),
            std::iter::once(&build.package)
                .chain(&build.with)
                .map(String::as_str)
                .collect(),
        ),
    };
    let words = question.iter().copied().map(str::to_owned);
    words
        .chain(registry)
        .chain(["--".to_owned()])
        .chain(package.into_iter().map(str::to_owned))
        .collect()
}

/// The version, or why there is none in what was printed.
fn answer(build: &Build, called: &Called) -> Result<String, String> {
    if called.timed_out {
        return Err(format!("there was no answer in {} s", TIME.as_secs()));
    }
    if called.exited.code != Some(0) {
        return Err(refusal(&called.exited));
    }
    let printed = String::from_utf8_lossy(&called.stdout.bytes);
    let version = match build.ecosystem {
        Ecosystem::Npm => Some(printed.trim().to_owned()),
        Ecosystem::Pypi => reported(&printed, &build.package),
    };
    let version = version.filter(|version| catalog::is_version(version));
    version.ok_or_else(|| {
        let printed = base::text::clean(printed.trim()).replace('\n', " ");
        format!("it said no version but {:?}", base::text::cut(&printed, 80))
    })
}

fn refusal(exited: &Exited) -> String {
    let words = exited.stderr.join("\n");
    let words = base::text::cut(words.trim(), TOLD);
    if words.is_empty() {
        exited.to_string()
    } else {
        words.to_owned()
    }
}

/// What pip's report says of a package ("Installation Report", version 1, of pip's reference).
fn reported(report: &str, package: &str) -> Option<String> {
    // PEP 503: letters of either case, and runs of these marks, are the same.
    let plain = |name: &str| {
        let words: Vec<_> = name
            .split(['-', '_', '.'])
            .filter(|word| !word.is_empty())
            .collect();
        words.join("-").to_ascii_lowercase()
    };
    let report: Json = serde_json::from_str(report).ok()?;
    let mut items = report["install"].as_array()?.iter().map(|item| &item["metadata"]);
    let found = items.find(|item| {
        item["name"]
            .as_str()
            .is_some_and(|name| plain(name) == plain(package))
    })?;
    found["version"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(ecosystem: Ecosystem, registry: Option<&str>) -> Build {
        Build {
            ecosystem,
            package: "Acme.Thing".to_owned(),
            version: None,
            base: "base".to_owned(),
            registry: registry.map(str::to_owned),
            with: vec!["mcp<2".to_owned()],
            program: None,
        }
    }

    #[test]
    fn the_question() {
        let npm = question(&build(Ecosystem::Npm, None)).join(" ");
        insta::assert_snapshot!(npm, @"npm view --cache=/tmp/.npm --no-update-notifier -- Acme.Thing version");
        let pip = question(&build(Ecosystem::Pypi, Some("https://registry.example/simple"))).join(" ");
        insta::assert_snapshot!(pip, @"python3 -m pip install --dry-run --report=- --quiet --ignore-installed --no-cache-dir --disable-pip-version-check --index-url=https://registry.example/simple -- Acme.Thing mcp<2");
    }

    #[test]
    fn the_report_of_pip() {
        let report = r#"{"version": "1", "pip_version": "25.1", "environment": {}, "install": [
            {"metadata": {"metadata_version": "2.1", "name": "mcp", "version": "1.9.4"}, "requested": true, "is_yanked": false},
            {"metadata": {"metadata_version": "2.4", "name": "acme_thing", "version": "1!2.0rc1"}, "requested": true}]}"#;
        for (report, found) in [
            (report, Some("1!2.0rc1")),
            (r#"{"install": []}"#, None),
            (r#"{"install": 3}"#, None),
            ("", None),
        ] {
            assert_eq!(reported(report, "Acme.Thing").as_deref(), found, "{report}");
        }
    }
}
