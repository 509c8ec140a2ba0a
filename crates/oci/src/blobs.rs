//! Blobs: read and checked, uploaded at once or in pieces, taken over from another repository.

use bytes::{Bytes, BytesMut};
use fetch::{Method, Redirects, Request, Response, StatusCode, Url};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::client::{Action, At, Registries};
use crate::{Descriptor, Digest, Error, Repository, media};

/// Bytes of one piece of an upload: a registry that is asked again and again is slow, and each piece is in memory.
const PIECE: usize = 4 << 20;
/// What a registry may ask for as its least piece.
const LARGEST_PIECE: usize = 64 << 20;

impl Registries {
    /// A blob of at most [`Limits::blob`](crate::Limits::blob) bytes; size and digest are as described.
    ///
    /// # Errors
    /// [`Error::is_not_found`], [`Error::Digest`]; other [`Error`]s.
    pub async fn blob(&self, repository: &Repository, wanted: &Descriptor) -> Result<Bytes, Error> {
        let limit = self.limits().blob;
        if wanted.size > limit {
            let at = At::new(repository, &[Action::Pull], format!("reading {}", wanted.digest));
            return Err(at.content(format!("it has {} bytes, and {limit} are the limit", wanted.size)));
        }
        let mut content = Vec::with_capacity(usize::try_from(wanted.size).unwrap_or_default());
        self.blob_into(repository, wanted, &mut content).await?;
        Ok(content.into())
    }

    /// Writes a blob of any size to `target` as it comes. What was written counts only if this succeeds: its digest is
    /// known at its end.
    ///
    /// # Errors
    /// As for [`Registries::blob`]; the target failed.
    pub async fn blob_into(
        &self,
        repository: &Repository,
        wanted: &Descriptor,
        target: &mut (impl AsyncWrite + Unpin + Send),
    ) -> Result<(), Error> {
        let at = At::new(repository, &[Action::Pull], format!("reading {}", wanted.digest));
        let base = self.base(&at).await?;
        let url = at.url(&base, &["blobs", wanted.digest.as_str()])?;
        let request = |registries: &Self| {
            let redirects = Redirects::Follow(registries.limits().redirects);
            Ok(Request::to(Method::GET, url.clone())
                .redirects(redirects)
                .body_limit(wanted.size))
        };
        let mut answer = at.success(self.call(&at, request).await?).await?;
        let (mut hasher, mut size) = (Sha256::new(), 0);
        while let Some(chunk) = answer.chunk().await.map_err(|cause| at.exchange(cause))? {
            hasher.update(&chunk);
            size += chunk.len() as u64;
            let written = target.write_all(&chunk).await;
            written.map_err(|cause| at.content(format!("it can't be written here: {cause}")))?;
        }
        let flushed = target.flush().await;
        flushed.map_err(|cause| at.content(format!("it can't be written here: {cause}")))?;
        let found = Digest::finish(hasher);
        if found != wanted.digest {
            return Err(at.wrong(wanted.digest.clone(), &found));
        }
        if size != wanted.size {
            return Err(at.content(format!("it has {size} bytes, and {} were described", wanted.size)));
        }
        Ok(())
    }

    /// Whether the registry has this blob in this repository.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, Error> {
        let at = At::new(repository, &[Action::Pull], format!("looking for {digest}"));
        let base = self.base(&at).await?;
        let url = at.url(&base, &["blobs", digest.as_str()])?;
        let request = |registries: &Self| {
            let redirects = Redirects::Follow(registries.limits().redirects);
            Ok(Request::to(Method::HEAD, url.clone()).redirects(redirects))
        };
        let answer = self.call(&at, request).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        at.success(answer).await.map(|_| true)
    }

    /// Uploads a blob in one piece, unless it is there.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn push_blob(
        &self,
        repository: &Repository,
        media_type: &str,
        content: Bytes,
    ) -> Result<Descriptor, Error> {
        let descriptor = Descriptor::of(media_type, &content);
        if self.has_blob(repository, &descriptor.digest).await? {
            return Ok(descriptor);
        }
        let at = At::new(
            repository,
            &[Action::Pull, Action::Push],
            format!("uploading {}", descriptor.digest),
        );
        let upload = self.begin(&at, &[]).await?;
        let upload = at.upload(&upload, None)?;
        self.finish(&at, upload, &descriptor.digest, content).await?;
        Ok(descriptor)
    }

    /// Uploads what `source` gives, in pieces, so that it need not be in memory whole.
    ///
    /// # Errors
    /// [`Error`]; the source failed. The registry forgets an upload that was not finished.
    pub async fn push_blob_from(
        &self,
        repository: &Repository,
        media_type: &str,
        mut source: impl AsyncRead + Unpin + Send,
    ) -> Result<Descriptor, Error> {
        let at = At::new(
            repository,
            &[Action::Pull, Action::Push],
            "uploading a blob".to_owned(),
        );
        let answer = self.begin(&at, &[]).await?;
        let least: usize = answer
            .header("oci-chunk-min-length")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let size = least.clamp(PIECE, LARGEST_PIECE);
        let mut upload = at.upload(&answer, None)?;
        let (mut hasher, mut sent) = (Sha256::new(), 0_u64);
        loop {
            let mut piece = BytesMut::with_capacity(size);
            while piece.len() < size {
                let read = (&mut source)
                    .take((size - piece.len()) as u64)
                    .read_buf(&mut piece)
                    .await;
                if read.map_err(|cause| at.content(format!("its source can't be read: {cause}")))? == 0 {
                    break;
                }
            }
            let piece = piece.freeze();
            hasher.update(&piece);
            let is_last = piece.len() < size;
            let length = piece.len() as u64;
            if is_last {
                let digest = Digest::finish(hasher);
                self.finish(&at, upload, &digest, piece).await?;
                let mut descriptor = Descriptor::of(media_type, b"");
                (descriptor.digest, descriptor.size) = (digest, sent + length);
                return Ok(descriptor);
            }
            let range = format!("{sent}-{}", sent + length - 1);
            let request = |_: &Self| {
                let request = Request::to(Method::PATCH, upload.clone()).body(media::BYTES, piece.clone());
                request.header("content-range", &range)
            };
            let answer = at.success(self.call(&at, request).await?).await?;
            upload = at.upload(&answer, Some(&upload))?;
            sent += length;
        }
    }

    /// Lets a repository have a blob that another one of the same registry has. `false` if the registry does not do
    /// that; then the blob has to be uploaded.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn mount_blob(
        &self,
        repository: &Repository,
        from: &Repository,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let mut at = At::new(
            repository,
            &[Action::Pull, Action::Push],
            format!("taking {digest} over from {}", from.path()),
        );
        at.scopes.push(format!("repository:{}:pull", from.path()));
        let answer = self
            .begin(&at, &[("mount", digest.as_str()), ("from", from.path())])
            .await?;
        // 202 is an upload that has begun; it is left to the registry to forget it.
        Ok(answer.status() == StatusCode::CREATED)
    }

    async fn begin(&self, at: &At, query: &[(&str, &str)]) -> Result<Response, Error> {
        let base = self.base(at).await?;
        let mut url = at.url(&base, &["blobs", "uploads/"])?;
        for (name, value) in query {
            url.query_pairs_mut().append_pair(name, value);
        }
        // A body of no bytes: some registries want its length to be said.
        let request = |_: &Self| Ok(Request::to(Method::POST, url.clone()).body(media::BYTES, Bytes::new()));
        at.success(self.call(at, request).await?).await
    }

    async fn finish(&self, at: &At, mut upload: Url, digest: &Digest, content: Bytes) -> Result<(), Error> {
        upload.query_pairs_mut().append_pair("digest", digest.as_str());
        let request =
            |_: &Self| Ok(Request::to(Method::PUT, upload.clone()).body(media::BYTES, content.clone()));
        at.success(self.call(at, request).await?).await.map(drop)
    }
}

impl At {
    /// Where an upload goes on. It stays on the registry: what follows carries its ticket.
    fn upload(&self, answer: &Response, before: Option<&Url>) -> Result<Url, Error> {
        let here = before.unwrap_or(answer.url());
        let next = answer
            .header("location")
            .and_then(|location| here.join(location).ok());
        match next {
            Some(next) if next.origin() == here.origin() => Ok(next),
            Some(next) => {
                let host = base::text::cut(next.host_str().unwrap_or_default(), 100).to_owned();
                Err(self.content(format!(
                    "it wants the upload to go to another host, {host}, which is not done"
                )))
            }
            None => Err(self.content("it does not say where the upload goes")),
        }
    }
}
