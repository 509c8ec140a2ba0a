//! Asking registries: what there is, what an image there consists of, whether a login is accepted.

use super::trouble;
use crate::ctx::Ctx;
use crate::error::{Code, ToolError};
use crate::pick;
use crate::values::Filters;
use base::names::ImageRef;
use engine::credentials::RegistryHost;
use engine::ops::images::LoginCheck;
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::answer::{Answer, Digest};
use server_kit::{Call, Spec, Toolset};

const DEFAULT_HITS: u32 = 15;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchImages {
    query: String,
    /// 15 unless given, at most 100.
    limit: Option<u32>,
    /// {"is-official":true,"stars":"50"}
    #[serde(default)]
    filters: Filters,
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<String>,
}

impl Call<Ctx> for SearchImages {
    const SPEC: Spec = Spec::new(Toolset::Full, "search_images", "Search Docker Hub.")
        .reads()
        .open_world()
        .aliases(&["docker_search", "docker_search_images"]);

    fn about(&self) -> String {
        format!("search Docker Hub for {}", base::text::cut(&self.query, 100))
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let (query, filters) = (self.query.trim(), self.filters.to_engine());
        if query.is_empty() || query.len() > 200 {
            return Err(ToolError::arguments(
                "parameter query: it is empty, or longer than 200 bytes",
            ));
        }
        let limit = self.limit.unwrap_or(DEFAULT_HITS);
        let hits = match ctx.engine().image_search(query, limit, &filters).await {
            Ok(hits) => hits,
            Err(error) => {
                let hub = ImageRef::parse("docker.io/library/search")?;
                return Err(trouble::explain(&ctx, &hub, error).await);
            }
        };
        if hits.is_empty() {
            return Ok(Answer::text(format!("nothing found for {query:?}")));
        }
        let rows = hits.iter().map(|hit| {
            vec![
                pick::text(hit, "/name").to_owned(),
                pick::number(hit, "/star_count").to_string(),
                if pick::yes(hit, "/is_official") {
                    "official"
                } else {
                    ""
                }
                .to_owned(),
                base::text::cut(pick::text(hit, "/description"), 100).to_owned(),
            ]
        });
        Ok(Answer::table(&["image", "stars", "", "description"], rows)
            .untrusted("search results of Docker Hub"))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InspectRegistryImage {
    #[schemars(with = "String")]
    image: ImageRef,
}

impl Call<Ctx> for InspectRegistryImage {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "inspect_registry_image",
        "Digest and platforms of an image in its registry, without pulling it.",
    )
    .reads()
    .open_world()
    .aliases(&["docker_manifest_inspect", "docker_distribution_inspect"]);

    fn about(&self) -> String {
        format!("look up image {} in its registry", self.image)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let details = match ctx.engine().image_distribution(&self.image).await {
            Ok(details) => details,
            Err(error) => return Err(trouble::explain(&ctx, &self.image, error).await),
        };
        let platforms = pick::list(&details, "/Platforms").iter().map(|platform| {
            let parts = ["/os", "/architecture", "/variant"].map(|pointer| pick::text(platform, pointer));
            let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            parts.join("/")
        });
        Ok(Digest::new()
            .line("image", self.image.as_str())
            .line("digest", pick::text(&details, "/Descriptor/digest"))
            .line("type", pick::text(&details, "/Descriptor/mediaType"))
            .list("platforms", platforms, 400)
            .into())
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckRegistryLogin {
    /// Host, or host:port; docker.io unless given.
    registry: Option<String>,
}

impl Call<Ctx> for CheckRegistryLogin {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "check_registry_login",
        "Whether a registry accepts the login that is kept for it.",
    )
    .reads()
    .open_world()
    .aliases(&["docker_login_check"]);

    fn about(&self) -> String {
        let registry = self.registry.as_deref().unwrap_or("docker.io");
        format!("check the login for registry {}", base::text::cut(registry, 100))
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let registry = match &self.registry {
            None => RegistryHost::hub(),
            Some(text) => RegistryHost::parse(text).ok_or_else(|| {
                ToolError::arguments(format!(
                    "parameter registry: {:?} is no host",
                    base::text::cut(text, 100)
                ))
                .fix("give host or host:port")
            })?,
        };
        let login = format!("`docker login {registry}`");
        match ctx.engine().registry_check(&registry).await? {
            LoginCheck::Accepted(account) => Ok(Answer::text(format!(
                "{registry} accepts the login of {} (from {})",
                who(&account.username),
                account.origin
            ))),
            LoginCheck::NoCredentials => {
                Err(
                    ToolError::new(Code::NotFound, format!("no credentials are kept for {registry}")).fix(
                        format!("the user can log in out of band with {login}; public images need none"),
                    ),
                )
            }
            LoginCheck::Unusable(reason) => {
                Err(ToolError::new(Code::Failed, reason).fix(super::trouble::mend_credentials(&registry)))
            }
            LoginCheck::Rejected { account, message } => Err(ToolError::new(
                Code::Refused,
                format!(
                    "{registry} does not accept the login of {}: {}",
                    who(&account.username),
                    base::text::cut(&message, 300)
                ),
            )
            .fix(format!(
                "they come from {}; the user can log in anew with {login}",
                account.origin
            ))),
        }
    }
}

fn who(username: &str) -> &str {
    if username.is_empty() { "a token" } else { username }
}
