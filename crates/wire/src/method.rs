//! Method names of requests and notifications.

/// Opens a legacy session.
pub const INITIALIZE: &str = "initialize";
/// The client's word that the legacy session is open.
pub const INITIALIZED: &str = "notifications/initialized";
/// Asks whether the peer is there (legacy).
pub const PING: &str = "ping";
/// Asks what a server is and can (modern).
pub const DISCOVER: &str = "server/discover";
/// Opens a stream of change notifications (modern).
pub const LISTEN: &str = "subscriptions/listen";
/// First message on such a stream.
pub const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
/// Lists tools.
pub const TOOLS_LIST: &str = "tools/list";
/// Calls a tool.
pub const TOOLS_CALL: &str = "tools/call";
/// The list of tools changed.
pub const TOOLS_CHANGED: &str = "notifications/tools/list_changed";
/// Lists resources.
pub const RESOURCES_LIST: &str = "resources/list";
/// Lists resource templates.
pub const TEMPLATES_LIST: &str = "resources/templates/list";
/// Reads a resource.
pub const RESOURCES_READ: &str = "resources/read";
/// Asks to be told of changes of one resource (legacy).
pub const SUBSCRIBE: &str = "resources/subscribe";
/// Ends that (legacy).
pub const UNSUBSCRIBE: &str = "resources/unsubscribe";
/// A resource changed.
pub const RESOURCE_UPDATED: &str = "notifications/resources/updated";
/// The list of resources changed.
pub const RESOURCES_CHANGED: &str = "notifications/resources/list_changed";
/// Lists prompts.
pub const PROMPTS_LIST: &str = "prompts/list";
/// Gets a prompt.
pub const PROMPTS_GET: &str = "prompts/get";
/// The list of prompts changed.
pub const PROMPTS_CHANGED: &str = "notifications/prompts/list_changed";
/// Completes an argument.
pub const COMPLETE: &str = "completion/complete";
/// Sets the level of log messages (legacy).
pub const SET_LEVEL: &str = "logging/setLevel";
/// A log message.
pub const LOG_MESSAGE: &str = "notifications/message";
/// How far a request is.
pub const PROGRESS: &str = "notifications/progress";
/// A request is no longer wanted.
pub const CANCELLED: &str = "notifications/cancelled";
/// Asks the person behind the client.
pub const ELICIT: &str = "elicitation/create";
/// Asks the model behind the client.
pub const SAMPLE: &str = "sampling/createMessage";
/// Asks the client which folders it works on.
pub const ROOTS: &str = "roots/list";
/// Those folders are others now (legacy).
pub const ROOTS_CHANGED: &str = "notifications/roots/list_changed";
/// What a person was sent to an address for is done (legacy).
pub const ELICITED: &str = "notifications/elicitation/complete";
/// How a task does.
pub const TASKS_GET: &str = "tasks/get";
/// The result of a task, once there is one (legacy).
pub const TASKS_RESULT: &str = "tasks/result";
/// Lists tasks (legacy).
pub const TASKS_LIST: &str = "tasks/list";
/// Ends a task.
pub const TASKS_CANCEL: &str = "tasks/cancel";
/// Gives a task the input that it waits for (modern).
pub const TASKS_UPDATE: &str = "tasks/update";
/// A task has another status (legacy).
pub const TASK_STATUS: &str = "notifications/tasks/status";
/// The same in the modern era.
pub const TASKS_CHANGED: &str = "notifications/tasks";

/// Whether a method is one of the protocol, in either era; any other is an extension's.
#[must_use]
pub fn is_of_protocol(method: &str) -> bool {
    matches!(
        method,
        INITIALIZE
            | INITIALIZED
            | PING
            | DISCOVER
            | LISTEN
            | ACKNOWLEDGED
            | TOOLS_LIST
            | TOOLS_CALL
            | TOOLS_CHANGED
            | RESOURCES_LIST
            | TEMPLATES_LIST
            | RESOURCES_READ
            | SUBSCRIBE
            | UNSUBSCRIBE
            | RESOURCE_UPDATED
            | RESOURCES_CHANGED
            | PROMPTS_LIST
            | PROMPTS_GET
            | PROMPTS_CHANGED
            | COMPLETE
            | SET_LEVEL
            | LOG_MESSAGE
            | PROGRESS
            | CANCELLED
            | ELICIT
            | SAMPLE
            | ROOTS
            | ROOTS_CHANGED
            | ELICITED
            | TASKS_GET
            | TASKS_RESULT
            | TASKS_LIST
            | TASKS_CANCEL
            | TASKS_UPDATE
            | TASK_STATUS
            | TASKS_CHANGED
    )
}
