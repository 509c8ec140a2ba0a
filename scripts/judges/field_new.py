"""The Python client of today uses third-party servers through the gateway, in the mode given (legacy, auto or a modern
version): all calls of `calls.py`, and what server-everything asks and tells its client.

usage: field_new.py PLACES MODE COMMAND...    over stdio
       field_new.py PLACES MODE URL TOKEN     over HTTP

PLACES is JSON with the folders that stand in calls.
"""

import asyncio
import json
import os
import sys
import traceback

import anyio
import httpx2
import mcp_types as types
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from calls import KNOWN, exposed, filled


async def main(places, mode, target):
    person = Person()
    options = {"mode": mode, "sampling_callback": person.sample, "elicitation_callback": person.answer,
               "list_roots_callback": person.roots, "logging_callback": person.log, "message_handler": person.hear,
               "log_level": "debug"}
    if target[0].startswith("http"):
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {target[1]}"}, timeout=60) as http:
            await talk(Client(streamable_http_client(target[0], http_client=http), **options), person, places)
    else:
        await talk(Client(StdioServerParameters(command=target[0], args=target[1:], env=dict(os.environ)), **options), person, places)


async def talk(client, person, places):
    async with client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        made = await known(client, names, places)
        await features(client, names, person)
        print(f"{made} known answers and the features of server-everything, protocol {client.protocol_version}")


class Person:
    """What a client does when it is asked or told something."""

    def __init__(self):
        self.updated = asyncio.Event()
        self.logged = asyncio.Event()

    async def sample(self, context, params):
        text = f"sampled: {params.messages[0].content.text}"
        return types.CreateMessageResult(role="assistant", model="judge", content=types.TextContent(type="text", text=text))

    async def answer(self, context, params):
        return types.ElicitResult(action="accept", content={"name": "Ada", "check": True, "integer": 7})

    async def roots(self, context):
        return types.ListRootsResult(roots=[types.Root(uri="file:///srv/judge", name="judge")])

    async def log(self, params):
        self.logged.set()

    async def hear(self, message):
        if isinstance(message, Exception):
            raise message
        if isinstance(message, types.ResourceUpdatedNotification):
            self.updated.set()


def text_of(result):
    return " ".join(block.text for block in result.content if block.type == "text")


async def known(client, names, places):
    wrong = []
    for server, tool, arguments, text in KNOWN:
        try:
            said = text_of(await client.call_tool(exposed(names, server, tool), filled(arguments, places)))
        except MCPError as error:
            said = str(error)
        if filled(text, places) not in said:
            wrong.append(f"{server}/{tool} says {said[:500]!r} instead of {text!r}")
    assert not wrong, "; ".join(wrong)
    return len(KNOWN)


async def features(client, names, person):
    async def call(tool, arguments, **more):
        return text_of(await client.call_tool(exposed(names, "everything", tool), arguments, **more))

    steps = []

    async def step(progress, total, message):
        steps.append((progress, total))

    said = await call("trigger-long-running-operation", {"duration": 1, "steps": 4}, progress_callback=step)
    assert "Steps: 4" in said and steps == [(n, 4) for n in (1, 2, 3, 4)], (said, steps)
    await cancelled(client, exposed(names, "everything", "trigger-long-running-operation"))
    said = await call("trigger-sampling-request", {"prompt": "hello"})
    assert "sampled: Resource" in said and "hello" in said and "judge" in said, said
    said = await call("trigger-elicitation-request", {})
    assert "Ada" in said and '"accept"' in said, said
    said = await call("get-roots-list", {})
    assert "file:///srv/judge" in said, said
    image = await client.call_tool(exposed(names, "everything", "get-tiny-image"), {})
    assert any(block.type == "image" and len(block.data) > 1000 for block in image.content), image

    listed = {str(resource.uri) for resource in (await client.list_resources()).resources}
    assert "demo://resource/static/document/features.md" in listed, listed
    templates = {template.uri_template for template in (await client.list_resource_templates()).resource_templates}
    assert "demo://resource/dynamic/text/{resourceId}" in templates, templates
    text = (await client.read_resource("demo://resource/dynamic/text/7")).contents[0]
    assert "Resource 7" in text.text and text.mime_type == "text/plain", text
    blob = (await client.read_resource("demo://resource/dynamic/blob/7")).contents[0]
    assert blob.blob, blob
    try:
        await client.read_resource("demo://nowhere")
        raise AssertionError("a resource that is not there was read")
    except MCPError as error:
        assert "demo://nowhere" in str(error), error
    await subscribed(client, call, person)
    if not is_modern(client):
        await client.set_logging_level("debug")
    await call("toggle-simulated-logging", {})
    # A modern client hears what is logged in its own calls; the server logs by a clock, outside of any.
    if not is_modern(client):
        await asyncio.wait_for(person.logged.wait(), 20)
    await call("toggle-simulated-logging", {})

    prompt = await client.get_prompt("args-prompt", {"city": "Oslo"})
    assert "Oslo" in prompt.messages[0].content.text, prompt
    reference = types.PromptReference(type="ref/prompt", name="completable-prompt")
    completed = await client.complete(reference, {"name": "department", "value": "En"})
    assert completed.completion.values == ["Engineering"], completed


def is_modern(client):
    return client.protocol_version >= "2026"


async def subscribed(client, call, person):
    uri = "demo://resource/dynamic/text/7"
    if is_modern(client):
        async with client.listen(resource_subscriptions=[uri]) as changes:
            await call("toggle-subscriber-updates", {})
            change = await asyncio.wait_for(anext(changes), 20)
            assert str(change.uri) == uri, change
            await call("toggle-subscriber-updates", {})
        return
    await client.subscribe_resource(uri)
    await call("toggle-subscriber-updates", {})
    await asyncio.wait_for(person.updated.wait(), 20)
    await call("toggle-subscriber-updates", {})
    await client.unsubscribe_resource(uri)


async def cancelled(client, tool):
    """A call that would take a minute is given up after its first step; then the server has time for others."""
    begun = asyncio.Event()

    async def step(progress, total, message):
        begun.set()

    async with anyio.create_task_group() as group:
        async def call():
            await client.call_tool(tool, {"duration": 60, "steps": 300}, progress_callback=step)
            raise AssertionError("a call that was given up has a result")

        group.start_soon(call)
        await asyncio.wait_for(begun.wait(), 20)
        group.cancel_scope.cancel()


def first(error):
    """The error that began it, out of the groups that tasks wrap around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


try:
    asyncio.run(main(json.loads(sys.argv[1]), sys.argv[2], sys.argv[3:]))
except BaseExceptionGroup as group:
    error = first(group)
    place = traceback.extract_tb(error.__traceback__)
    own = [frame.lineno for frame in place if frame.filename == __file__]
    sys.exit(f"{type(error).__name__} at line {own[-1] if own else '?'}: {error}")
