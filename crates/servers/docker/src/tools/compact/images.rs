//! `build-image` and `image-operations`.

use super::relay::{Relay, Step, Steps, needed, unused};
use crate::error::ToolError;
use crate::values::{Pairs, Words};
use base::names::ImageRef;
use engine::credentials::RegistryHost;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use server_kit::{Spec, Toolset};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompactBuild {
    /// Directory of this machine.
    path: String,
    dockerfile: Option<String>,
    #[schemars(with = "Option<Words>")]
    tag: Option<Value>,
    #[schemars(with = "Option<Pairs>")]
    build_args: Option<Value>,
    /// Stage to stop at.
    target: Option<String>,
    no_cache: Option<bool>,
}

impl Relay for CompactBuild {
    const SPEC: Spec = Spec::new(Toolset::Compact, "build-image", "Build an image.")
        .disturbs()
        .open_world();

    fn steps(&self) -> Steps {
        Ok(vec![
            Step::new("build_image")
                .with("path", self.path.as_str())
                .maybe("dockerfile", self.dockerfile.as_deref())
                .maybe("tag", self.tag.clone())
                .maybe("build_args", self.build_args.clone())
                .maybe("target", self.target.as_deref())
                .maybe("no_cache", self.no_cache),
        ])
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Pull,
    Push,
    Tag,
    Remove,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompactImages {
    image: String,
    action: Action,
    /// host:port/path; tag: the new name.
    registry: Option<String>,
    /// Registry whose stored login is used; passwords are not taken.
    auth: Option<String>,
    /// remove: even if stopped containers use it.
    force: Option<bool>,
}

impl Relay for CompactImages {
    const SPEC: Spec = Spec::new(
        Toolset::Compact,
        "image-operations",
        "Pull, push, tag or remove an image.",
    )
    .open_world();

    fn steps(&self) -> Steps {
        let image = self.image.as_str();
        if self.action != Action::Remove {
            unused(self.force.filter(|force| *force).as_ref(), "force", self.word())?;
        }
        match self.action {
            Action::Pull => {
                let image = self.in_registry()?;
                self.check_auth(&image)?;
                Ok(vec![Step::new("pull_image").with("image", image)])
            }
            Action::Push => {
                let target = self.in_registry()?;
                self.check_auth(&target)?;
                let push = Step::new("push_image").with("image", target.as_str());
                if target == image {
                    return Ok(vec![push]);
                }
                // An image is pushed under the name of its registry, so it gets that name first.
                let tag = Step::new("tag_image").with("image", image).with("target", target);
                Ok(vec![tag, push])
            }
            Action::Tag => {
                unused(self.auth.as_ref(), "auth", self.word())?;
                let target = needed(self.registry.as_deref(), "registry", self.word())?;
                Ok(vec![
                    Step::new("tag_image")
                        .with("image", image)
                        .with("target", self.new_name(target)),
                ])
            }
            Action::Remove => {
                unused(self.auth.as_ref(), "auth", self.word())?;
                unused(self.registry.as_ref(), "registry", self.word())?;
                Ok(vec![
                    Step::new("remove_image")
                        .with("image", image)
                        .maybe("force", self.force),
                ])
            }
        }
    }
}

impl CompactImages {
    fn word(&self) -> &'static str {
        match self.action {
            Action::Pull => "pull",
            Action::Push => "push",
            Action::Tag => "tag",
            Action::Remove => "remove",
        }
    }

    /// The image under the registry that was named beside it.
    fn in_registry(&self) -> Result<String, ToolError> {
        let Some(registry) = self.registry.as_deref() else {
            return Ok(self.image.clone());
        };
        let registry = registry
            .trim_start_matches("https://")
            .trim_start_matches("http://")
            .trim_end_matches('/');
        if matches!(registry, "docker.io" | "index.docker.io")
            || self.image.starts_with(&format!("{registry}/"))
        {
            return Ok(self.image.clone());
        }
        let own = ImageRef::parse(&self.image)?.registry().map(str::to_owned);
        match own.as_deref() {
            Some("docker.io") => Ok(format!("{registry}/{}", self.image)),
            _ => Err(ToolError::arguments(format!(
                "image {} names another registry than {registry}",
                self.image
            ))
            .fix("leave registry out, or give the image without its registry")),
        }
    }

    /// `registry` of a tag is a whole name, or what the present name is put behind.
    fn new_name(&self, registry: &str) -> String {
        let last = registry.rsplit('/').next().unwrap_or_default();
        let is_host = !registry.contains('/') && (registry.contains(['.', ':']) || registry == "localhost");
        let has_tag = !is_host && last.contains(':');
        if has_tag || !(is_host || registry.ends_with('/')) {
            return registry.to_owned();
        }
        format!("{}/{}", registry.trim_end_matches('/'), self.image)
    }

    /// `auth` chooses among stored logins. The engine sends the one of the image's registry and no other, so it can
    /// only be that; and a password does not belong into a conversation.
    fn check_auth(&self, image: &str) -> Result<(), ToolError> {
        let Some(auth) = self.auth.as_deref() else {
            return Ok(());
        };
        let registry = RegistryHost::of(&ImageRef::parse(image)?);
        if registry.is_some() && RegistryHost::parse(auth) == registry {
            return Ok(());
        }
        let registry = registry.map_or_else(String::new, |registry| registry.to_string());
        Err(ToolError::arguments("parameter auth is not the registry of the image, whose stored login would be used").fix(
            format!("leave auth out; the user logs in out of band with `docker login {registry}`, never through a tool"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use crate::describe::{about, effect};
    use policy::Effect;
    use serde_json::{Value, json};

    /// What a person would be asked: it names the steps that would be taken.
    fn check(arguments: &Value, expected: &str, worst: Effect) {
        assert_eq!(about("image-operations", arguments), expected, "{arguments}");
        assert_eq!(effect("image-operations", arguments), worst, "{arguments}");
    }

    #[test]
    fn operations_are_those_of_the_canonical_tools() {
        check(
            &json!({"image": "web:1", "action": "pull"}),
            "pull image web:1",
            Effect::Change,
        );
        check(
            &json!({"image": "web:1", "action": "pull", "registry": "r.example:5000/"}),
            "pull image r.example:5000/web:1",
            Effect::Change,
        );
        check(
            &json!({"image": "r.example/web:1", "action": "pull", "registry": "r.example", "auth": "https://R.example/"}),
            "pull image r.example/web:1",
            Effect::Change,
        );
        check(
            &json!({"image": "web:1", "action": "push", "registry": "localhost:5000"}),
            "tag image web:1 as localhost:5000/web:1, push image localhost:5000/web:1 to localhost:5000",
            Effect::Change,
        );
        check(
            &json!({"image": "web:1", "action": "tag", "registry": "team/web:2"}),
            "tag image web:1 as team/web:2",
            Effect::Change,
        );
        check(
            &json!({"image": "web:1", "action": "tag", "registry": "r.example:5000"}),
            "tag image web:1 as r.example:5000/web:1",
            Effect::Change,
        );
        check(
            &json!({"image": "web:1", "action": "remove", "force": true}),
            "remove image web:1 (force)",
            Effect::Destroy,
        );
    }

    #[test]
    fn what_makes_no_sense_is_said_and_judged_as_the_worst() {
        for (arguments, expected) in [
            (
                json!({"image": "a.example/web", "action": "pull", "registry": "b.example"}),
                "nothing: image a.example/web names another registry than b.example",
            ),
            (
                json!({"image": "web", "action": "tag"}),
                "nothing: parameter registry is missing: action tag needs it",
            ),
            (
                json!({"image": "web", "action": "pull", "force": true}),
                "nothing: parameter force means nothing for action pull",
            ),
            (
                json!({"image": "web", "action": "push", "auth": "user:password"}),
                "nothing: parameter auth is not the registry of the image, whose stored login would be used",
            ),
        ] {
            check(&arguments, expected, Effect::Destroy);
        }
    }
}
