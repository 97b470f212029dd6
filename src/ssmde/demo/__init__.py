"""`ssmde demo`: videos are drawn, both stages learn from them, and a page shows how well."""

from ssmde.demo.run import demo

__all__ = ["demo"]
