"""The servers that stand in for images: asyncio programs on sockets made in the pods' namespaces."""
