"""The last Python client before 2.0 uses third-party servers through the gateway: all calls of `calls.py`, and what
server-everything asks and tells its client.

usage: field_old.py PLACES COMMAND...        over stdio
       field_old.py PLACES URL TOKEN         over HTTP; a URL that ends in /sse means HTTP+SSE

PLACES is JSON with the folders that stand in calls.
"""

import asyncio
import json
import os
import sys
import traceback

import anyio
import mcp.types as types
from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client

from calls import KNOWN, exposed, filled


async def main(places, target):
    if target[0].startswith("http"):
        connect = sse_client if target[0].endswith("/sse") else streamablehttp_client
        transport = connect(target[0], headers={"Authorization": f"Bearer {target[1]}"})
    else:
        transport = stdio_client(StdioServerParameters(command=target[0], args=target[1:], env=dict(os.environ)))
    client = Person()
    async with transport as streams:
        async with ClientSession(streams[0], streams[1], sampling_callback=client.sample, elicitation_callback=client.answer,
                                 list_roots_callback=client.roots, logging_callback=client.log,
                                 message_handler=client.hear) as session:
            opened = await session.initialize()
            names = {tool.name for tool in (await session.list_tools()).tools}
            made = await known(session, names, places)
            await features(session, names, client)
    print(f"{made} known answers and the features of server-everything, protocol {opened.protocolVersion}")


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
        if isinstance(getattr(message, "root", None), types.ResourceUpdatedNotification):
            self.updated.set()


async def known(session, names, places):
    wrong = []
    for server, tool, arguments, text in KNOWN:
        try:
            result = await session.call_tool(exposed(names, server, tool), filled(arguments, places))
            said = " ".join(block.text for block in result.content if block.type == "text")
        except McpError as error:
            said = str(error)
        if filled(text, places) not in said:
            wrong.append(f"{server}/{tool} says {said[:500]!r} instead of {text!r}")
    assert not wrong, "; ".join(wrong)
    return len(KNOWN)


async def features(session, names, client):
    async def call(tool, arguments, **more):
        result = await session.call_tool(exposed(names, "everything", tool), arguments, **more)
        return " ".join(block.text for block in result.content if block.type == "text")

    steps = []

    async def step(progress, total, message):
        steps.append((progress, total))

    said = await call("trigger-long-running-operation", {"duration": 1, "steps": 4}, progress_callback=step)
    assert "Steps: 4" in said and steps == [(n, 4) for n in (1, 2, 3, 4)], (said, steps)
    await cancelled(session, exposed(names, "everything", "trigger-long-running-operation"))
    said = await call("trigger-sampling-request", {"prompt": "hello"})
    assert "sampled: Resource" in said and "hello" in said and "judge" in said, said
    said = await call("trigger-elicitation-request", {})
    assert "Ada" in said and '"accept"' in said, said
    said = await call("get-roots-list", {})
    assert "file:///srv/judge" in said, said
    image = await session.call_tool(exposed(names, "everything", "get-tiny-image"), {})
    assert any(block.type == "image" and len(block.data) > 1000 for block in image.content), image

    listed = {str(resource.uri) for resource in (await session.list_resources()).resources}
    assert "demo://resource/static/document/features.md" in listed, listed
    templates = {template.uriTemplate for template in (await session.list_resource_templates()).resourceTemplates}
    assert "demo://resource/dynamic/text/{resourceId}" in templates, templates
    text = (await session.read_resource("demo://resource/dynamic/text/7")).contents[0]
    assert "Resource 7" in text.text and text.mimeType == "text/plain", text
    blob = (await session.read_resource("demo://resource/dynamic/blob/7")).contents[0]
    assert blob.blob, blob
    try:
        await session.read_resource("demo://nowhere")
        raise AssertionError("a resource that is not there was read")
    except McpError as error:
        assert "demo://nowhere" in str(error), error
    await session.subscribe_resource("demo://resource/dynamic/text/7")
    await call("toggle-subscriber-updates", {})
    await asyncio.wait_for(client.updated.wait(), 20)
    await call("toggle-subscriber-updates", {})
    await session.unsubscribe_resource("demo://resource/dynamic/text/7")
    await session.set_logging_level("debug")
    await call("toggle-simulated-logging", {})
    await asyncio.wait_for(client.logged.wait(), 20)
    await call("toggle-simulated-logging", {})

    prompt = await session.get_prompt("args-prompt", {"city": "Oslo"})
    assert "Oslo" in prompt.messages[0].content.text, prompt
    reference = types.PromptReference(type="ref/prompt", name="completable-prompt")
    completed = await session.complete(reference, {"name": "department", "value": "En"})
    assert completed.completion.values == ["Engineering"], completed


async def cancelled(session, tool):
    """A call that would take a minute is cancelled after its first step; then the server has time for others."""
    begun = asyncio.Event()

    async def step(progress, total, message):
        begun.set()

    number = session._request_id
    async with anyio.create_task_group() as group:
        async def call():
            try:
                await session.call_tool(tool, {"duration": 60, "steps": 300}, progress_callback=step)
                raise AssertionError("a cancelled call has a result")
            except McpError:
                pass

        group.start_soon(call)
        await asyncio.wait_for(begun.wait(), 20)
        params = types.CancelledNotificationParams(requestId=number, reason="the judge has seen enough")
        await session.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
        group.cancel_scope.cancel()


def first(error):
    """The error that began it, out of the groups that tasks wrap around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


try:
    asyncio.run(main(json.loads(sys.argv[1]), sys.argv[2:]))
except BaseExceptionGroup as group:
    error = first(group)
    place = traceback.extract_tb(error.__traceback__)
    own = [frame.lineno for frame in place if frame.filename == __file__]
    sys.exit(f"{type(error).__name__} at line {own[-1] if own else '?'}: {error}")
