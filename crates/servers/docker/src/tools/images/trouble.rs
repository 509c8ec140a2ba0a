//! What a registry has against a transfer, in words that a model can act on.
//!
//! The daemon passes on what it heard from the registry, from a name server or from the network, each in its own
//! way and all with status 500. Their words have been stable from Engine 20.10 on.

use crate::ctx::Ctx;
use crate::error::{Code, Kind, ToolError};
use base::names::ImageRef;
use engine::Error;
use engine::credentials::RegistryHost;

/// Why a transfer failed, apart from its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The registry wants to know who asks, or does not let this user.
    Login,
    /// Docker Hub's way of saying that it does not exist, or that nobody may know.
    HiddenOrMissing,
    /// The registry does not have it.
    Missing,
    /// Nothing of that name on this engine.
    NotHere,
    /// The host is not known.
    NoHost,
    /// The engine's host can not even try.
    NoWay,
    /// The host is known and does not answer.
    NoAnswer,
    /// TLS was expected and plain HTTP came.
    Plain,
    /// The registry's certificate is not trusted.
    Certificate,
    /// Too many pulls.
    Rate,
    /// Not for this platform.
    Platform,
    /// The engine's disk is full.
    Disk,
}

/// Parts of messages, the more telling first.
const WORDS: [(&str, Trouble); 28] = [
    ("toomanyrequests", Trouble::Rate),
    ("pull access denied", Trouble::HiddenOrMissing),
    ("no basic auth credentials", Trouble::Login),
    ("unauthorized", Trouble::Login),
    ("authentication required", Trouble::Login),
    ("401 Unauthorized", Trouble::Login),
    ("access to the resource is denied", Trouble::Login),
    ("insufficient_scope", Trouble::Login),
    ("403 Forbidden", Trouble::Login),
    ("denied:", Trouble::Login),
    ("no matching manifest for", Trouble::Platform),
    ("does not match the specified platform", Trouble::Platform),
    ("does not exist locally", Trouble::NotHere),
    ("tag does not exist", Trouble::NotHere),
    ("manifest unknown", Trouble::Missing),
    ("name unknown", Trouble::Missing),
    ("not found: manifest", Trouble::Missing),
    ("no such host", Trouble::NoHost),
    ("server misbehaving", Trouble::NoHost),
    ("HTTP response to HTTPS client", Trouble::Plain),
    ("x509:", Trouble::Certificate),
    ("network is unreachable", Trouble::NoWay),
    ("no route to host", Trouble::NoWay),
    ("server misbehaving", Trouble::NoHost),
    ("connection refused", Trouble::NoAnswer),
    ("i/o timeout", Trouble::NoAnswer),
    ("Client.Timeout", Trouble::NoAnswer),
    ("no space left on device", Trouble::Disk),
];

impl Trouble {
    fn of(message: &str) -> Option<Self> {
        WORDS
            .iter()
            .find(|(words, _)| message.contains(words))
            .map(|(_, trouble)| *trouble)
    }
}

/// The error of an operation on one image here. Which image is missing is better known from the call than from the
/// daemon's words.
pub(super) fn here(image: &ImageRef, error: Error) -> ToolError {
    let missing = matches!(error, Error::NotFound { .. });
    let error = ToolError::from(error);
    if missing {
        error.about(Kind::Image, image)
    } else {
        error
    }
}

/// The error of a pull, push or look at a registry.
pub(crate) async fn explain(ctx: &Ctx, image: &ImageRef, error: Error) -> ToolError {
    let message = match &error {
        Error::Daemon { message, .. } | Error::NotFound { message, .. } => message.as_str(),
        _ => return error.into(),
    };
    match from_message(ctx, image, message).await {
        Some(explained) => explained,
        None => error.into(),
    }
}

/// The same for a message alone, such as a build gives. `None` for one that is not about a registry.
pub(crate) async fn from_message(ctx: &Ctx, image: &ImageRef, message: &str) -> Option<ToolError> {
    let trouble = Trouble::of(message)?;
    let registry = RegistryHost::of(image)?;
    Some(match trouble {
        Trouble::Login => login(ctx, image, &registry, "the registry does not let this user").await,
        Trouble::HiddenOrMissing => {
            login(
                ctx,
                image,
                &registry,
                "it does not exist there, or only some may see it",
            )
            .await
        }
        other => plain(other, image, &registry, message),
    })
}

fn plain(trouble: Trouble, image: &ImageRef, registry: &RegistryHost, message: &str) -> ToolError {
    let told = || base::text::cut(message, 300);
    match trouble {
        Trouble::Login | Trouble::HiddenOrMissing => ToolError::new(Code::Refused, told()),
        Trouble::Missing => ToolError::new(Code::NotFound, format!("registry {registry} has no {image}"))
            .fix("check the spelling of repository and tag"),
        Trouble::NotHere => ToolError::new(Code::NotFound, format!("image {image} is not on this engine"))
            .fix("build_image makes it, tag_image gives an image this name; list_images shows what is here"),
        Trouble::NoHost => ToolError::new(
            Code::Unreachable,
            format!("the engine finds no host called {registry}"),
        )
        .fix("check the spelling; if it is right, the engine's host has no name server or no way out"),
        Trouble::NoWay => ToolError::new(
            Code::Unreachable,
            format!("the engine's host has no way to {registry}: {}", told()),
        )
        .fix("check the network of the engine's host; without one, load_images takes images from an archive"),
        Trouble::NoAnswer => ToolError::new(
            Code::Unreachable,
            format!("registry {registry} does not answer: {}", told()),
        )
        .fix("check host and port; does the registry run, and can the engine's host reach it?"),
        Trouble::Plain => ToolError::new(
            Code::Failed,
            format!("registry {registry} speaks plain HTTP, not TLS"),
        )
        .fix(format!(
            "the engine's owner can add {registry} to insecure-registries of the daemon"
        )),
        Trouble::Certificate => {
            ToolError::new(Code::Failed, format!("registry {registry}: {}", told())).fix(format!(
                "the engine's owner can put the registry's CA into /etc/docker/certs.d/{registry}/ca.crt"
            ))
        }
        Trouble::Rate => ToolError::new(
            Code::Refused,
            format!("registry {registry} has had too many requests from here"),
        )
        .fix(format!(
            "wait, or log in out of band with `docker login {registry}`"
        )),
        Trouble::Platform => ToolError::new(Code::NotFound, format!("{image}: {}", told()))
            .fix("inspect_registry_image shows the platforms there are; give one as platform"),
        Trouble::Disk => ToolError::new(Code::Failed, format!("the engine's disk is full: {}", told()))
            .fix("get_system_df shows what takes space, the prune tools free it")
            .about(Kind::Path, "the engine's disk"),
    }
}

/// A registry that wants a login: what to do depends on what is kept for it.
async fn login(ctx: &Ctx, image: &ImageRef, registry: &RegistryHost, why: &str) -> ToolError {
    let error = ToolError::new(
        Code::Refused,
        format!("registry {registry} does not give {image}: {why}"),
    );
    let command = format!("`docker login {registry}`");
    match ctx.engine().options().credentials.for_registry(registry).await {
        Ok(None) => error.fix(format!(
            "no credentials are kept for {registry}: let the user log in out of band with {command}, then repeat"
        )),
        Ok(Some(auth)) => error.fix(format!(
            "the credentials of {} from {} were sent: are they valid, and for this repository? The user can log in anew \
             with {command}",
            if auth.username().is_empty() { "a token" } else { auth.username() },
            auth.origin()
        )),
        Err(broken) => error
            .also(format!("its credentials can't be used: {broken}"))
            .fix(mend_credentials(registry)),
    }
}

/// What to do when the user's docker configuration, or a helper that it names, gives no credentials.
pub(crate) fn mend_credentials(registry: &RegistryHost) -> String {
    format!(
        "only the user can mend this: run the helper by hand or unlock its keyring, or take its entry out of credHelpers \
         and credsStore in the docker configuration and log in anew with `docker login {registry}`; then repeat"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_words_are_understood() {
        for (message, expected) in [
            (
                "Head \"http://127.0.0.1:5999/v2/e/x/manifests/1\": no basic auth credentials",
                Some(Trouble::Login),
            ),
            ("unauthorized: authentication required", Some(Trouble::Login)),
            (
                "denied: requested access to the resource is denied",
                Some(Trouble::Login),
            ),
            (
                "pull access denied for nosuch, repository does not exist or may require 'docker login': denied: \
                 requested access to the resource is denied",
                Some(Trouble::HiddenOrMissing),
            ),
            (
                "manifest for 127.0.0.1:5999/e/y:1 not found: manifest unknown: manifest unknown",
                Some(Trouble::Missing),
            ),
            (
                "Get \"https://nosuch.invalid/v2/\": dial tcp: lookup nosuch.invalid on 10.0.0.1:53: no such host",
                Some(Trouble::NoHost),
            ),
            (
                "Get \"http://127.0.0.1:9/v2/\": dial tcp 127.0.0.1:9: connect: connection refused",
                Some(Trouble::NoAnswer),
            ),
            (
                "Get \"https://r/v2/\": dial tcp: lookup r on 10.0.0.1:53: dial udp 10.0.0.1:53: connect: network is \
                 unreachable",
                Some(Trouble::NoWay),
            ),
            (
                "Get \"https://r/v2/\": http: server gave HTTP response to HTTPS client",
                Some(Trouble::Plain),
            ),
            (
                "Get \"https://r/v2/\": x509: certificate signed by unknown authority",
                Some(Trouble::Certificate),
            ),
            (
                "toomanyrequests: You have reached your pull rate limit.",
                Some(Trouble::Rate),
            ),
            (
                "no matching manifest for linux/s390x in the manifest list entries",
                Some(Trouble::Platform),
            ),
            (
                "An image does not exist locally with the tag: 127.0.0.1:9/no-such",
                Some(Trouble::NotHere),
            ),
            (
                "write /var/lib/docker/tmp/x: no space left on device",
                Some(Trouble::Disk),
            ),
            ("something else", None),
        ] {
            assert_eq!(Trouble::of(message), expected, "{message}");
        }
    }
}
