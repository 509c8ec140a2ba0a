//! Scope: a host that is confined to a label shows and changes only what bears it.

use std::borrow::Cow;

use serde_json::Value;

use super::super::endpoints::Confine;
use super::super::lookup::Object;
use super::super::policy::Label;
use super::super::refusal::{Refusal, Rule, shown};
use super::super::shape::Shaped;
use super::Case;

impl Case<'_> {
    /// Judges the object in the path, or the filters. Gives back the object's id where the path takes one, so
    /// that a name given to another object meanwhile does not matter.
    pub(super) async fn confine(&self, confine: Confine) -> Result<Option<String>, Refusal> {
        let Some(label) = &self.policy.label else {
            return Ok(None);
        };
        let name = self.name();
        match confine {
            Confine::Free | Confine::Made => Ok(None),
            Confine::Shut => {
                let reason =
                    "what it shows or changes can't be told apart by label, and this host is confined to one";
                Err(self.out_of_scope("the request", "", reason))
            }
            Confine::Filtered => self.filtered(label).map(|()| None),
            Confine::NamedImages => {
                if self.query.all("names").next().is_none() {
                    return Err(self.out_of_scope("names", "", "it names no images"));
                }
                for image in self.query.all("names") {
                    self.image_in_scope(image).await?;
                }
                Ok(None)
            }
            Confine::Image => self.image_in_scope(name).await.map(|()| None),
            Confine::Container => {
                let state = self.must_look_up(self.container("the container", name)?).await?;
                self.pin("the container", &state, state.at("Config").at("Labels"), "Id")
            }
            Confine::Exec => {
                let exec = self.must_look_up(Object::Exec(name.to_owned())).await?;
                self.container_in_scope("the exec's container", exec.text("ContainerID"))
                    .await?;
                Ok(None)
            }
            Confine::Network => {
                let state = self.must_look_up(self.network("the network", name)?).await?;
                self.pin("the network", &state, state.at("Labels"), "Id")
            }
            Confine::Volume => {
                let state = self.must_look_up(Object::Volume(name.to_owned())).await?;
                self.in_scope("the volume", name, state.at("Labels"))?;
                Ok(None)
            }
            Confine::Service => {
                let state = self.must_look_up(Object::Service(name.to_owned())).await?;
                self.pin("the service", &state, state.at("Spec").at("Labels"), "ID")
            }
            Confine::Task => {
                let task = self.must_look_up(Object::Task(name.to_owned())).await?;
                let service = self
                    .must_look_up(Object::Service(task.text("ServiceID").to_owned()))
                    .await?;
                self.pin("the task", &service, service.at("Spec").at("Labels"), "ID")?;
                self.id_of("the task", name, &task, "ID").map(Some)
            }
            Confine::Secret => {
                let state = self.must_look_up(Object::Secret(name.to_owned())).await?;
                self.pin("the secret", &state, state.at("Spec").at("Labels"), "ID")
            }
            Confine::Config => {
                let state = self.must_look_up(Object::Config(name.to_owned())).await?;
                self.pin("the config", &state, state.at("Spec").at("Labels"), "ID")
            }
        }
    }

    fn pin(&self, at: &str, state: &Value, labels: &Value, id: &str) -> Result<Option<String>, Refusal> {
        self.in_scope(at, self.name(), labels)?;
        self.id_of(at, self.name(), state, id).map(Some)
    }

    pub(super) fn out_of_scope(
        &self,
        at: &str,
        value: &str,
        reason: impl Into<Cow<'static, str>>,
    ) -> Refusal {
        let refusal = Refusal::new(Rule::Scope, self.what(at), value, reason);
        match &self.policy.label {
            Some(label) => refusal.allowed_by(format!("label = {}", format_args!("\"{label}\""))),
            None => refusal,
        }
    }

    /// Labels of an object that exists.
    pub(super) fn in_scope(&self, at: &str, name: &str, labels: &Value) -> Result<(), Refusal> {
        match &self.policy.label {
            Some(label) if !self.bears_label(labels) => {
                let reason = format!("it does not bear the label {label}, to which this host is confined");
                Err(self.out_of_scope(at, name, reason))
            }
            _ => Ok(()),
        }
    }

    /// A container beside the one in the path.
    pub(super) async fn container_in_scope(&self, at: &str, name: &str) -> Result<(), Refusal> {
        if self.policy.label.is_none() {
            return Ok(());
        }
        let state = self.must_look_up(self.container(at, name)?).await?;
        self.in_scope(at, name, state.at("Config").at("Labels"))
    }

    async fn image_in_scope(&self, name: &str) -> Result<(), Refusal> {
        let state = self.must_look_up(Object::Image(name.to_owned())).await?;
        self.in_scope("the image", name, state.at("Config").at("Labels"))
    }

    /// Labels of an object to be made.
    pub(super) fn must_bear_label(&self, at: &str, labels: &Value) -> Result<(), Refusal> {
        match &self.policy.label {
            Some(label) if !self.bears_label(labels) => {
                let reason = "this host is confined to a label, so what is made has to bear it";
                Err(self.out_of_scope(at, &format!("without {label}"), reason))
            }
            _ => Ok(()),
        }
    }

    /// Whether labels include the one to which the host is confined; also if it is confined to none.
    pub(super) fn bears_label(&self, labels: &Value) -> bool {
        let Some(label) = &self.policy.label else {
            return true;
        };
        let mut labels = labels.as_object().into_iter().flatten();
        labels.any(|(key, value)| label.is(key, value.as_str().unwrap_or_default()))
    }

    /// The filter `label`, which the daemon reads as "all of these". Another value of the same label is refused:
    /// for services and their kin the daemon keeps one of them, and nobody knows which.
    fn filtered(&self, label: &Label) -> Result<(), Refusal> {
        let filters = self.query.json("filters", self.doing)?.unwrap_or_default();
        let asked: Vec<&str> = match filters.at("label") {
            Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
            // One set to false counts for some filters of the daemon and not for others, so nothing else is looked at.
            Value::Object(values) if values.values().all(|on| *on == Value::Bool(true)) => {
                values.keys().map(String::as_str).collect()
            }
            _ => Vec::new(),
        };
        let key = |filter: &str| filter.split('=').next() == Some(label.key());
        let fits = |filter: &str| {
            filter.split_once('=').map_or_else(
                || filter == label.to_string(),
                |(key, value)| label.is(key, value),
            )
        };
        let own: Vec<&&str> = asked.iter().filter(|filter| key(filter)).collect();
        if !own.is_empty() && own.iter().all(|filter| fits(filter)) {
            return Ok(());
        }
        let shown = shown(&asked.join(", "));
        let reason = format!("this host is confined to a label; filter by label={label}");
        Err(self.out_of_scope("the filter label", &shown, reason))
    }
}
