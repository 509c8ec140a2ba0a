//! Paths of the host that tools read and write for a caller: allowed by the guard, with links resolved, before
//! anything is opened.

use crate::ctx::Ctx;
use crate::error::{Code, ToolError};
use bytes::Bytes;
use engine::guard::Access;
use engine::tarball::HostItem;
use futures_util::{Stream, StreamExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt;

/// The true place of a path that the guard allows to be read or written.
///
/// # Errors
/// The guard's refusal, with the line of configuration that would allow it.
pub(crate) async fn allowed(ctx: &Ctx, path: &str, access: Access) -> Result<PathBuf, ToolError> {
    let guard = ctx.engine().options().guard.clone();
    let wanted = PathBuf::from(path);
    if !wanted.is_absolute() {
        return Err(
            ToolError::arguments(format!("path {:?} is not absolute", base::text::cut(path, 120)))
                .fix("give the path of the host in full, from / on"),
        );
    }
    // It looks at the file system.
    let judged = tokio::task::spawn_blocking(move || guard.host_path(&wanted, access)).await;
    match judged {
        Ok(Ok(path)) => Ok(path),
        Ok(Err(refusal)) => Err(ToolError::new(Code::Refused, refusal.to_string())),
        Err(lost) => Err(ToolError::new(Code::Internal, lost.to_string())),
    }
}

/// The same for something to copy, which also keeps how it was written (`dir/.`).
pub(crate) async fn item(ctx: &Ctx, path: &str, access: Access) -> Result<HostItem, ToolError> {
    Ok(HostItem {
        path: allowed(ctx, path, access).await?,
        written: path.to_owned(),
    })
}

/// What may happen to a file that is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replace {
    Never,
    Yes,
}

/// Writes a stream to a file of the host that the guard allows. It appears under its name only when it is whole; a
/// stream that breaks off, or a call that is cancelled, leaves nothing. Gives the number of bytes.
pub(crate) async fn write<S, E>(
    ctx: &Ctx,
    path: &str,
    replace: Replace,
    stream: S,
) -> Result<(PathBuf, u64), ToolError>
where
    S: Stream<Item = Result<Bytes, E>>,
    ToolError: From<E>,
{
    let path = allowed(ctx, path, Access::Write).await?;
    let failed = |cause: std::io::Error, path: &Path| {
        let fix = match cause.kind() {
            std::io::ErrorKind::NotFound => "make the directory first",
            std::io::ErrorKind::AlreadyExists => "choose another path, or pass overwrite=true",
            _ => "choose another path",
        };
        ToolError::new(Code::Failed, format!("can't write {}: {cause}", path.display())).fix(fix)
    };
    if replace == Replace::Never && tokio::fs::symlink_metadata(&path).await.is_ok() {
        return Err(failed(std::io::ErrorKind::AlreadyExists.into(), &path));
    }
    let partial = path.with_added_extension(format!("part-{:08x}", server_kit::random::number() >> 32));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&partial)
        .await
        .map_err(|cause| failed(cause, &path))?;
    let undo = ctx.undo({
        let partial = partial.clone();
        async move { drop(tokio::fs::remove_file(partial).await) }
    });
    let mut stream = pin!(stream);
    let mut written = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        file.write_all(&chunk)
            .await
            .map_err(|cause| failed(cause, &path))?;
        written += chunk.len() as u64;
        // What counts is not known before the end.
        #[expect(
            clippy::cast_precision_loss,
            reason = "a report of progress needs no last digit"
        )]
        ctx.progress(
            written as f64,
            None,
            format!("{} written", base::text::bytes(written)),
        )
        .await;
    }
    file.sync_all().await.map_err(|cause| failed(cause, &path))?;
    drop(file);
    tokio::fs::rename(&partial, &path)
        .await
        .map_err(|cause| failed(cause, &path))?;
    undo.keep();
    Ok((path, written))
}
