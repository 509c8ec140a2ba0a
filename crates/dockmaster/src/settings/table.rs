//! Every key of the configuration file: what it means, its default, and which flag or variable goes before or after
//! it. `config show`, the errors for unknown keys and `docs/configuration.md` come from here.

use super::hosts::LOCAL;
use crate::env::Var;

/// One key.
#[derive(Debug)]
pub(crate) struct Setting {
    /// With its tables: `gateway.port`.
    pub(crate) key: &'static str,
    /// What holds if nobody says anything.
    pub(crate) default: Preset,
    /// The flag that goes before the file.
    pub(crate) flag: Option<&'static str>,
    /// The variable that counts where the file says nothing.
    pub(crate) variable: Option<Var>,
    /// What it means, in Markdown.
    pub(crate) about: &'static str,
}

/// What holds if nobody says anything.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Preset {
    /// A value, in TOML.
    Value(&'static str),
    /// Something that is found out; told in words.
    Found(&'static str),
}

/// The tables of the file with what they are about, in the order of the documentation.
#[cfg(test)]
pub(crate) const TABLES: &[(&str, &str)] = &[
    ("gateway", "How clients reach the gateway, and its time limits."),
    (
        "policy",
        "Which calls may be made; see [permissions](permissions.md).",
    ),
    (
        "screening",
        "What happens with suspicious text from servers that are not built in; see [gateway](gateway.md). A change starts their running copies anew.",
    ),
    ("docker", "The built-in Docker server."),
    ("shell", "The built-in shell server; see [shell](shell.md)."),
    ("files", "The built-in files server; see [files](files.md)."),
    (
        "instances",
        "Bounds on the servers that run beside the built-in one; see [servers](servers.md).",
    ),
    (
        "profiles.*",
        "What clients of a profile have; the profile that is used is `gateway.profile`.",
    ),
    (
        "profiles.*.servers.*",
        "A server that is switched on in a profile, and how it is set up; `dockmaster server enable` and `server config` write here. All of it may be left out.",
    ),
    (
        "servers.*",
        "A server of your own, to be switched on like one of a catalog. Exactly one of `image`, `npm`, `pypi`, `url`, `command` and `tools` says what it is; see [custom servers](custom-servers.md).",
    ),
    (
        "signers.*",
        "A publisher whose signature (cosign, with a key or keyless) images have to bear before they are pulled and run; see [servers](servers.md). An image that several of these mean needs the signature of each.",
    ),
    (
        "secrets",
        "Where the values of secrets come from; see [secrets](secrets.md).",
    ),
    (
        "hosts.local",
        "The Docker Engine, and how much of it is open. `[hosts.NAME]`, which `dockmaster host add` writes, is a further one with the same keys, of which `endpoint` or `context` has to be there; of the environment nothing counts for it; see [hosts](hosts.md).",
    ),
    (
        "hosts.local.files",
        "For another host (`[hosts.NAME.files]`): which of its files the files server works on; see [files](files.md#on-other-hosts).",
    ),
    (
        "hosts.local.shell",
        "For another host (`[hosts.NAME.shell]`): whether the shell server runs commands there; see [shell](shell.md#on-other-hosts).",
    ),
    (
        "hosts.local.guard",
        "What requests to the engine may ask for, in the modes `read-only`, `no-destroy` and `guarded`; see [guard](guard.md). Everything is shut by default; each refusal names the line that would allow it.",
    ),
    ("audit", "Where calls are written down; see [audit](audit.md)."),
];

const fn setting(key: &'static str, default: &'static str, about: &'static str) -> Setting {
    Setting {
        key,
        default: Preset::Value(default),
        flag: None,
        variable: None,
        about,
    }
}

const fn found(key: &'static str, default: &'static str, about: &'static str) -> Setting {
    Setting {
        key,
        default: Preset::Found(default),
        flag: None,
        variable: None,
        about,
    }
}

impl Setting {
    const fn flag(self, flag: &'static str) -> Self {
        Self {
            flag: Some(flag),
            ..self
        }
    }

    const fn variable(self, variable: Var) -> Self {
        Self {
            variable: Some(variable),
            ..self
        }
    }
}

/// All keys, in the order of the documentation.
pub(crate) const SETTINGS: &[Setting] = &[
    setting("gateway.transport", r#""stdio""#, "`stdio`: one client that starts the gateway as its child process. `http`: Streamable HTTP for any number of clients, with a bearer token.").flag("--transport"),
    setting("gateway.host", r#""127.0.0.1""#, "The address to listen at with `http`.").flag("--host"),
    setting("gateway.port", "8811", "The port to listen at with `http`; 0 takes a free one.").flag("--port"),
    setting("gateway.hosts", "[]", "Names, beside those of the loopback, under which the gateway may be addressed, without port. Required when `host` is not the loopback; protects from DNS rebinding."),
    setting("gateway.origins", "[]", "Web origins, beside those of the loopback, whose pages may call the gateway: `https://example.com`."),
    setting("gateway.sse", "false", "Whether `http` also offers HTTP+SSE of 2024-11-05, at `/sse`, for clients that know nothing newer."),
    setting("gateway.profile", r#""default""#, "The profile whose servers clients get who name none.").flag("--profile"),
    setting("gateway.call_timeout", r#""15m""#, "How long one call may take."),
    setting("gateway.confirm_timeout", r#""5m""#, "How long a person may think about a confirmation; after that the call is refused."),
    setting("gateway.message_size", r#""4MiB""#, "Most bytes of one message from a client, a line or the body of a request: 64 KiB to 1 GiB. That nests at most 100 levels is not to be changed."),
    setting("gateway.answer_size", r#""64MiB""#, "Most bytes of one message from a server, within the same bounds; one that sends more is stopped."),
    setting("gateway.sessions", "1000", "Most sessions of `http` at a time; the one that was idle the longest gives way."),
    setting("gateway.session_idle", r#""30m""#, "After how long without a request a session of `http` ends."),
    setting("gateway.events", "256", "Most events, of together at most 1 MiB, that a session keeps for a client whose connection broke."),
    setting("policy.preset", r#""full""#, "What is allowed unless a list says otherwise: `read-only`, `no-destroy`, `full`, or `allow-list` for nothing but what `allow` names.").flag("--preset"),
    setting("policy.allow", "[]", "Tools that are allowed whatever the preset says, as `server/tool`, in which `*` stands for any text: `docker/list_*`."),
    setting("policy.deny", "[]", "Tools that are denied whatever else says otherwise, written like `allow`."),
    setting("policy.ask", r#""destroy""#, "Which allowed calls a person has to confirm: those that `destroy`, those that `change` (or destroy), or `never` any.").flag("--ask"),
    setting("policy.when_unable", r#""refuse""#, "What happens to such a call when the client has no way to ask: `refuse` or `allow`."),
    setting("screening.hidden", r#""mark""#, "Characters that nobody sees (tags, bidirectional controls, zero width) in what servers of catalogs and your own list and answer: `pass`; `mark`, taken out and told of; or `refuse`, which leaves the definition out and withholds the answer."),
    setting("screening.instructions", r#""mark""#, "Text that poses as instructions to the model (`<important>`, `<|im_start|>`): `pass`; `mark`, made harmless in definitions and told of; or `refuse`."),
    setting("screening.secrets", r#""mark""#, "What looks like a secret, which is always redacted: `refuse` leaves out or withholds what holds it."),
    setting("screening.first_sight", r#""approve""#, "What a server lists that was never approved: `approve`, since it was switched on knowingly, or `hold` it back until `dockmaster server approve`."),
    setting("docker.enabled", "true", "Whether the Docker server is offered."),
    setting("docker.toolset", r#""standard""#, "Which tools are listed: `standard`, `compact` (five with an `action` each) or `full`. Every tool can be called whatever is listed.").flag("--toolset"),
    setting("docker.answer_tokens", "8000", "Most tokens, of 4 bytes, in one answer; what is over is fetched by cursor."),
    found("docker.credentials_for", "Docker Hub alone", "Registries that get `REGISTRY_USERNAME` and `REGISTRY_PASSWORD`, and a `REGISTRY_AUTH_CONFIG` that names none: `[\"ghcr.io\"]`. `[\"*\"]` sends them to whichever registry an image names, also one that a model made up."),
    setting("shell.enabled", "false", "Whether the shell server is offered."),
    setting("shell.runner", r#""container""#, "Where commands run: `container`, each in a container of its own, made for it and removed with it; or `host`, on this host as the gateway's user, without any sandbox (Linux; the server is then called `host-shell`)."),
    setting("shell.image", r#""docker.io/library/debian:stable-slim""#, "What those containers are made of."),
    setting("shell.roots", "[]", "Folders that commands have, each at its own path: `[{ path = \"/srv/work\", write = true }]`; read-only without `write`. On the host they confine working directories and nothing else."),
    setting("shell.network", r#""none""#, "What containers reach: `none`, beside `hosts`; or `open`, everything."),
    setting("shell.hosts", "[]", "Hosts that containers may reach: `[\"api.example.com:443\"]`."),
    setting("shell.memory", r#""2GiB""#, "Most memory of a container."),
    setting("shell.cpus", "1.0", "Most CPUs of a container."),
    setting("shell.pids", "512", "Most processes and threads of a container."),
    found("shell.user", "the owner of the first writable root, else an unprivileged number", "As whom commands run in containers: `user[:group]`."),
    setting("shell.environment", "{}", "What every command has in its environment: `{ CI = \"1\" }`. Nothing of the gateway's is passed on."),
    setting("shell.path", r#""/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin""#, "Where programs are looked for on the host."),
    found("shell.allow", "everything that is not denied", "Commands that may run: `[\"git status\", \"cargo test **\"]`."),
    setting("shell.deny", "[]", "Commands that may not, whatever is allowed."),
    setting("shell.scripts", "false", "Text for shells and interpreters, which no rule looks into, and programs that run others."),
    setting("shell.variables", "[]", "Where there is `allow`: names of variables that a call may set, in which `*` stands for any text."),
    setting("shell.timeout", r#""2m""#, "How long a command may take whose call names no time; 1h at most."),
    setting("files.enabled", "false", "Whether the files server is offered."),
    setting("files.roots", "[]", "Directories beneath which files are read, and changed where `write` says so: `[{ path = \"/srv/work\", write = true }]`. None may hold Dockmaster's own folders."),
    setting("files.hard_links", "false", "Files with several names (hard links) are read, although another name may be outside of the roots."),
    setting("files.client_roots", "true", "A client that has roots of its own (`roots/list`) is confined to what they and `roots` have in common. `false` where clients are on other machines than these files."),
    setting("files.search_timeout", r#""1m""#, "How long one search may take; then it ends with what it has found."),
    setting("instances.most", "32", "Most running copies of servers at a time; the longest idle one is stopped to make room."),
    setting("instances.memory", r#""64GiB""#, "Most memory of all of them together, by their bounds, which are seldom reached: as many as `most` of the usual 2 GiB."),
    setting("instances.idle_stop", r#""10m""#, "After how long without work a copy is stopped."),
    setting("instances.start_timeout", r#""60s""#, "How long a server may take to start and shake hands; fetching its image does not count."),
    setting("instances.list_timeout", r#""30s""#, "How long one of a server's lists may take."),
    setting("instances.commands", "false", "Whether servers may be processes on this machine (`command` of your own servers) instead of containers. They can do whatever you can."),
    setting("instances.node_image", r#""docker.io/library/node:24-slim""#, "The image that npm packages are installed into; another one, such as your mirror's, has to have `node` and `npm`."),
    setting("instances.python_image", r#""docker.io/library/python:3.13-slim""#, "The image that PyPI packages are installed into; another one has to have `python3` with `venv` and `pip`."),
    found("profiles.*.roots", "those of `[files]`, `[shell]` and `[hosts.NAME]`", "Folders in which the files and shell servers work for clients of this profile, instead of all others: `[{ path = \"/srv/work\", write = true }, { host = \"prod\", path = \"/srv/www\" }]`. Where it names none of a host, there are no files of that host, and no commands on the host itself."),
    found("profiles.*.servers.*.catalog", "whichever has it", "The catalog whose entry is meant, such as `\"team\"`; `server enable` writes it where the name alone could come to mean another's."),
    found("profiles.*.servers.*.config", "none", "Its configuration, as its entry describes it: `dockmaster server inspect NAME`."),
    found("profiles.*.servers.*.secrets", "the entry's names", "Secrets under other names than the entry's: `{ \"github.personal_access_token\" = \"work.github\" }`; an empty name: it does without."),
    found("profiles.*.servers.*.secret_files", "none", "Secrets that it is given as files in memory, by absolute path in its container: `{ \"/run/secrets/token\" = \"github.personal_access_token\" }`. One of the entry's is not put into its variable then."),
    found("profiles.*.servers.*.env", "none", "Further environment."),
    found("profiles.*.servers.*.tools", "all", "The tools that may be listed and called."),
    found("profiles.*.servers.*.prefix", "none", "What stands before the names of its tools and prompts."),
    found("profiles.*.servers.*.sharing", "as the entry says", "Who may share a running copy: `everyone`, `principal`, `session`, `call`."),
    found("profiles.*.servers.*.warm", "`0`", "So many running copies wait for whoever needs them, from the start of the gateway on: of a server that everyone shares one at most, which is then never stopped as idle; of one for each session or call so many spares; of one for each principal so many of those that were started stay."),
    found("profiles.*.servers.*.idle_stop", "`instances.idle_stop`", "After how long without work a copy of it is stopped."),
    found("profiles.*.servers.*.start_timeout", "`instances.start_timeout`", "How long it may take to start and shake hands."),
    found("profiles.*.servers.*.list_timeout", "`instances.list_timeout`", "How long one of its lists may take."),
    found("profiles.*.servers.*.call_timeout", "`gateway.call_timeout`", "How long one call to it may take."),
    found("profiles.*.servers.*.network", "`\"declared\"`", "What it may reach: `none`, `declared` (what its entry and `hosts` name), or `open`."),
    found("profiles.*.servers.*.host", "the engine at hand", "The [host](hosts.md) that its containers run on: `\"prod\"`; or what a host has to have, of which the one with the most memory free is taken: `{ label = \"gpu\", memory = \"4GiB\" }`."),
    found("profiles.*.servers.*.hosts", "none", "Hosts that it may reach beside the entry's: `[\"api.example.com:443\"]`."),
    found("profiles.*.servers.*.mounts", "none", "Mounts beside the entry's, `source:target[:ro]`; paths lie under `hosts.local.guard.roots`."),
    found("profiles.*.servers.*.volumes", "none", "Volumes that it may mount although they were there before and were not made by Dockmaster, by name: `[\"claude-memory\"]`."),
    found("profiles.*.servers.*.memory", "`\"2GiB\"`", "Most memory of a copy."),
    found("profiles.*.servers.*.cpus", "`1`", "Most CPUs."),
    found("profiles.*.servers.*.pids", "`512`", "Most processes and threads."),
    found("profiles.*.servers.*.gpus", "none", "GPUs: `\"all\"` or how many."),
    found("profiles.*.servers.*.image", "the entry's", "Another image."),
    found("profiles.*.servers.*.user", "as the entry or image says", "As whom it runs: `user[:group]`."),
    found("profiles.*.servers.*.writable_root", "as the entry says", "It may write outside `/tmp` and its volumes."),
    found("profiles.*.servers.*.tmpfs", "none", "Places in its container that are memory, beside `/tmp`: `[\"/var/cache\"]`."),
    found("profiles.*.servers.*.capabilities", "as the entry says", "Capabilities beside those that its entry asks for: `[\"NET_RAW\"]`."),
    found("profiles.*.servers.*.docker_socket", "as the entry says", "It drives Docker, through a [filtered socket](servers.md)."),
    found("servers.*.image", "none", "A container of this image."),
    found("servers.*.npm", "none", "A container made for this npm package: `name` or `name@version`."),
    found("servers.*.pypi", "none", "A container made for this PyPI package: `name` or `name==version`."),
    found("servers.*.with", "none", "Further packages to install with it."),
    found("servers.*.program", "the package's first", "The package's program."),
    found("servers.*.url", "none", "A server elsewhere, by HTTP."),
    found("servers.*.transport", "`\"streamable-http\"`, falling back", "How the URL is spoken to: `streamable-http` or `sse`."),
    found("servers.*.headers", "none", "Headers for the URL; `$NAME` is a variable of `secrets`."),
    found("servers.*.command", "none", "A process on this machine: program and arguments; `instances.commands` has to permit it."),
    found("servers.*.tools", "none", "A file that declares its tools one by one, each a command, an HTTP request or a container; a relative path is beside this file. Beside it may stand `secrets`, `sharing`, `prefix`, `title` and `description`."),
    found("servers.*.args", "none", "Arguments of the image or package."),
    found("servers.*.env", "none", "Environment; `$NAME` is a variable of `secrets`."),
    found("servers.*.secrets", "none", "By variable, the name of the secret that it holds."),
    found("servers.*.secret_files", "none", "By absolute path in the container, the name of the secret that is in that file, which lies in memory."),
    found("servers.*.volumes", "none", "`source:target[:ro]`; the source is a path or the name of a volume."),
    found("servers.*.hosts", "none", "What it has to reach: `[\"api.example.com:443\"]`."),
    found("servers.*.user", "as the image says", "As whom it runs: `user[:group]`."),
    found("servers.*.working_dir", "the image's", "Where it runs."),
    found("servers.*.capabilities", "none", "Capabilities that it can't do without."),
    found("servers.*.writable_root", "`false`", "It writes outside `/tmp` and its volumes."),
    found("servers.*.docker_socket", "`false`", "It drives Docker, through a filtered socket."),
    found("servers.*.memory", "`\"2GiB\"`", "Memory, when more than usual."),
    found("servers.*.sharing", "`\"everyone\"`", "Who may share a running copy."),
    found("servers.*.prefix", "none", "What stands before the names of its tools."),
    found("servers.*.title", "its name", "For people."),
    found("servers.*.description", "none", "For people."),
    found("servers.*.config", "none", "JSON Schema of its configuration, for `{{NAME.key}}` in its templates."),
    found("signers.*.keys", "none", "Files with the publisher's public keys, as `cosign generate-key-pair` writes `cosign.pub`; relative paths are beside this file. A signature by one of them will do."),
    found("signers.*.identity", "none", "Who may sign without a key (keyless), as the certificate names him: a URI or an e-mail address, in which `*` stands for any text. Goes together with `issuer` and `trusted_root`; where there are `keys` as well, either will do."),
    found("signers.*.issuer", "none", "The OIDC issuer that has to have vouched for that identity: `\"https://token.actions.githubusercontent.com\"`."),
    found("signers.*.trusted_root", "none", "A file with the certificate authorities and logs by which such signatures are believed: Sigstore's `trusted_root.json`, or one that `cosign trusted-root create` writes."),
    found("signers.*.images", "none", "Images that have to be signed: `[\"ghcr.io/acme/*\"]`."),
    found("signers.*.catalogs", "none", "Catalogs of which all images have to be signed."),
    found("signers.*.servers", "none", "Servers of which the images have to be signed."),
    found("secrets.sources", "`[\"environment\", \"file\"]`", "Where secrets are looked for, in order: `environment` (`DOCKMASTER_SECRET_…`), `file` (encrypted, in the state folder), `folder:PATH`, `env-file:PATH`, `helper:NAME` (a Docker credential helper), `docker-pass`. New ones go to the first that can be written."),
    found("hosts.local.endpoint", "found: `DOCKER_HOST`, `DOCKER_CONTEXT`, the current context, then the usual sockets", "Where the engine is: `unix:///path/to/socket`, `tcp://host:port`, `ssh://user@host` or `npipe://`.").variable(Var::DockerHost),
    found("hosts.local.context", "none", "A context of the docker CLI that says where the engine is, instead of `endpoint`."),
    found("hosts.local.certificates", "none", "The folder with `ca.pem`, and `cert.pem` and `key.pem` where the engine asks who we are, for a `tcp://` endpoint: it is reached by TLS then. Relative paths are beside this file."),
    setting("hosts.local.ssh", r#""own""#, "Which client goes to an `ssh://` endpoint: `own`; or `system`, the `ssh` of this machine with all of its configuration, for what ours does not do (`ProxyCommand`, GSSAPI, keys in hardware without an agent); see [ssh](ssh.md)."),
    found("hosts.local.api_version", "negotiated", "The version of the Engine API to speak, such as `\"1.41\"`, or `\"auto\"`.").variable(Var::DockerApiVersion),
    found("hosts.local.timeout", "`\"60s\"`", "How long a request to the engine may take until its answer begins.").variable(Var::DockerTimeout),
    setting("hosts.local.mode", r#""guarded""#, "How much of the engine is open: `read-only`; `no-destroy`; `guarded`, everything that the guard's rules allow; `open`, everything.").flag("--mode"),
    setting("hosts.local.labels", "[]", "What the host is for, to place servers by: `[\"gpu\", \"zone=eu\"]`."),
    found("hosts.local.guard_file", "none", "A file with what the table `guard` would hold, instead of that table; several hosts can share one. Relative paths are beside this file."),
    setting("hosts.local.files.roots", "[]", "For another host, reached by `ssh://`: its directories beneath which the [files](files.md) server reads, and changes where `write` says so: `[{ path = \"/srv/www\", write = true }]`. Those of this machine are `files.roots`."),
    setting("hosts.local.files.hard_links", "false", "For another host: its files with several names (hard links) are read, although another name may be outside of the roots."),
    found("hosts.local.shell.runner", "no commands run there", "For another host: `\"container\"` runs commands in containers on its engine; `\"host\"` on it itself, over SSH, as the user that logs in there and without any sandbox. `shell.enabled` has to be on, and the rules of `[shell]` hold."),
    setting("hosts.local.shell.roots", "[]", "For another host: its folders that commands have in containers, read-only without `write`; on the host itself they confine working directories and nothing else."),
    setting("hosts.local.guard.privileged", "false", "Containers with `Privileged`, which are root on the host."),
    setting("hosts.local.guard.namespaces", "[]", "Namespaces that may be the host's or another container's: `pid`, `network`, `ipc`, `uts`, `user`, `cgroup`."),
    setting("hosts.local.guard.capabilities", "[]", "Capabilities that may be added beyond Docker's default set."),
    setting("hosts.local.guard.devices", "[]", "Device files of the host that may be handed to containers, by absolute path."),
    setting("hosts.local.guard.device_cgroup_rules", "[]", "Device cgroup rules that may be set, word for word: `\"c 189:* rmw\"`."),
    setting("hosts.local.guard.gpus", "false", "Requests for GPUs."),
    setting("hosts.local.guard.cdi_devices", "[]", "CDI devices that may be requested, by qualified name."),
    setting("hosts.local.guard.security_opts", "[]", "Security options that may be set, word for word, beside `no-new-privileges`."),
    setting("hosts.local.guard.sysctls", "[]", "Kernel parameters that may be set, by name."),
    setting("hosts.local.guard.cgroup_parents", "[]", "Cgroup parents that may be named."),
    setting("hosts.local.guard.runtimes", "[]", "Runtimes that may be named, beside the default one."),
    setting("hosts.local.guard.oom_protection", "false", "Containers that the out-of-memory killer spares."),
    setting("hosts.local.guard.unmasked_paths", "false", "Containers that see the kernel files which Docker hides or makes read-only."),
    setting("hosts.local.guard.annotations", "[]", "Annotations that may be set, by name."),
    setting("hosts.local.guard.log_drivers", "[]", "Log drivers that may be named, beside `json-file`, `local`, `journald` and `none`."),
    setting("hosts.local.guard.roots", "[]", "Directories of the host that containers may mount, and builds and copies may use: `[{ path = \"/srv/work\", write = true }]`."),
    setting("hosts.local.guard.symlinks", r#""resolve""#, "How a mount's source is brought to its true place: `resolve`, or `lexical` for a remote engine, whose links can't be followed from here."),
    setting("hosts.local.guard.allow_sensitive", "[]", "System and credential paths that are not refused for what they are."),
    setting("hosts.local.guard.sockets", "[]", "Sockets of the host that may be mounted."),
    setting("hosts.local.guard.propagation", "[]", "Mount propagation modes beside `private` and `rprivate`."),
    setting("hosts.local.guard.volume_drivers", "[]", "Volume drivers beside `local`."),
    setting("hosts.local.guard.volume_types", "[]", "File systems that volumes of the driver `local` may mount, beside `tmpfs`."),
    setting("hosts.local.guard.publish", "[]", "Addresses of the host on which ports may be published, beside the loopback; `0.0.0.0` and `::` stand for all of their family."),
    setting("hosts.local.guard.network_drivers", "[]", "Network drivers beside `bridge`, `overlay` and `null`."),
    setting("hosts.local.guard.network_subnets", "[]", "Ranges in which the subnets of networks may lie, beside the private ones."),
    setting("hosts.local.guard.network_options", "[]", "Driver options of networks and endpoints, by name, beside the harmless ones."),
    found("hosts.local.guard.registries", "any", "Where images may come from and go to: `[\"docker.io/library/*\"]`."),
    setting("hosts.local.guard.build", "false", "Builds and commits although `registries` confines images."),
    setting("hosts.local.guard.load", "false", "Images from archives although `registries` confines images."),
    setting("hosts.local.guard.remote_build", "false", "Contexts, archives and imports that the engine fetches from a URL."),
    setting("hosts.local.guard.build_outputs", "false", "Outputs of builds other than the engine's image store."),
    setting("hosts.local.guard.buildkit_session", "false", "BuildKit sessions, in which the guard sees no requests."),
    setting("hosts.local.guard.exec_privileged", "false", "`exec` with `Privileged`."),
    setting("hosts.local.guard.exec_into_unsafe", "false", "`exec`, attach and files in containers that this policy would not have created."),
    setting("hosts.local.guard.checkpoints", "false", "Checkpoints of running containers."),
    setting("hosts.local.guard.swarm", "false", "Changing the swarm and its nodes, and reading its keys."),
    setting("hosts.local.guard.plugins", "false", "Installing and changing plugins of the engine."),
    found("hosts.local.guard.label", "none", "Confines everything to objects with this label: `\"team=blue\"`. What is created gets it."),
    found("audit.file", "`dockmaster.db` in the state folder", "The SQLite file that calls are written down in."),
];

/// The setting at this path. A `*` in a key stands for a name that the user chose.
pub(crate) fn find(path: &[&str]) -> Option<&'static Setting> {
    SETTINGS
        .iter()
        .find(|setting| begins(setting.key, path) && depth(setting.key) == path.len())
}

/// What can stand directly in the table at this path (the empty one for the file itself): keys, and tables by their
/// own name. Nothing where the user chooses the names.
pub(crate) fn children(path: &[&str]) -> impl Iterator<Item = &'static str> {
    let mut children: Vec<_> = SETTINGS
        .iter()
        .filter(|setting| is_beneath(setting.key, path))
        .filter_map(|setting| setting.key.split('.').nth(path.len()))
        .filter(|name| *name != "*")
        .collect();
    children.dedup();
    children.into_iter()
}

/// Whether a key stands somewhere under the table at this path.
pub(crate) fn is_beneath(key: &str, path: &[&str]) -> bool {
    begins(key, path) && depth(key) > path.len()
}

/// A path as TOML writes it: names that are not bare are quoted.
pub(crate) fn dotted(path: &[&str]) -> String {
    let bare = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        !name.is_empty() && name.bytes().all(plain)
    };
    let names = path.iter().map(|name| {
        if bare(name) || *name == "*" {
            (*name).to_owned()
        } else {
            format!("{name:?}")
        }
    });
    names.collect::<Vec<_>>().join(".")
}

fn begins(key: &str, path: &[&str]) -> bool {
    let mut names = key.split('.');
    path.iter().enumerate().all(|(depth, name)| {
        // Every host has the keys of `local`.
        let is_host = depth == 1 && path.first() == Some(&"hosts");
        names
            .next()
            .is_some_and(|own| own == "*" || own == *name || is_host && own == LOCAL)
    })
}

fn depth(key: &str) -> usize {
    key.split('.').count()
}
