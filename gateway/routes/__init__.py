"""The routes, one file a subject: a module here that has a `router` is part of the API."""

import importlib
import pkgutil

from fastapi import APIRouter


def routers() -> list[APIRouter]:
    """Every module's router, by the module's name."""
    modules = (importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    return [module.router for module in modules if hasattr(module, "router")]
