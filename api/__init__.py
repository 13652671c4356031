"""The thin FastAPI: routes, auth, the read model. No rules of its own."""
