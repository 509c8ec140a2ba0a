//! What refers to a manifest: signatures, bills of materials. Version 1.1 of the protocol has a list of them; before it,
//! and where a registry has none, a tag `sha256-…` names an index that each writer keeps up itself.

use bytes::Bytes;
use fetch::{Method, Request, StatusCode};

use crate::client::{Action, At, Registries};
use crate::{Descriptor, Digest, Error, Manifest, Reference, Repository, Target, media};

impl Registries {
    /// What refers to a manifest, of any kind. In a list that is kept by a tag the kinds can be wrong or missing
    /// (cosign 3.1 writes the configuration's type there), so a caller that wants one kind looks into the manifests.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, Error> {
        if let Some(found) = self.referrers_listed(repository, subject).await? {
            return Ok(found);
        }
        match self.manifest(&fallback(repository, subject)).await {
            Ok(index) => self.within_limits(repository, subject, index.manifest.manifests),
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// `None` if the registry has no such list.
    async fn referrers_listed(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, Error> {
        let at = At::new(
            repository,
            &[Action::Pull],
            format!("listing what refers to {subject}"),
        );
        let base = self.base(&at).await?;
        let mut url = at.url(&base, &["referrers", subject.as_str()])?;
        let mut found = Vec::new();
        loop {
            let request = |registries: &Self| {
                let request = Request::to(Method::GET, url.clone()).body_limit(registries.limits().manifest);
                request.header("accept", media::INDEX)
            };
            let answer = self.call(&at, request).await?;
            // Registries that do not know the list say 404; some say 400 or 405, and some proxies answer with a page.
            let is_known = answer.status().is_success() && answer.media_type() == media::INDEX;
            if matches!(
                answer.status(),
                StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED
            ) || answer.status().is_success() && !is_known
            {
                return Ok(None);
            }
            let answer = at.success(answer).await?;
            let next = at.next_page(&answer)?;
            let page: Manifest = answer.json().await.map_err(|cause| at.exchange(cause))?;
            found.extend(page.manifests);
            found = self.within_limits(repository, subject, found)?;
            match next {
                Some(next) if next != url => url = next,
                _ => return Ok(Some(found)),
            }
        }
    }

    fn within_limits(
        &self,
        repository: &Repository,
        subject: &Digest,
        found: Vec<Descriptor>,
    ) -> Result<Vec<Descriptor>, Error> {
        if found.len() > self.limits().list {
            let at = At::new(
                repository,
                &[Action::Pull],
                format!("listing what refers to {subject}"),
            );
            return Err(at.content(format!("more than {} manifests refer to it", self.limits().list)));
        }
        Ok(found)
    }

    /// Adds a manifest to the list that is kept by a tag. Two writers at the same moment can lose one another's entry,
    /// as the specification admits; so the list is read again just before.
    pub(crate) async fn note_referrer(
        &self,
        repository: &Repository,
        subject: &Digest,
        added: Descriptor,
    ) -> Result<(), Error> {
        let tag = fallback(repository, subject);
        let mut entries = match self.manifest(&tag).await {
            Ok(index) => index.manifest.manifests,
            Err(error) if error.is_not_found() => Vec::new(),
            Err(error) => return Err(error),
        };
        if entries.iter().any(|entry| entry.digest == added.digest) {
            return Ok(());
        }
        entries.push(added);
        let index = Manifest {
            schema_version: 2,
            media_type: Some(media::INDEX.to_owned()),
            artifact_type: None,
            config: None,
            layers: Vec::new(),
            manifests: entries,
            subject: None,
            annotations: std::collections::BTreeMap::new(),
        };
        let text = serde_json::to_vec(&index).unwrap_or_default();
        self.put_manifest(&tag, media::INDEX, Bytes::from(text))
            .await
            .map(drop)
    }
}

fn fallback(repository: &Repository, subject: &Digest) -> Reference {
    Reference {
        repository: repository.clone(),
        target: Target::Tag(format!("sha256-{}", subject.hex())),
    }
}
