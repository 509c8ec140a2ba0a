"""Lists and calls with the Python client of today, in the mode given: legacy, auto or a modern version.

usage: python_new.py MODE COMMAND...   over stdio
       python_new.py MODE URL TOKEN    over HTTP
"""

import asyncio
import sys

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client


async def main(mode, target):
    if target[0].startswith("http"):
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {target[1]}"}, timeout=60) as http:
            await talk(Client(streamable_http_client(target[0], http_client=http), mode=mode))
    else:
        await talk(Client(StdioServerParameters(command=target[0], args=target[1:]), mode=mode))


async def talk(client):
    async with client:
        tools = (await client.list_tools()).tools
        answer = await client.call_tool("get_docker_info", {})
        assert not answer.is_error, answer
        missing = await client.call_tool("inspect_container", {"container": "no-such-container"})
        assert missing.is_error, missing
        print(f"{len(tools)} tools, protocol {client.protocol_version}, {len(answer.content[0].text)} bytes of answer")


asyncio.run(main(sys.argv[1], sys.argv[2:]))
