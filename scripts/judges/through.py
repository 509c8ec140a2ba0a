"""A client for the official suite's scenarios for clients: it lists what there is and calls every tool with made-up
arguments, as the Python SDK does it by itself; where a scenario says which calls it wants, it makes those too. With an
executable it does so through a gateway, whose only server is the one that the suite has started.

usage: through.py EXECUTABLE|- URL     the suite appends the URL; `-` means without a gateway
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

import mcp_types as types
from mcp import Client, MCPError, StdioServerParameters


async def main(executable, url):
    if executable == "-":
        await talk(url)
        return
    with tempfile.TemporaryDirectory() as home:
        Path(home, "config.toml").write_text(
            f'[docker]\nenabled = false\n\n[servers.suite]\nurl = "{url}"\n\n[profiles.default.servers.suite]\n')
        environment = {**os.environ, "DOCKMASTER_HOME": home}
        await talk(StdioServerParameters(command=executable, args=["gateway", "run"], env=environment))


async def talk(server):
    async with Client(server, mode="auto", elicitation_callback=defaults, sampling_callback=sample) as client:
        try:
            tools = (await client.list_tools()).tools
        except MCPError:
            tools = []
        made_up = [(tool.name, arguments(tool.input_schema, tools)) for tool in tools]
        wanted = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}")).get("toolCalls", [])
        for name, given in [(call["name"], call["arguments"]) for call in wanted] or made_up:
            try:
                await client.call_tool(name, given)
            except MCPError as error:
                print(f"{name}: {error}")


def arguments(schema, tools):
    """What the schema takes; where it takes a schema, that of the tool with the richest one, as it came."""
    made = {"string": "text", "number": 5, "integer": 5, "boolean": True, "array": [], "object": {}}
    richest = max((tool.input_schema for tool in tools), key=lambda schema: len(json.dumps(schema)))
    return {name: richest if name == "schema" else made.get(about.get("type") if isinstance(about, dict) else None, "text")
            for name, about in schema.get("properties", {}).items()}


async def defaults(context, params):
    """Accepts what the form proposes, as a person would who only presses the button."""
    fields = getattr(params, "requested_schema", None) or {}
    fields = fields if isinstance(fields, dict) else fields.model_dump(by_alias=True)
    content = {name: about["default"] for name, about in fields.get("properties", {}).items() if "default" in about}
    return types.ElicitResult(action="accept", content=content)


async def sample(context, params):
    return types.CreateMessageResult(role="assistant", model="judge", content=types.TextContent(type="text", text="yes"))


asyncio.run(main(sys.argv[1], sys.argv[-1]))
