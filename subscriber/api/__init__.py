"""The HTTP API for readers, `subscriber api`: the index over HTTP, by Litestar and uvicorn (extra `api`)."""
