"""`rf.cite`: what to cite for the work that was used, as BibTeX."""

import dataclasses
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from importlib.metadata import version
from typing import Any

FOUNDATIONS = ("neal1996", "jacot2018", "rahimi2007", "yehudai2019")
WORKS: dict[str, tuple[str, ...]] = {  # the name of a class, function or setting -> keys in references.bib
    "nngp": ("neal1996", "lee2018"),
    "ntk": ("jacot2018",),
    "random_features": ("rahimi2007",),
    "NetworkFeatures": ("rahimi2007",),
    "Neurons": ("rahimi2007",),
    "random_neurons": ("rahimi2007",),
    "EmpiricalNTK": ("jacot2018", "novak2022"),
    "empirical_ntk": ("jacot2018", "novak2022"),
    "TangentFeatures": ("jacot2018", "lee2019"),
    "tangent_features": ("jacot2018", "lee2019"),
    "Linearized": ("lee2019",),
    "linearize": ("lee2019",),
    "GradientFlow": ("jacot2018", "lee2019"),
    "gradient_flow": ("jacot2018", "lee2019"),
    "ArcCosine": ("cho2009",),
    "arc_cosine": ("cho2009",),
    "RectifiedMonomial": ("cho2009",),
    "Erf": ("williams1997",),
    "GELU": ("hendrycks2016",),
    "LayerNorm": ("ba2016",),
    "Posterior": ("rasmussen2006",),
    "posterior": ("rasmussen2006",),
    "Tuned": ("rasmussen2006",),
    "tune": ("rasmussen2006",),
    "Evidence": ("rasmussen2006", "ubaru2017"),
    "log_marginal_likelihood": ("rasmussen2006", "ubaru2017"),
    "RidgePath": ("allen1974", "golub1979"),
    "ridge_path": ("allen1974", "golub1979"),
    "logistic": ("rasmussen2006",),
    "squares": ("rifkin2004",),
    "cg": ("hestenes1952", "chen2022", "diaz2023"),
    "nystrom": ("williams2001", "rudi2017"),
    "eigenpro": ("ma2019",),
    "PivotedCholesky": ("chen2022",),
    "pivoted_cholesky": ("chen2022",),
    "risk_lower_bound": ("yehudai2019",),
    "minimal_width": ("yehudai2019",),
    "compare": ("nadeau2003",),
    "separation": ("yehudai2019",),
}
_NAMED = {"InfiniteWidth": "reading", "Stats": "solver", "Classifier": "loss"}  # classes that a field tells apart


def cite(*used: Any) -> str:
    """BibTeX entries of rfjax and of the papers behind what was `used`, ready for a .bib file.

    `used` are networks, kernels, feature maps, fits, or functions and their names: `rf.cite(fit)` has the papers of its
    kernel, its activation and its solver.  Without any, those that the library stands on.

    **Raises** ValueError for a name that is unknown.
    """
    keys = list(FOUNDATIONS) if not used else []
    for thing in used:
        if isinstance(thing, str) and thing not in WORKS:
            raise ValueError(
                f"used must be objects, functions or names among {', '.join(sorted(WORKS))}; got {thing!r}"
            )
        keys += [key for name in _names(thing) for key in WORKS.get(name, ())]
    return "\n\n".join([_own(), *(_entries()[key] for key in dict.fromkeys(keys))]) + "\n"


def _names(thing: Any) -> Iterator[str]:
    """The names of everything that a thing is made of."""
    if isinstance(thing, str):
        yield thing
    elif isinstance(thing, (list, tuple)):
        for part in thing:
            yield from _names(part)
    elif isinstance(thing, dict):
        yield from _names(list(thing.values()))
    elif dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        name = type(thing).__name__
        yield str(getattr(thing, _NAMED[name])) if name in _NAMED else name
        for field in dataclasses.fields(thing):
            value = getattr(thing, field.name, None)
            yield from _names(None if isinstance(value, str) else value)
    elif hasattr(thing, "__name__"):
        yield thing.__name__


def _own() -> str:
    return (
        "@software{rfjax,\n  author = {{The rfjax developers}},\n  title = {rfjax: Neural-tangent, {NNGP} and "
        f"random-feature kernels in {{JAX}}}},\n  version = {{{version('rfjax')}}},\n}}"
    )


@cache
def _entries() -> dict[str, str]:
    """The bibliography by key."""
    text = resources.files("rfjax").joinpath("references.bib").read_text("utf-8")
    entries = [entry.strip() for entry in re.split(r"\n(?=@)", text)]
    return {entry[entry.index("{") + 1 : entry.index(",")]: entry for entry in entries}
