"""What each setting means: the text below it in the source of its dataclass."""

import ast
import inspect
import itertools


def meanings(kind: type) -> dict[str, str]:
    """The text of each field that has one, by its name."""
    (body,) = [node.body for node in ast.parse(inspect.getsource(kind)).body if isinstance(node, ast.ClassDef)]
    return {
        field.target.id: " ".join(str(ast.literal_eval(after.value)).split())
        for field, after in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr)
    }
