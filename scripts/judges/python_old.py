"""Lists and calls with the last Python client before 2.0.

usage: python_old.py COMMAND...   over stdio
       python_old.py URL TOKEN    over HTTP
"""

import asyncio
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client


async def main(target):
    if target[0].startswith("http"):
        transport = streamablehttp_client(target[0], headers={"Authorization": f"Bearer {target[1]}"})
    else:
        transport = stdio_client(StdioServerParameters(command=target[0], args=target[1:]))
    async with transport as streams, ClientSession(streams[0], streams[1]) as session:
        opened = await session.initialize()
        tools = (await session.list_tools()).tools
        answer = await session.call_tool("get_docker_info", {})
        assert not answer.isError, answer
        missing = await session.call_tool("inspect_container", {"container": "no-such-container"})
        assert missing.isError, missing
        print(f"{len(tools)} tools, protocol {opened.protocolVersion}, {len(answer.content[0].text)} bytes of answer")


asyncio.run(main(sys.argv[1:]))
