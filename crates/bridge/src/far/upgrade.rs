//! A bridge is replaced by one of another executable, and what a replacement that was broken off has left is put right.

use base::names::ImageRef;
use engine::Filters;
use engine::guard::BRIDGE_LABEL;
use engine::ops::containers::{ContainerQuery, Stop};
use engine::ops::images::RemoveImage;
use serde_json::Value;

use super::{Bridge, Part};
use crate::container::Place;
use crate::{Error, Executable, guards};

impl Bridge {
    /// Brings the image of another executable to the host, for [`Self::upgrade`]; until then nothing else is changed.
    ///
    /// # Errors
    /// As [`Self::install`].
    pub async fn prepare(&self, executable: &Executable, place: &Place) -> Result<ImageRef, Error> {
        self.state().await?.ok_or(Error::Gone)?;
        self.import(executable, place).await
    }

    /// Takes away an image that was brought and is not run.
    pub async fn discard(&self, image: &ImageRef) {
        let guard = guards::of_unlabelled(&self.shared.user.options().guard);
        // Not by force: one that is run after all stays.
        let removed = self
            .shared
            .user
            .behind(guard)
            .image_remove(image, RemoveImage::default())
            .await;
        if let Err(error) = removed {
            tracing::debug!(%error, "an image of the bridge is left, until the next upgrade");
        }
    }

    /// Replaces the container by one of another image, with the same state. `is_well` is asked once the new one
    /// answers, with that one and what it says of itself; when it says no, or anything fails, the one before goes on.
    ///
    /// # Errors
    /// The engine refuses; [`Error::Restored`] when the new one did not work, and [`Error::BrokenOff`] when the one before
    /// could not be brought back either.
    pub async fn upgrade<W>(&self, image: &ImageRef, place: &Place, is_well: W) -> Result<(), Error>
    where
        W: AsyncFnOnce(&Self, Vec<u8>) -> Result<(), Error>,
    {
        let before = self.inspect().await?.ok_or(Error::Gone)?;
        if let Err(error) = self.replace(image, place, is_well).await {
            let error = Box::new(error);
            if let Err(cause) = self.restore().await {
                let cause = Box::new(cause);
                return Err(Error::BrokenOff { error, cause });
            }
            self.remove_images(before["Image"].as_str()).await;
            return Err(Error::Restored(error));
        }
        if !place.way_out {
            // Left over from the one before; the end of the bridge takes it along at the latest.
            drop(self.remove_network().await);
        }
        self.remove_images(Some(image.as_str())).await;
        Ok(())
    }

    /// Puts a container of this image in the place of the one that is there. It may be broken off at any moment, by the
    /// engine's end or by our own: one that was started and comes back with its engine is there always, and two only until
    /// the last step is done, of which the first to come serves. From the first step to the last there is one beside
    /// [`Part::Own`], or none of that name, by which [`Self::mend`] sees what happened.
    async fn replace<W>(&self, image: &ImageRef, place: &Place, is_well: W) -> Result<(), Error>
    where
        W: AsyncFnOnce(&Self, Vec<u8>) -> Result<(), Error>,
    {
        let (trial, before) = (self.part(Part::Trial), self.part(Part::Before));
        trial.create(image, place).await?;
        self.shared
            .engine
            .container_stop(&self.container()?, Stop::default())
            .await
            .map_err(|cause| Error::engine("stop the bridge", cause))?;
        trial.start().await?;
        is_well(&trial, trial.wait_until_it_answers().await?).await?;
        self.rename(&before).await?;
        self.create(image, place).await?;
        trial.end().await?;
        self.start_in(place).await?;
        self.wait_until_it_answers().await?;
        before.remove().await
    }

    /// Puts right what an upgrade that was broken off has left: the one before goes on. Whether there was anything. Nobody may
    /// be upgrading it meanwhile.
    ///
    /// # Errors
    /// The engine does not answer, or refuses.
    pub async fn mend(&self) -> Result<bool, Error> {
        let query = ContainerQuery {
            all: true,
            filters: Filters::new().with("label", format!("{BRIDGE_LABEL}={}", self.shared.id)),
            ..ContainerQuery::default()
        };
        let found = self.shared.engine.container_list(&query).await;
        let found = found.map_err(|cause| Error::engine("look for the bridge", cause))?;
        // Labels can come from an image, which anybody may make.
        let left =
            [Part::Trial, Part::Before].map(|part| Value::from(format!("/{}", self.part(part).name())));
        let names = found.iter().filter_map(|one| one["Names"].as_array()).flatten();
        let is_left = names.into_iter().any(|name| left.contains(name));
        if is_left {
            self.restore().await?;
        }
        Ok(is_left)
    }

    async fn rename(&self, to: &Self) -> Result<(), Error> {
        let (from, to) = (self.container()?, to.container()?);
        let renamed = self.shared.engine.container_rename(&from, &to).await;
        renamed.map_err(|cause| Error::engine("rename its container", cause))
    }

    /// Ends an upgrade, at whichever step it is, in favour of the one before.
    async fn restore(&self) -> Result<(), Error> {
        let (trial, before) = (self.part(Part::Trial), self.part(Part::Before));
        // Started first and named last: broken off itself, it leaves one that serves, and something by which that is seen.
        if before.inspect().await?.is_some() {
            before.start().await?;
            trial.end().await?;
            self.end().await?;
            return before.rename(self).await;
        }
        self.start().await?;
        trial.end().await
    }
}
