//! The other hosts: which one a call is for (`host`), and the calls that are for all of them (`host = "*"`).
//!
//! A server that knows no other host costs nothing here: what a call is for is looked up only where `host` was given. How
//! hosts are reached is whose who brings them ([`Elsewhere`]). Resources and prompts that name a host find it here as well.

use crate::ctx::Ctx;
use crate::error::{Code, ToolError};
use crate::tools::Tool;
use engine::Engine;
use futures_util::StreamExt;
use futures_util::stream;
use policy::Effect;
use serde_json::Value;
use server_kit::hosts::{self, HOST};
use server_kit::rmcp::model::JsonObject;
use server_kit::{Answer, near};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use server_kit::hosts::{LOCAL, without as without_host};

/// Stands for all hosts.
const ALL: &str = "*";
/// How long each of many hosts may take.
const EACH: Duration = Duration::from_secs(10);
/// How many are asked at a time.
const AT_ONCE: usize = 64;
/// Tools that look at a host as a whole, and may look at all of them.
const WIDE: &[&str] = &[
    "list_containers",
    "list_images",
    "list_networks",
    "list_volumes",
    "get_system_df",
    "get_docker_info",
    "get_docker_version",
    "ping_engine",
];

/// The hosts beside the local one.
pub trait Elsewhere: Send + Sync + 'static {
    /// What they are called.
    fn names(&self) -> Vec<String>;

    /// The host of this name. The error is for a model: which hosts there are, or why it can't be used.
    fn host(&self, name: &str) -> Result<Far, String>;
}

/// Another host.
#[derive(Debug, Clone)]
pub struct Far {
    /// Behind that host's guard.
    pub engine: Engine,
    /// `key=value` put as a label on everything that is created there.
    pub scope_label: Option<String>,
}

impl fmt::Debug for dyn Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// A host that a call names.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    /// `None`: the local one.
    pub(crate) far: Option<Far>,
}

/// What a call is for.
#[derive(Debug)]
pub(crate) enum Whither {
    /// The local host, and nobody said so.
    Here,
    One(Arc<Named>),
    /// Those that can be used, and why the others can't.
    All(Vec<Arc<Named>>, Vec<String>),
}

/// What a call is for, by its arguments, from which that is taken out.
///
/// # Errors
/// There is no such host, it can't be used, or the tool is not for all of them.
pub(crate) fn whither(
    elsewhere: Option<&Arc<dyn Elsewhere>>,
    tool: &Tool,
    arguments: &mut JsonObject,
) -> Result<Whither, ToolError> {
    let Some(name) = hosts::taken(arguments) else {
        return Ok(match elsewhere {
            None => Whither::Here,
            // With others about, an answer that changes something says where it did.
            Some(_) if tool.spec.effect == Effect::Read => Whither::Here,
            Some(_) => Whither::One(local()),
        });
    };
    if name != ALL {
        return one(elsewhere, &name).map(Whither::One);
    }
    if !WIDE.contains(&tool.spec.name) {
        let error = ToolError::arguments(format!("{} is for one host at a time", tool.spec.name));
        return Err(error.fix(format!("name the host; \"{ALL}\" is for {}", WIDE.join(", "))));
    }
    let (mut hosts, mut faults) = (vec![local()], Vec::new());
    for name in elsewhere.map(|elsewhere| elsewhere.names()).unwrap_or_default() {
        match elsewhere.map(|elsewhere| elsewhere.host(&name)) {
            Some(Ok(far)) => hosts.push(Arc::new(Named { name, far: Some(far) })),
            Some(Err(why)) => faults.push(fault(&name, &why)),
            None => {}
        }
    }
    Ok(Whither::All(hosts, faults))
}

/// The host of this name. Nothing is connected by that.
///
/// # Errors
/// There is no such host, or it can't be used; which there are, and what to do.
pub(crate) fn one(elsewhere: Option<&Arc<dyn Elsewhere>>, name: &str) -> Result<Arc<Named>, ToolError> {
    if name == LOCAL {
        return Ok(local());
    }
    let Some(elsewhere) = elsewhere else {
        let error = ToolError::new(
            Code::NotFound,
            format!("there is no host {:?}, only {LOCAL}", base::text::cut(name, 80)),
        );
        return Err(error.fix("leave host out; a person makes others known with `dockmaster host add`"));
    };
    let why = match elsewhere.host(name) {
        Ok(far) => {
            let name = name.to_owned();
            return Ok(Arc::new(Named { name, far: Some(far) }));
        }
        Err(why) => why,
    };
    let names = elsewhere.names();
    let error = ToolError::new(Code::NotFound, why);
    if names.iter().any(|known| known == name) {
        return Err(error.fix("ask a person to mend the host's configuration: dockmaster host test"));
    }
    let near = near::nearest(name, names.iter().map(String::as_str), 2);
    Err(error.fix(match near.as_slice() {
        [] => "name one of these, or leave host out for the local one".to_owned(),
        near => format!("did you mean {}?", near.join(" or ")),
    }))
}

/// What all hosts are called, the local one first.
pub(crate) fn names(elsewhere: Option<&Arc<dyn Elsewhere>>) -> Vec<String> {
    let others = elsewhere.map(|elsewhere| elsewhere.names()).unwrap_or_default();
    std::iter::once(LOCAL.to_owned()).chain(others).collect()
}

fn local() -> Arc<Named> {
    Arc::new(Named {
        name: LOCAL.to_owned(),
        far: None,
    })
}

/// Makes a call on many hosts side by side, each within its time. A line of the answer begins with its host.
///
/// # Errors
/// None of them answered.
pub(crate) async fn everywhere(
    tool: &Tool,
    ctx: &Ctx,
    arguments: &JsonObject,
    hosts: Vec<Arc<Named>>,
    faults: Vec<String>,
) -> Result<Answer, ToolError> {
    let asked = hosts.into_iter().map(|host| {
        let work = tool.run(ctx.on(Arc::clone(&host)), arguments.clone());
        async move {
            let answer = match tokio::time::timeout(EACH, Box::pin(work)).await {
                Ok(answer) => answer.map_err(|error| error.whole_cause()),
                Err(_) => Err(format!("no answer within {EACH:?}")),
            };
            (host, answer)
        }
    });
    let answers: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
    joined(answers, faults)
}

type Answered = (Arc<Named>, Result<Answer, String>);

fn joined(answers: Vec<Answered>, mut faults: Vec<String>) -> Result<Answer, ToolError> {
    let mut joined = Answer::text("");
    let mut count = 0;
    for (host, answer) in answers {
        let Answer { body, notes, .. } = match answer {
            Ok(answer) => answer,
            Err(why) => {
                faults.push(fault(&host.name, &why));
                continue;
            }
        };
        count += 1;
        let whole = &mut joined.body;
        if let Some(head) = body.head {
            whole.head = Some(format!("{HOST}\t{head}"));
        }
        for line in body.text.lines() {
            whole.text.push_str(&host.name);
            whole.text.push('\t');
            whole.text.push_str(line);
            whole.text.push('\n');
        }
        whole.source = whole.source.take().or(body.source);
        whole.narrow = whole.narrow.take().or(body.narrow);
        joined
            .notes
            .extend(notes.into_iter().map(|note| format!("{}: {note}", host.name)));
    }
    let body = &mut joined.body.text;
    body.truncate(body.trim_end_matches('\n').len());
    if count == 0 {
        let error = ToolError::new(
            Code::Unreachable,
            format!("no host answered: {}", faults.join("; ")),
        );
        return Err(error.fix("ask a person to look at them: dockmaster host list"));
    }
    Ok(faults.into_iter().fold(joined, Answer::note))
}

fn fault(host: &str, why: &str) -> String {
    let why = base::text::clean(why).replace('\n', " ");
    format!("[{host} did not answer: {}]", base::text::cut(&why, 300))
}

/// Makes a call on one host, which its answer names.
///
/// # Errors
/// The tool's own; they name the host.
pub(crate) async fn on(
    tool: &'static Tool,
    ctx: &Ctx,
    host: Arc<Named>,
    arguments: JsonObject,
) -> Result<Answer, ToolError> {
    let name = &host.name;
    match server_kit::done(tool, ctx.on(Arc::clone(&host)), arguments).await {
        Ok(answer) => Ok(answer.note(format!("[host {name}]"))),
        Err(error) => Err(error.during(format_args!("on host {name}"))),
    }
}

/// Behind what a person is asked.
pub(crate) fn about(arguments: &Value) -> String {
    if hosts::named(arguments) == Some(ALL) {
        return " on all hosts".to_owned();
    }
    hosts::about(arguments)
}

/// A tool with the parameter that names the host, as it stands in a list.
pub(crate) fn listed(tool: &Tool) -> server_kit::rmcp::model::Tool {
    let is_wide = WIDE.contains(&tool.spec.name);
    hosts::listed(tool.listed(), is_wide.then_some("* for all"))
}

/// What models are told of the hosts.
pub(crate) fn instructions(names: &[String]) -> String {
    format!(
        " Every tool takes `{HOST}`: {LOCAL} unless given, or {}; \"{ALL}\" lists of all at once.",
        hosts::shown(names)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::TABLE;
    use serde_json::json;

    #[derive(Debug)]
    struct Others;

    impl Elsewhere for Others {
        fn names(&self) -> Vec<String> {
            vec!["lab".to_owned(), "prod".to_owned()]
        }

        fn host(&self, name: &str) -> Result<Far, String> {
            Err(format!("host {name}: its context is not there"))
        }
    }

    fn check(with_others: bool, tool: &str, arguments: Value, expected: &str) {
        let others: Arc<dyn Elsewhere> = Arc::new(Others);
        let Value::Object(mut arguments) = arguments else {
            panic!("arguments are an object")
        };
        let tool = TABLE.find(tool).unwrap();
        let found = match whither(with_others.then_some(&others), tool, &mut arguments) {
            Ok(Whither::Here) => "here".to_owned(),
            Ok(Whither::One(host)) => host.name.clone(),
            Ok(Whither::All(hosts, faults)) => format!("{} and {}", hosts.len(), faults.join(" ")),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "{found}");
        assert!(expected == "here" || !arguments.contains_key(HOST));
    }

    #[test]
    fn what_a_call_is_for() {
        let remove = json!({"volume": "v"});
        check(false, "list_volumes", json!({}), "here");
        check(false, "remove_volume", remove.clone(), "here");
        check(true, "list_volumes", json!({}), "here");
        check(true, "remove_volume", remove, "local");
        check(false, "list_volumes", json!({"host": "local"}), "local");
        check(
            false,
            "list_volumes",
            json!({"host": "prod"}),
            "there is no host \"prod\", only local",
        );
        check(
            true,
            "list_volumes",
            json!({"host": "prod"}),
            "ask a person to mend",
        );
        check(
            true,
            "list_volumes",
            json!({"host": "prot"}),
            "did you mean prod?",
        );
        check(
            true,
            "list_volumes",
            json!({"host": "*"}),
            "1 and [lab did not answer: host lab: its context",
        );
        check(
            true,
            "remove_volume",
            json!({"host": "*", "volume": "v"}),
            "is for one host at a time",
        );
        check(true, "volume_list", json!({"host": "*"}), "1 and ");
        check(
            true,
            "network-management",
            json!({"host": "*", "action": "create", "name": "n"}),
            "one host at a time",
        );
        // Not a name: left where it is, to be refused with the arguments.
        check(true, "list_volumes", json!({"host": 1}), "here");
    }

    #[test]
    fn answers_of_many_hosts() {
        let named = |name: &str| {
            Arc::new(Named {
                name: name.to_owned(),
                far: None,
            })
        };
        let table = |names: &[&str]| {
            let rows = names.iter().map(|name| vec![(*name).to_owned(), "x".to_owned()]);
            Ok(Answer::table(&["name", "image"], rows).note("[2 more; limit is 1]"))
        };
        let answers = vec![
            (named("local"), table(&["web", "db"])),
            (
                named("prod"),
                table(&["web"]).map(|answer| answer.untrusted("names of containers")),
            ),
            (named("empty"), Ok(Answer::text("no container"))),
            (named("lab"), Err("can't connect\nat all".to_owned())),
        ];
        let answer = joined(answers, vec![fault("old", "gone")]).unwrap();
        assert_eq!(answer.body.source.as_deref(), Some("names of containers"));
        assert_eq!(
            answer.body.head.as_deref().unwrap().to_owned() + "\n" + &answer.body.text,
            "host\tname\timage\nlocal\tweb\tx\nlocal\tdb\tx\nprod\tweb\tx\nempty\tno container"
        );
        assert_eq!(
            answer.notes,
            [
                "local: [2 more; limit is 1]",
                "prod: [2 more; limit is 1]",
                "[old did not answer: gone]",
                "[lab did not answer: can't connect at all]"
            ]
        );
        let none = joined(vec![(named("lab"), Err("away".to_owned()))], Vec::new()).unwrap_err();
        assert_eq!(none.code, Code::Unreachable);
    }
}
