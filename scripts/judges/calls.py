"""Calls of third-party servers with known answers, for every client that reaches them through the gateway.

A row: the server, its tool, the arguments, and what the text of the answer (or of the error) has to contain. Rows of one
server that share a name are made in this order. `{folder}` and `{repository}` are folders of the machine that the
server was given, `{unique}` is another word for each client, as they share servers. Answers that hang on the clock or on chance are not in here.
"""

KNOWN = [
    ("everything", "echo", {"message": "grüß dich 🚢"}, "Echo: grüß dich 🚢"),
    ("everything", "get-sum", {"a": 19, "b": 23}, "The sum of 19 and 23 is 42."),
    ("everything", "get-structured-content", {"location": "Chicago"}, '"conditions":"Light rain / drizzle"'),
    ("everything", "get-annotated-message", {"messageType": "error"}, "Error: Operation failed"),
    ("everything", "get-sum", {"a": "many", "b": 23}, "Invalid"),
    ("memory", "create_entities",
     {"entities": [{"name": "Dockmaster {unique}", "entityType": "program", "observations": ["stands between agents and Docker"]}]},
     "stands between agents"),
    ("memory", "search_nodes", {"query": "dockmaster {unique}"}, '"entityType": "program"'),
    ("filesystem", "read_text_file", {"path": "{folder}/greeting.txt"}, "hello from the field, grüß dich 🚢"),
    ("filesystem", "write_file", {"path": "{folder}/answer.txt", "content": "42\n"}, "Successfully wrote"),
    ("filesystem", "list_directory", {"path": "{folder}"}, "[FILE] answer.txt"),
    ("filesystem", "read_text_file", {"path": "/etc/passwd"}, "outside allowed directories"),
    ("github", "search_repositories", {"query": "dockmaster"}, "fetch failed"),
    ("kubernetes", "configuration_view", {"minified": True}, "current-context: field"),
    ("database", "sqlite_read_query", {"query": "SELECT 6 * 7 AS answer"}, '"answer":42'),
    ("database", "sqlite_geo_distance", {"lat1": 0, "lon1": 0, "lat2": 0, "lon2": 1, "unit": "km"}, "111.19"),
    ("time", "convert_time",
     {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Kolkata"}, "17:30:00+05:30"),
    ("time", "convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Mars/Olympus"}, "Mars/Olympus"),
    ("git", "git_log", {"repo_path": "{repository}", "max_count": 1}, "first commit of the judge"),
    ("git", "git_status", {"repo_path": "{repository}"}, "On branch main"),
    ("papers", "list_papers", {}, '"total_papers": 0'),
    ("sqlite", "create_table", {"query": "CREATE TABLE {unique} (answer INTEGER)"}, "Table created successfully"),
    ("sqlite", "write_query", {"query": "INSERT INTO {unique} VALUES (42)"}, "affected_rows"),
    ("sqlite", "read_query", {"query": "SELECT answer FROM {unique}"}, "'answer': 42"),
]


def filled(value, places):
    """The arguments with the places of this machine in them."""
    if isinstance(value, str):
        for name, path in places.items():
            value = value.replace("{" + name + "}", path)
        return value
    if isinstance(value, dict):
        return {key: filled(item, places) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, places) for item in value]
    return value


def exposed(names, server, tool):
    """Under which name the gateway offers a tool: its own, or its server's name and its own where two collide."""
    if tool in names:
        return tool
    ending = [name for name in names if name.endswith("_" + tool) and server in name]
    assert len(ending) == 1, f"{tool} of {server} is offered as {ending}"
    return ending[0]
