//! Servers that are published as npm or PyPI packages: which image is made for one, and what may be written in its
//! recipe.
//!
//! Names and versions come from strangers and end up in a build, so they are checked against their ecosystem's grammar:
//! none of them can be an option, a path, a URL or a second command. Deliberately absent: building (`instances`).

use std::collections::BTreeMap;

use crate::entry::Package;
use crate::plan::{Build, Ecosystem};

/// The image that npm packages are installed into.
pub const NODE: &str = "docker.io/library/node:24-slim";
/// The image that PyPI packages are installed into.
pub const PYTHON: &str = "docker.io/library/python:3.13-slim";

/// The images that packages are installed into. Another one has to bring what the usual one brings: `node` and `npm`, or
/// `python3` with `venv` and `pip`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bases {
    /// For npm packages.
    pub node: String,
    /// For PyPI packages.
    pub python: String,
}

impl Default for Bases {
    fn default() -> Self {
        Self {
            node: NODE.to_owned(),
            python: PYTHON.to_owned(),
        }
    }
}

/// The recipe for a package, and the tag of the image that it makes. The tag is below `localhost/`, which no registry
/// serves: if the image is missing, nobody else's can come in its place.
/// `versions`: those that packages of no version are pinned to, by [`Build::pin`].
pub(crate) fn build(
    package: &Package,
    bases: &Bases,
    versions: &BTreeMap<String, String>,
) -> Result<(String, Build), String> {
    let word = package.ecosystem.word();
    let base = match package.ecosystem {
        Ecosystem::Npm => &bases.node,
        Ecosystem::Pypi => &bases.python,
    };
    let good = match package.ecosystem {
        Ecosystem::Npm => is_npm_name(&package.name),
        Ecosystem::Pypi => is_pypi_name(&package.name),
    };
    if !good {
        return Err(format!(
            "{:?} is not a name that {word} has",
            shown(&package.name)
        ));
    }
    if let Some(version) = package.version.as_deref().filter(|version| !is_version(version)) {
        return Err(format!("{:?} is not an exact version", shown(version)));
    }
    if let Some(with) = package
        .with
        .iter()
        .find(|with| !is_requirement(with, package.ecosystem))
    {
        return Err(format!("{:?} is not a package with a constraint", shown(with)));
    }
    if let Some(program) = package.program.as_deref().filter(|program| !is_program(program)) {
        return Err(format!("{:?} is not the name of a program", shown(program)));
    }
    if let Some(registry) = package
        .registry
        .as_deref()
        .filter(|registry| !is_registry(registry))
    {
        return Err(format!(
            "{:?} is not the https address of a registry",
            shown(registry)
        ));
    }
    let mut build = Build {
        ecosystem: package.ecosystem,
        package: package.name.clone(),
        version: package.version.clone(),
        base: base.clone(),
        registry: package.registry.clone(),
        with: package.with.clone(),
        program: package.program.clone(),
    };
    if build.version.is_none() {
        let pinned = versions.get(&build.pin());
        build.version = pinned.filter(|version| is_version(version)).cloned();
    }
    Ok((build.image(), build))
}

impl Build {
    /// The tag of the image that it makes. Different recipes have different tags; the same one has the same on every
    /// machine.
    pub fn image(&self) -> String {
        tag(self, self.ecosystem.word())
    }

    /// Under which name the version of its package is remembered where it names none itself: what decides which is the
    /// newest.
    pub fn pin(&self) -> String {
        let mut name = format!("{}:{}", self.ecosystem.word(), self.package);
        if let Some(registry) = &self.registry {
            name.push_str(" at ");
            name.push_str(registry);
        }
        for with in &self.with {
            name.push_str(" with ");
            name.push_str(with);
        }
        name
    }
}

impl Ecosystem {
    fn word(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pypi => "pypi",
        }
    }
}

/// A recipe in words.
pub(crate) fn describe(build: &Build) -> String {
    let from = match build.ecosystem {
        Ecosystem::Npm => "npm",
        Ecosystem::Pypi => "PyPI",
    };
    let version = build.version.as_deref().unwrap_or("the newest version");
    let with = if build.with.is_empty() {
        String::new()
    } else {
        format!(" with {}", build.with.join(", "))
    };
    let at = build
        .registry
        .as_deref()
        .map(|registry| format!(" at {registry}"))
        .unwrap_or_default();
    format!(
        "{} {version}{with}, from {from}{at}, into {}",
        build.package, build.base
    )
}

fn tag(build: &Build, word: &str) -> String {
    let name: String = build
        .package
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    // A component of a repository's name neither begins nor ends with `-`.
    let name = name.trim_matches('-');
    let recipe = format!("{build:?}");
    // FNV-1a, 64 bits: this tells recipes apart, it does not protect them.
    let hash = recipe.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let version: String = build
        .version
        .as_deref()
        .unwrap_or("newest")
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' || c == '_' {
                c
            } else {
                '-'
            }
        })
        .take(80)
        .collect();
    format!("localhost/dockmaster/{word}/{name}:{version}-{hash:016x}")
}

fn shown(text: &str) -> String {
    base::text::clean(base::text::cut(text, 80)).into_owned()
}

/// `name` or `@scope/name`, as npm takes them today.
fn is_npm_name(text: &str) -> bool {
    let word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && word
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
            && word.bytes().any(|b| b.is_ascii_alphanumeric())
    };
    let good = match text.strip_prefix('@') {
        Some(rest) => rest
            .split_once('/')
            .is_some_and(|(scope, name)| word(scope) && word(name)),
        None => word(text),
    };
    good && text.len() <= 214
}

/// PEP 508's name.
fn is_pypi_name(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 128
        && edge(text.chars().next())
        && edge(text.chars().next_back())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

/// An exact version of either ecosystem: no range, no tag such as `latest`.
pub fn is_version(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_digit() || c == 'v')
        && text.bytes().any(|b| b.is_ascii_digit())
        && !text.split(['.', '-', '+']).any(|part| part == "x" || part == "*")
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-+!_".contains(&b))
}

/// `mcp<2`, `numpy>=1.2,<3`, `left-pad@1.3.0`.
fn is_requirement(text: &str, ecosystem: Ecosystem) -> bool {
    let name_ends = match ecosystem {
        Ecosystem::Npm => text
            .get(1..)
            .and_then(|rest| rest.find('@'))
            .map_or(text.len(), |at| at + 1),
        Ecosystem::Pypi => text.find(['<', '>', '=', '!', '~', '[']).unwrap_or(text.len()),
    };
    let (name, rest) = text.split_at_checked(name_ends).unwrap_or(("", ""));
    let named = match ecosystem {
        Ecosystem::Npm => is_npm_name(name),
        Ecosystem::Pypi => is_pypi_name(name),
    };
    named
        && rest.len() <= 128
        && rest
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"<>=!~,.*+-_^@[]".contains(&b))
}

fn is_program(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

fn is_registry(text: &str) -> bool {
    text.len() <= 256
        && text
            .strip_prefix("https://")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::names::ImageRef;

    fn package(ecosystem: Ecosystem, name: &str, version: &str) -> Package {
        Package {
            ecosystem,
            name: name.to_owned(),
            version: (!version.is_empty()).then(|| version.to_owned()),
            registry: None,
            with: Vec::new(),
            program: None,
        }
    }

    #[test]
    fn names_and_versions() {
        use Ecosystem::{Npm, Pypi};
        for (ecosystem, name, version, good) in [
            (Npm, "@modelcontextprotocol/server-memory", "2025.4.25", true),
            (Npm, "mcp-server-kubernetes", "", true),
            (Npm, "JSONStream", "1.0.0-beta.1+5", true),
            (Npm, "--global", "1", false),
            (Npm, "../x", "1", false),
            (Npm, "@a", "1", false),
            (Npm, "@a/b/c", "1", false),
            (Npm, "a", "latest", false),
            (Npm, "a", "1.x", false),
            (Npm, "a", "^1", false),
            (Npm, "a;id", "1", false),
            (Npm, "git+https://x/y", "1", false),
            (Pypi, "mcp-server-time", "2026.10.19", true),
            (Pypi, "zope.interface", "1!2.0rc1.post1", true),
            (Pypi, "-r", "1", false),
            (Pypi, "a b", "1", false),
            (Pypi, "a", "1 --index-url x", false),
            (Pypi, "a@https://x", "1", false),
        ] {
            let made = build(
                &package(ecosystem, name, version),
                &Bases::default(),
                &BTreeMap::new(),
            );
            assert_eq!(made.is_ok(), good, "{name} {version}: {made:?}");
            if let Ok((tag, _)) = made {
                let image = ImageRef::parse(&tag).unwrap();
                assert_eq!(image.registry(), Some("localhost"), "{tag}");
            }
        }
    }

    #[test]
    fn a_version_that_is_not_named_is_the_pinned_one() {
        let open = Package {
            registry: Some("https://registry.example".to_owned()),
            ..package(Ecosystem::Npm, "@acme/thing", "")
        };
        let versions = |version: &str| {
            let name = "npm:@acme/thing at https://registry.example".to_owned();
            BTreeMap::from([(name, version.to_owned())])
        };
        for (package, pinned, version) in [
            (open.clone(), "1.2.3", Some("1.2.3")),
            (open.clone(), "latest --global", None),
            (
                Package {
                    registry: None,
                    ..open.clone()
                },
                "1.2.3",
                None,
            ),
            (
                Package {
                    version: Some("1.0.0".to_owned()),
                    ..open
                },
                "1.2.3",
                Some("1.0.0"),
            ),
        ] {
            let (tag, made) = build(&package, &Bases::default(), &versions(pinned)).unwrap();
            assert_eq!(made.version.as_deref(), version, "{package:?}");
            assert!(
                tag.contains(&format!(":{}-", version.unwrap_or("newest"))),
                "{tag}"
            );
        }
    }

    #[test]
    fn recipes_have_their_own_tags() {
        let made = |package: &Package, bases: &Bases| build(package, bases, &BTreeMap::new()).unwrap();
        let plain = package(Ecosystem::Pypi, "mcp-server-sqlite", "2025.4.25");
        let with = Package {
            with: vec!["mcp<2".to_owned()],
            ..plain.clone()
        };
        let tags = [&plain, &with].map(|package| made(package, &Bases::default()).0);
        assert_ne!(tags[0], tags[1]);
        insta::assert_snapshot!(tags[0], @"localhost/dockmaster/pypi/mcp-server-sqlite:2025.4.25-3093c457b84ca659");
        insta::assert_snapshot!(describe(&made(&with, &Bases::default()).1), @"mcp-server-sqlite 2025.4.25 with mcp<2, from PyPI, into docker.io/library/python:3.13-slim");
        let elsewhere = Bases {
            python: "mirror.example/python:3.13".to_owned(),
            ..Bases::default()
        };
        let (tag, made) = made(&plain, &elsewhere);
        assert_ne!(tag, tags[0]);
        assert_eq!(made.base, elsewhere.python);
        for bad in ["-r x", "mcp<2; id", "https://x", "mcp @ https://x"] {
            let package = Package {
                with: vec![bad.to_owned()],
                ..plain.clone()
            };
            assert!(
                build(&package, &Bases::default(), &BTreeMap::new()).is_err(),
                "{bad}"
            );
        }
    }
}
