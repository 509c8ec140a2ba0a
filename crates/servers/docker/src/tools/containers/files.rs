//! Files in containers: in, out, and what a path is.

use crate::ctx::Ctx;
use crate::error::{Code, ToolError};
use crate::host::{self, Replace};
use base::names::ContainerRef;
use engine::guard::Access;
use engine::ops::files::{FileKind, FileStat};
use engine::tarball::{self, CopyError, Entry, EntryKind, Limits, Note, Overwrite, What};
use futures_util::StreamExt;
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};
use std::fmt::Write as _;

/// Text of a file that is kept for reading page by page; beyond that a file belongs onto the host.
const MAX_TEXT: u64 = 1 << 20;
/// Entries of a directory that are listed.
const MAX_ENTRIES: u64 = 2_000;
/// How much of the content is looked at to tell text from other things.
const SNIFFED: usize = 8 << 10;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CopyFilesToContainer {
    #[schemars(with = "String")]
    container: ContainerRef,
    #[schemars(extend("about" = "Path in the container; an existing directory takes the source in."))]
    destination: String,
    /// Host path.
    #[schemars(extend("about" = "Absolute path of the host, under a root of the guard; `dir/.` is what is in dir."))]
    source: Option<String>,
    /// Text.
    #[schemars(extend("about" = "Text for the file destination, in place of source."))]
    content: Option<String>,
    #[schemars(extend("about" = "Permission bits of a file made of content, 644 unless given."))]
    mode: Option<String>,
}

impl Call<Ctx> for CopyFilesToContainer {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "copy_files_to_container",
        "Copy a host path or text into a container.",
    )
    .disturbs()
    .idempotent()
    .aliases(&[
        "docker_copy_files",
        "docker_copy_to_container",
        "copy_to_container",
    ]);

    fn about(&self) -> String {
        let what = self.source.as_deref().unwrap_or("text");
        format!(
            "copy {what} to {} in container {}, replacing files there",
            self.destination, self.container
        )
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let what = match (self.source, self.content) {
            (Some(source), None) if !source.starts_with('/') && source.contains(":/") => {
                return Err(ToolError::arguments("parameter source: it is a path in a container").fix(
                    "copy_files_from_container copies out of a container: container and source are given apart there",
                ));
            }
            (Some(source), None) => What::Host(host::item(&ctx, &source, Access::Read).await?),
            (None, Some(content)) => {
                let name = self.destination.rsplit('/').next().unwrap_or_default();
                if name.is_empty() {
                    return Err(
                        ToolError::arguments("parameter destination: it names a directory")
                            .fix("with content, destination is the path of the file"),
                    );
                }
                What::Content {
                    name: name.to_owned(),
                    content: content.into(),
                    mode: mode(self.mode.as_deref())?,
                }
            }
            _ => return Err(ToolError::arguments("give either source or content")),
        };
        ctx.progress(0.0, None, format!("copying to {}", self.container))
            .await;
        let copied = ctx
            .engine()
            .copy_in(&self.container, what, &self.destination, Limits::GENEROUS)
            .await
            .map_err(failed)?;
        let totals = copied.what;
        let text = format!(
            "copied to {}:{}: {}",
            self.container,
            copied.to,
            amount(totals.files, totals.directories, totals.links, totals.bytes)
        );
        Ok(with_notes(text, totals.skipped, &totals.notes))
    }
}

fn mode(text: Option<&str>) -> Result<u32, ToolError> {
    let Some(text) = text else { return Ok(0o644) };
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| {
            ToolError::arguments("parameter mode: it is no mode")
                .fix("give permission bits in octal, such as 755")
        })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CopyFilesFromContainer {
    #[schemars(with = "String")]
    container: ContainerRef,
    source: String,
    /// Host path; else returned as text.
    #[schemars(extend("about" = "Absolute path of the host, under a root of the guard. Without it the text of a file is returned, or the list of a directory."))]
    destination: Option<String>,
    #[serde(default)]
    #[schemars(extend("about" = "Replace files that are there."))]
    overwrite: bool,
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<String>,
}

impl Call<Ctx> for CopyFilesFromContainer {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "copy_files_from_container",
        "Read a container's file, or copy to the host.",
    )
    .disturbs()
    .idempotent()
    .aliases(&["docker_copy_from_container", "copy_from_container"]);

    fn effect(&self) -> policy::Effect {
        if self.destination.is_some() {
            policy::Effect::Change
        } else {
            policy::Effect::Read
        }
    }

    fn about(&self) -> String {
        match &self.destination {
            Some(destination) => {
                let replacing = if self.overwrite {
                    ", replacing files there"
                } else {
                    ""
                };
                format!(
                    "copy {} of container {} to {destination}{replacing}",
                    self.source, self.container
                )
            }
            None => format!("read {} of container {}", self.source, self.container),
        }
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let Some(destination) = &self.destination else {
            return read(&ctx, &self.container, &self.source).await;
        };
        let target = host::item(&ctx, destination, Access::Write).await?;
        let overwrite = if self.overwrite {
            Overwrite::Files
        } else {
            Overwrite::Never
        };
        ctx.progress(0.0, None, format!("copying from {}", self.container))
            .await;
        let copied = ctx
            .engine()
            .copy_out(
                &self.container,
                &self.source,
                &target,
                overwrite,
                Limits::GENEROUS,
            )
            .await
            .map_err(failed)?;
        let what = copied.what;
        let text = format!(
            "copied {}:{} to {}: {}",
            self.container,
            self.source,
            copied.to,
            amount(what.files, what.directories, what.links, what.bytes)
        );
        Ok(with_notes(text, what.skipped, &what.notes))
    }
}

/// The text of a file, or what a directory holds.
async fn read(ctx: &Ctx, container: &ContainerRef, path: &str) -> Result<Answer, ToolError> {
    let (mut stat, mut archive) = ctx.engine().files_get(container, path).await?;
    if let FileKind::Symlink(to) = &stat.kind {
        (stat, archive) = ctx.engine().files_get(container, &to.clone()).await?;
    }
    let limits = match stat.kind {
        FileKind::Directory => Limits {
            entries: MAX_ENTRIES,
            bytes: 0,
            depth: Limits::GENEROUS.depth,
        },
        _ => Limits {
            entries: 1,
            bytes: MAX_TEXT,
            depth: 1,
        },
    };
    let stream = archive.map(|chunk| chunk.map_err(std::io::Error::other));
    let contents = tarball::read(stream, limits)
        .await
        .map_err(|error| ToolError::new(Code::Failed, format!("reading {path} of {container}: {error}")))?;
    if stat.kind == FileKind::Directory {
        return Ok(listing(container, path, &contents.entries, contents.cut));
    }
    let Some(file) = contents.entries.first() else {
        return Err(ToolError::new(
            Code::Failed,
            format!("{path} of {container} is neither file nor directory"),
        ));
    };
    let size = base::text::bytes(file.size);
    if !is_text(&file.content) {
        return Err(ToolError::new(
            Code::Failed,
            format!("{path} of {container} is not text ({size})"),
        )
        .fix("pass destination, a path of the host, to copy it there"));
    }
    let text = String::from_utf8_lossy(&file.content);
    let text = base::redact::text(&text).into_owned();
    let answer = Answer::text(text).untrusted(format!("content of {path} in container {container}"));
    Ok(if file.size > file.content.len() as u64 {
        answer.note(format!(
            "[the first {} of {size}; destination copies all to the host]",
            base::text::bytes(MAX_TEXT)
        ))
    } else {
        answer
    })
}

/// Text has no zero bytes, and is UTF-8 as far as one looks.
fn is_text(content: &[u8]) -> bool {
    let sniffed = &content[..content.len().min(SNIFFED)];
    if sniffed.contains(&0) {
        return false;
    }
    match std::str::from_utf8(sniffed) {
        Ok(_) => true,
        // A character may be cut at the end of what was looked at.
        Err(error) => error.error_len().is_none(),
    }
}

fn listing(container: &ContainerRef, path: &str, entries: &[Entry], cut: bool) -> Answer {
    let rows = entries.iter().map(|entry| {
        let (name, size) = match &entry.kind {
            EntryKind::File => (entry.path.clone(), base::text::bytes(entry.size)),
            EntryKind::Directory => (format!("{}/", entry.path), String::new()),
            EntryKind::Symlink(to) | EntryKind::HardLink(to) => {
                (format!("{} -> {to}", entry.path), String::new())
            }
            EntryKind::Special => (entry.path.clone(), "special".to_owned()),
        };
        vec![format!("{:o}", entry.mode & 0o7777), size, name]
    });
    let answer = Answer::table(&["mode", "size", "path"], rows)
        .untrusted(format!("file names under {path} in container {container}"))
        .narrow("source, a deeper path");
    if cut {
        answer.note(format!("[the first {MAX_ENTRIES} entries]"))
    } else {
        answer
    }
}

fn amount(files: u64, directories: u64, links: u64, bytes: u64) -> String {
    let mut text = match files {
        1 => "1 file".to_owned(),
        files => format!("{files} files"),
    };
    if directories > 0 {
        _ = write!(text, ", {directories} directories");
    }
    if links > 0 {
        _ = write!(text, ", {links} links");
    }
    format!("{text}, {}", base::text::bytes(bytes))
}

fn with_notes(text: String, skipped: u64, notes: &[Note]) -> Answer {
    let answer = Answer::text(text);
    if skipped == 0 {
        return answer;
    }
    let shown: Vec<String> = notes
        .iter()
        .take(5)
        .map(|note| format!("{} ({})", note.path, note.reason))
        .collect();
    answer.note(format!("{skipped} left out: {}", shown.join(", ")))
}

fn failed(error: CopyError) -> ToolError {
    match error {
        CopyError::Engine(error) => error.into(),
        CopyError::Placement(error) => ToolError::arguments(error.to_string()),
        error => ToolError::new(Code::Failed, error.to_string()),
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatContainerPath {
    #[schemars(with = "String")]
    container: ContainerRef,
    path: String,
}

impl Call<Ctx> for StatContainerPath {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "stat_container_path",
        "What a path in a container is: kind, size, mode, time.",
    )
    .reads();

    fn about(&self) -> String {
        format!("look at {} of container {}", self.path, self.container)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let stat = ctx.engine().file_stat(&self.container, &self.path).await?;
        Ok(Answer::text(stat_line(&stat)).untrusted(format!("file of container {}", self.container)))
    }
}

fn stat_line(stat: &FileStat) -> String {
    let kind = match &stat.kind {
        FileKind::File => format!("file, {}", base::text::bytes(stat.size)),
        FileKind::Directory => "directory".to_owned(),
        FileKind::Symlink(to) => format!("symbolic link to {to}"),
        FileKind::Special => "device, pipe or socket".to_owned(),
    };
    format!(
        "{}: {kind}, mode {:o}, changed {}",
        stat.name, stat.mode, stat.modified
    )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportContainer {
    #[schemars(with = "String")]
    container: ContainerRef,
    /// Host path of the tar to write.
    destination: String,
    #[serde(default)]
    overwrite: bool,
}

impl Call<Ctx> for ExportContainer {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "export_container",
        "Write a container's file system to the host as tar, without volumes. import_image reads it back.",
    )
    .disturbs()
    .aliases(&["docker_export", "container_export"]);

    fn about(&self) -> String {
        let replacing = if self.overwrite {
            ", replacing what is there"
        } else {
            ""
        };
        format!(
            "export container {} to {}{replacing}",
            self.container, self.destination
        )
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let replace = if self.overwrite {
            Replace::Yes
        } else {
            Replace::Never
        };
        let stream = ctx.engine().container_export(&self.container).await?;
        let (path, bytes) = host::write(&ctx, &self.destination, replace, stream).await?;
        Ok(Answer::text(format!(
            "exported {} to {}, {}",
            self.container,
            path.display(),
            base::text::bytes(bytes)
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_from_other_things() {
        let mut cut = "x".repeat(SNIFFED - 1).into_bytes();
        cut.extend("é".bytes());
        for (content, expected) in [
            (&b"plain"[..], true),
            (b"", true),
            ("grüße".as_bytes(), true),
            (b"\x7fELF\0\0", false),
            (b"\xff\xfe\xfd", false),
            (&cut, true),
        ] {
            assert_eq!(
                is_text(content),
                expected,
                "{:?}",
                &content[..content.len().min(8)]
            );
        }
    }

    #[test]
    fn modes_are_octal() {
        for (text, expected) in [
            (None, Some(0o644)),
            (Some("755"), Some(0o755)),
            (Some("999"), None),
            (Some("77777"), None),
        ] {
            assert_eq!(mode(text).ok(), expected, "{text:?}");
        }
    }
}
